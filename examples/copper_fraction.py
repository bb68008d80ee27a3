"""An isotope fraction that everybody knows, from a real measurement."""

import napari_liso as liso
from napari_liso.sample_data import copper_grid

# The same counts from the instrument's file:
# liso.read("PowerCo-102-Pos-Cu_Grid.h5", windows={"63Cu": (62.920, 62.945), ...})
copper = copper_grid()

# Sum counts first, then divide: a mean of the ratios of pixels would be biased.
heavy, light = copper["65Cu"].sum(), copper["63Cu"].sum()
f = liso.isotope_fraction([[heavy]], [[light]])

print(f"65Cu/(63Cu+65Cu) = {f.value.item():.4f} ({f.lower.item():.4f} to {f.upper.item():.4f})")
print("nature: 0.3085")
