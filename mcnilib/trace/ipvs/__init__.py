"""IPVS at its hooks: requests go to a real server, what comes back gets the address of the service again."""
