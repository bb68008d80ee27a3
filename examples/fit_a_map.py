"""The permeability of every grain boundary of a map, without a viewer."""

import napari_liso as liso
from napari_liso.sample_data import llto_polycrystal

# Your own map: liso.read("map.h5", windows={"6Li": (6.00, 6.03), "7Li": (7.00, 7.03)});
# its grains: labels drawn in napari or ImageJ, or liso.segment_grains of a micrograph.
acquisition, grains, _ = llto_polycrystal()
n6, n7 = acquisition["6Li"], acquisition["7Li"]

fraction = liso.isotope_fraction(n6, n7, bin=4)
print(f"6Li fraction from {fraction.value.min():.2f} to {fraction.value.max():.2f}")

boundaries = liso.find_boundaries(grains, acquisition.pixel_size)
fit = liso.fit_diffusion(
    n6,
    n7,
    boundaries,
    experiment=liso.Experiment([liso.Stage(duration=4800, temperature=298.15)], source="left"),
    section="columnar",  # for a pellet, whose grains go on below the surface: "bulk"
    psf_fwhm=0.6e-6,
)

d, k = fit.diffusivity, fit.population.centre
print(f"D = {d.value:.2g} ({d.lower:.2g} to {d.upper:.2g}) m2/s, {d.verdict}")
print(f"median k = {k.value:.2g} ({k.lower:.2g} to {k.upper:.2g}) m/s, {k.verdict}")
resolved = fit.table[fit.table["verdict"] == "resolved"]
print(resolved.filter(regex="grain|permeability").sort_values("permeability"))
