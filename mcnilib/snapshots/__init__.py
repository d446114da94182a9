"""Snapshots: the state of real machines, and of model clusters, as folders that can be walked through.

`folder` reads and writes the files, `snapshot` is what was read, `question` what one may ask it. The text of the files
is read by `mcnilib.snapshots.files`; docs/snapshot.md describes the format.
"""
