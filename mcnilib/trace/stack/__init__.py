"""One packet on its walk: input, output, hooks, neighbours, links and tunnels, in the kernel's order."""
