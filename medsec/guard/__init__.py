"""Keeps a way back on every host that a run changes: copies, a revert timer, proof that people can still get in."""
