"""microstructure."""
