"""The walk: packets through a world of namespaces, the conversation they form, and its outcome."""
