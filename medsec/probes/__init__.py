"""Read-only readers of effective state, on Testinfra's host object."""
