"""Who writes the state: pure functions from a namespace to a namespace, one file per component.

`spec` is the cluster as a value, `settings` what a reader may change, `build` plays the components in the order of
real events. Standard library only; everything is emitted as the text the real tools print and read back with the
parsers of `mcnilib.linux`.
"""
