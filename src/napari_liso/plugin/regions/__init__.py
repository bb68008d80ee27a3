"""Regions and lines on the map: what is drawn, and what is counted in it."""
