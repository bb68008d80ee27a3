"""The step Mass windows."""
