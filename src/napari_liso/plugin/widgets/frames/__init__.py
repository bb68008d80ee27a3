"""The step Frames and drift."""
