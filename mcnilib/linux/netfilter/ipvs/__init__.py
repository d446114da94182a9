"""IPVS: virtual servers, how one of their real servers is chosen, and the connections IPVS remembers."""
