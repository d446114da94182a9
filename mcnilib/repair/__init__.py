"""What would help, and what would it break: every single change is tried on the model, then pairs of changes.

A repair is commands, settings or another address (`repair`). What may be tried is derived from where the packets came
and ended (`candidates`) and from the settings of a scenario (`case`); `search` tries it, and holds other conversations
under what helps. Start with `search.find_repairs`.
"""
