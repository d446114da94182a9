"""One module per heading of the source document; `mcnilib.scenarios` finds them by itself."""
