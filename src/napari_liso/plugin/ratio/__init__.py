"""The isotope ratio: from the counts of layers to its map, without widgets."""
