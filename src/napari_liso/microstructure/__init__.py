"""Grains, the boundaries between them as objects, and profiles across them."""
