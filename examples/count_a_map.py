"""From the frames of a real measurement to a fraction with all that a referee asks for."""

from pathlib import Path
from tempfile import gettempdir

import numpy as np

import napari_liso as liso
from napari_liso.sample_data import copper_grid

copper = copper_grid()  # six frames of 256 x 256 pixels of a copper grid
light, heavy = (np.asarray(counts) for counts in copper.counts)
nature = liso.natural_fraction("Cu", 65, 63)

# Whole-pixel drift, found on all ions of a frame: counts are moved, never interpolated.
shifts = liso.find_drift(light + heavy)
print("drift of each frame (dy, dx) in pixels:", shifts.tolist())
light, heavy = liso.align(light, shifts), liso.align(heavy, shifts)

# What the counts themselves say about the measurement.
for finding in liso.check_counts(heavy, light, reference=nature, names=("65Cu", "63Cu")).findings:
    print(f"{finding.verdict:9} {finding.text}")

# The instrument's mass fractionation, from the whole map as a natural reference.
alpha = liso.fractionation_from_reference(heavy, light, nature)
corrections = liso.Corrections(fractionation=alpha)
print(f"alpha = {alpha.value:.3f} +- {alpha.error:.3f}")

# Each quarter of the map a region; counts are added before any ratio is taken.
rows, columns = np.indices(light.shape[1:]) // 128
table = liso.region_table(heavy, light, 1 + 2 * rows + columns, copper.pixel_size, corrections)
print(table[["fraction", "lower", "upper", "counts", "dispersion"]].round(4))

# A band across the grid, 10 um wide, in steps of 8 um.
size = copper.pixel_size
line = [(128 * size[0], 0.0), (128 * size[0], 255 * size[1])]
band = liso.band_profile(heavy, light, line, width=10e-6, pixel_size=size, step=8e-6)
for place, value, low, high in zip(
    band.distance, band.fraction, band.lower, band.upper, strict=True
):
    print(f"{place * 1e6:5.1f} um  {value:.3f} ({low:.3f} to {high:.3f})")

path = Path(gettempdir()) / "copper_regions.csv"
facts = {"software": f"napari-liso {liso.__version__}", "corrections": corrections.describe()}
liso.write_table(path, table, facts, {"area": "m2"})
