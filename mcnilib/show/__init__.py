"""How it looks: a Trace becomes a Drawing (plain values), a picture, tables and widgets.

Nothing here knows a scenario or a component: what is drawn and told comes from the World, the Trace, the Plan of the
picture and the declaration of the settings. The only package that imports matplotlib, networkx and ipywidgets. Read
`plan`, `scene`, `drawing`, `paint` for the picture, `table` and `state` for the tables, `controls` for the widgets.
"""
