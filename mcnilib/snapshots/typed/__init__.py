"""Snapshots as a person types them: a few lines of text become the files of a snapshot."""
