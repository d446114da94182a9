"""Routing: rules, routes, next hops and neighbours, their text, and which of them a packet gets."""
