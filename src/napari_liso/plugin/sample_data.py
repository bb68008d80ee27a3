"""File > Open Sample > napari-liso."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_liso.plugin import layers as ly
from napari_liso.plugin.overlays import show_scale_bar

if TYPE_CHECKING:
    from napari_liso.acquisition import Acquisition
    from napari_liso.diffusion.experiment import Experiment

__all__ = ["analysed_polycrystal", "copper_grid", "simulated_polycrystal"]


def copper_grid() -> list[ly.LayerData]:
    """Counts of 63Cu and 65Cu on a copper grid: a real measurement."""
    from napari_liso import sample_data

    return ly.acquisition_layers(sample_data.copper_grid())


def simulated_polycrystal() -> list[ly.LayerData]:
    """Counts of 6Li and 7Li of a simulated polycrystal, and its grains."""
    from napari_liso import sample_data

    acquisition, grains, experiment = sample_data.llto_polycrystal()
    placement = ly.Placement.of_pixel_size(acquisition.pixel_size)
    data, arguments, kind = ly.grains_layer(grains, placement, sources=acquisition.channels)
    return [*_counts(acquisition, experiment), (data, {**arguments, "visible": False}, kind)]


def analysed_polycrystal() -> list[ly.LayerData]:
    """The simulated polycrystal with fraction, boundaries and fit in place."""
    from napari_liso import sample_data
    from napari_liso.counting.fraction import isotope_fraction
    from napari_liso.microstructure.boundaries import find_boundaries

    acquisition, grains, experiment = sample_data.llto_polycrystal()
    fit = sample_data.llto_polycrystal_fit()
    n6, n7 = acquisition["6Li"], acquisition["7Li"]
    placement = ly.Placement.of_pixel_size(acquisition.pixel_size)
    if acquisition.pixel_size is None:
        raise ValueError("the sample has no pixel size")
    fraction = isotope_fraction(n6, n7)
    limits = (experiment.background_fraction, experiment.source_fraction)
    counts = [
        (data, {**arguments, "visible": False}, kind)
        for data, arguments, kind in _counts(acquisition, experiment)
    ]
    data, arguments, kind = ly.grains_layer(grains, placement, sources=acquisition.channels)
    _dress_later()
    return [
        *counts,
        ly.fraction_layer(
            fraction, "6Li fraction", placement, limits=limits, sources=acquisition.channels
        ),
        (data, {**arguments, "visible": False}, kind),
        *ly.fit_layers(
            fit,
            find_boundaries(grains, acquisition.pixel_size),
            placement,
            limits=limits,
            sources=(*acquisition.channels, ly.GRAINS),
            grains=(ly.GRAINS,),
        ),
    ]


def _counts(acquisition: Acquisition, experiment: Experiment) -> list[ly.LayerData]:
    """Return the counts layers, with all that the fit's form needs to fill itself."""
    layers = ly.acquisition_layers(acquisition)
    for _, arguments, _ in layers:
        record: dict[str, Any] = arguments["metadata"][ly.PROVENANCE]
        record["experiment"] = experiment.describe()
        record["section"] = "columnar"
        record["psf_fwhm"] = acquisition.metadata["truth"]["psf_fwhm"]
    return layers


def _dress_later() -> None:
    """Turn on the colour scales and the scale bar once napari has made layers of what is returned.

    A layer tuple cannot ask for a colour scale, and without one the colours of
    the boundaries could not be read.
    """
    from napari import current_viewer

    viewer = current_viewer()
    if viewer is None:
        return
    from qtpy.QtCore import QTimer

    def dress_all() -> None:
        for layer in viewer.layers:
            ly.dress(layer)
        show_scale_bar(viewer)

    QTimer.singleShot(0, dress_all)
