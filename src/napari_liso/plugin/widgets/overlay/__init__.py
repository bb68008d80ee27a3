"""The dock Overlay microscope image."""
