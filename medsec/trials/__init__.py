"""Trials: violated, failed, remedied, passed, and nothing touched that the control does not name."""
