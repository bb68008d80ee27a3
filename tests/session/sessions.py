"""Sessions to save, and how to tell whether two are identical."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_liso.acquisition import Acquisition
from napari_liso.counting.corrections import Corrections
from napari_liso.counting.measured import Measured
from napari_liso.diffusion.experiment import Experiment, Stage
from napari_liso.diffusion.full_model import FullModel
from napari_liso.diffusion.results import DiffusionFit, Estimate, Population
from napari_liso.microstructure.boundaries import Boundaries, find_boundaries
from napari_liso.microstructure.update import find_patch
from napari_liso.session import SavedLayer, Session


def require_identical(one: Any, other: Any, where: str = "session") -> None:
    """Fail unless two values are the same to the last bit; NaN equals NaN."""
    assert type(one) is type(other), where
    if isinstance(one, np.ndarray):
        assert (one.dtype, one.shape) == (other.dtype, other.shape), where
        assert one.dtype == object or one.tobytes() == other.tobytes(), where
        if one.dtype == object:
            require_identical(one.tolist(), other.tolist(), where)
    elif isinstance(one, pd.DataFrame):
        pd.testing.assert_frame_equal(one, other, check_exact=True, obj=where)
        for name in one.columns:
            if one[name].dtype == object:
                require_identical(one[name].tolist(), other[name].tolist(), f"{where}.{name}")
    elif dataclasses.is_dataclass(one):
        for field in dataclasses.fields(one):
            mine, theirs = getattr(one, field.name), getattr(other, field.name)
            if not callable(mine) or dataclasses.is_dataclass(mine):
                require_identical(mine, theirs, f"{where}.{field.name}")
    elif isinstance(one, dict):
        assert list(one) == list(other), where
        for key in one:
            require_identical(one[key], other[key], f"{where}[{key!r}]")
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other), where
        for i, (a, b) in enumerate(zip(one, other, strict=True)):
            require_identical(a, b, f"{where}[{i}]")
    elif isinstance(one, float):
        assert np.float64(one).tobytes() == np.float64(other).tobytes() or one != one, where
    else:
        assert one == other, where


def full_session(seed: int = 0, shape: tuple[int, int] = (40, 50)) -> Session:
    """A session with every part: counts, edited boundaries, a source mask, two fits, a layer."""
    rng = np.random.default_rng(seed)
    grains = np.repeat(np.repeat(rng.integers(1, 9, (8, 10)), 5, 0), 5, 1)[: shape[0], : shape[1]]
    boundaries = find_boundaries(grains.astype(np.uint16), (0.4e-6, 0.5e-6))
    edited = grains.copy()
    edited[edited == 3] = 4
    edited[:10, :10] = 60
    patch = find_patch(boundaries, edited.astype(np.uint16))
    assert patch is not None
    boundaries = patch.apply(boundaries)
    boundaries = boundaries.with_state(boundaries.table.index[:3], "exclude")
    boundaries = boundaries.with_note(boundaries.table.index[4], "ä \n — β \x00 🧭")
    mask = np.zeros(grains.shape, bool)
    mask[5:9, 0] = True
    experiment = Experiment(
        [Stage(600.0, 350.0), Stage(60.0, 350.0, source=False)], mask, 0.9, surface_exchange=1e-7
    )
    counts = rng.poisson(30, (2, 3, *grains.shape)).astype(np.uint16)
    acquisition = Acquisition(
        counts,
        ("6Li", "7Li"),
        np.array([6.015, np.nan]),
        boundaries.pixel_size,
        pulses=np.full((3, 1, 1), 1000),
        metadata={"format": "test", "path": "/nowhere/map.h5", "warnings": ["a", "ß"]},
    )
    fit = fit_of(boundaries, experiment, rng)
    layer = SavedLayer(
        "image",
        np.asfortranarray(rng.normal(size=grains.shape).astype(np.float32)),
        {"name": "a", "scale": (1.0, 2.0), "features": pd.DataFrame({"x": [1, 2]})},
        acquisition,
    )
    return Session(
        acquisition=acquisition,
        grains=boundaries.drawn,
        boundaries=boundaries,
        experiment=experiment,
        corrections=Corrections(hydride_ratio=Measured(0.01, 0.002, "mass 8")),
        fits={"all": fit, "two of them": fit_of(boundaries, experiment, rng)},
        settings={"fit": {"psf_fwhm": 1e-7}, "stale": frozenset({3, 1})},
        provenance={"versions": {"napari": "0.9"}},
        layers=(layer,),
    )


def fit_of(
    boundaries: Boundaries, experiment: Experiment, rng: np.random.Generator
) -> DiffusionFit:
    table = boundaries.table.query("state != 'removed'")[["grain_a", "grain_b"]].copy()
    k = 10.0 ** rng.uniform(-9, -6, len(table))
    table["permeability"], table["permeability_lower"] = k, np.where(k < 1e-8, 0.0, k / 2)
    table["permeability_upper"] = np.where(k > 1e-7, np.inf, 2 * k)
    table["verdict"] = pd.Series(["resolved"] * len(table), index=table.index, dtype=object)
    table["information"], table["step"], table["biot"], table["resistance"] = 0.9, 0.1, 0.2, 1 / k
    shape = boundaries.grains.shape
    fraction = np.where(boundaries.grains > 0, rng.uniform(size=shape), np.nan)
    return DiffusionFit(
        table=table,
        diffusivity=Estimate(2.6e-12, 0.0, float("inf"), "unresolved"),
        population=Population(
            Estimate(3e-8, 2e-8, 4e-8, "resolved"), Estimate(0.8, 0.6, 1.1, "resolved")
        ),
        fraction=fraction,
        residual=rng.normal(size=shape),
        used=rng.uniform(size=shape) > 0.2,
        dispersion=1.02,
        section="bulk",
        warnings=["The tracer has not reached 2 grains."],
        provenance={"seed": 0, "experiment": experiment.describe()},
        full_fraction=FullModel(boundaries, experiment, k, 2.6e-12),
        counted=None,
    )


# --- random ones ------------------------------------------------------------------------------

_floats = st.floats(allow_nan=True, allow_infinity=True)
_leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**80), 2**80),
    _floats,
    st.text(),
    hnp.arrays(
        st.sampled_from(["u1", "<i4", "i8", "f4", ">f8", "?", "c16"]),
        hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=20),
    ),
)
values = st.recursive(
    _leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.one_of(st.text(), st.integers()), inner, max_size=4),
    ),
    max_leaves=12,
)


@st.composite
def boundaries(draw: st.DrawFn) -> Boundaries:
    """Boundaries of random grains after some random edits, with random states and notes."""
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=9))
    labels = hnp.arrays(np.uint16, shape, elements=st.integers(0, 4))
    made = find_boundaries(_with_a_grain(draw(labels)), (1e-7, 2e-7))
    for _ in range(draw(st.integers(0, 2))):
        patch = find_patch(made, _with_a_grain(draw(labels)))
        made = made if patch is None else patch.apply(made)
    there = made.table.index[made.table["state"] != "removed"].tolist()
    for number in there:
        state = draw(st.sampled_from(["use", "exclude", "locked"]))
        made = made.with_state(number, state).with_note(number, draw(st.text(max_size=5)))
    return made


def _with_a_grain(labels: np.ndarray) -> np.ndarray:
    labels = labels.copy()
    labels[0, 0] = max(labels[0, 0], 1)
    return labels


@st.composite
def sessions(draw: st.DrawFn) -> Session:
    """Sessions of which any part may be missing."""
    found = draw(st.none() | boundaries())
    counts = draw(
        st.none()
        | hnp.arrays(
            st.sampled_from(["u2", "i8", "f4"]),
            hnp.array_shapes(min_dims=4, max_dims=4, max_side=4),
        )
    )
    acquisition = None
    if counts is not None:
        masses = draw(hnp.arrays(np.float64, counts.shape[0], elements=_floats))
        acquisition = Acquisition(
            counts,
            tuple(f"{i}" for i in range(counts.shape[0])),
            masses,
            metadata=draw(st.dictionaries(st.text(), values, max_size=3)),
        )
    experiment = draw(st.none() | st.just(Experiment([Stage(1.0)], "top", 0.5)))
    fits = {}
    if found is not None and experiment is not None:
        rng = np.random.default_rng(draw(st.integers(0, 9)))
        fits = {name: fit_of(found, experiment, rng) for name in draw(st.sets(st.text()))}
    return Session(
        acquisition=acquisition,
        grains=None if found is None or draw(st.booleans()) else found.drawn,
        boundaries=found,
        experiment=experiment,
        corrections=draw(st.none() | st.just(Corrections())),
        fits=fits,
        settings=draw(st.dictionaries(st.text(), values, max_size=3)),
        provenance=draw(st.dictionaries(st.text(), values, max_size=3)),
    )
