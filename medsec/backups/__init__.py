"""Backups as an operator handles them: making one now, and what there is of them."""
