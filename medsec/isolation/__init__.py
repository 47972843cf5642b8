"""Cutting a host that may be under attack from the network, but for its administrators; and undoing exactly that."""
