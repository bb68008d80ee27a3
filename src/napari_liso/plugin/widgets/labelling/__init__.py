"""The widgets of Label boundaries."""
