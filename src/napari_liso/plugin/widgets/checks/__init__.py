"""The step Checks."""
