"""The step Isotope fraction."""
