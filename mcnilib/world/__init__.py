"""Several network namespaces and the cables between them: their listings, and the commands that change them."""
