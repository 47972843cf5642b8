"""Drills: proving by doing it that a backup can be restored."""
