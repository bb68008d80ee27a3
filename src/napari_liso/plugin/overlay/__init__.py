"""A microscope image over the map, and the landmarks that place it."""
