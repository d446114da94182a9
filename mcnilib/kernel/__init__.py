"""Is it true: a World in real network namespaces, real packets through it, the comparison with the simulator.

The only package that starts processes. Linux only and optional at run time. Read `realise` (World -> namespaces),
`observe` (one conversation -> Trace), `compare` (two Traces -> Report), `verify` (many worlds at once), `clean`.
"""
