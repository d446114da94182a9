"""What one network namespace holds and does: one kernel concept per file, noun, text form and verbs together.

Standard library only; nothing here knows which program wrote the state. Read `packet`, `link`, `route`, then
`netfilter`.
"""
