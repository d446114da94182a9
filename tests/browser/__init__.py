"""What a person sees: JupyterLab in headless Chromium. `lab_page` has the helpers, `conftest` the fixtures."""
