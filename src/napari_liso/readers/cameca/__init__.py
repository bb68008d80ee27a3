"""Cameca: images of the NanoSIMS."""
