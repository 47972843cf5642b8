"""The same work over many hosts, several at a time."""
