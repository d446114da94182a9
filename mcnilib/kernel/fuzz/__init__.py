"""A proof by chance that the model is Linux: random worlds and exchanges, run by the simulator and by the real kernel.

Read `case` (what is tried), `worlds` and `chance` (how it is made up), `trial` (both sides), `shrink`, `report`.
"""
