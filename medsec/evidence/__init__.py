"""What was seen: the run store."""
