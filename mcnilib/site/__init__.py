"""The laboratory as a static site: pages of HTML, and an interpreter that runs in the reader's browser.

`page` is what stands in the HTML before any script runs, `engine` the interpreter, `library` the Python code it runs;
`parts/` holds the scripts and the style sheet. Any web server will do; nothing is asked of another host.
"""
