"""One module per scenario of the source document; `mcnilib.scenarios` finds them by itself."""
