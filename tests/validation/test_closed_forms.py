"""The full and the reduced model against textbook solutions (`closed_forms`)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import closed_forms
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.linalg import expm
from strips import Strip

import napari_liso as liso
from napari_liso.diffusion.polycrystal import build_polycrystal, solve

FloatArray = NDArray[np.float64]

D = 2.6e-12
LENGTH = 20e-6
#: A boundary that is none: its resistance is 1e-4 of that of a single pixel.
TRANSPARENT = 1.0


def bar(n: int, time: float, exchange: float | None = None) -> Strip:
    """A bar of LENGTH, in two grains so that it has a boundary (which may be transparent)."""
    return Strip((n // 2, n - n // 2), LENGTH / n, [liso.Stage(time)], exchange)


# --- one homogeneous bar ---------------------------------------------------------------

EXCHANGE = 2 * D / LENGTH
HOMOGENEOUS: dict[str, tuple[float, float | None, Callable[[FloatArray, float], FloatArray]]] = {
    "half space, fixed fraction": (
        0.02,
        None,
        lambda x, t: closed_forms.half_space(x, D, t),
    ),
    "half space, surface exchange": (
        0.02,
        EXCHANGE,
        lambda x, t: closed_forms.half_space_exchange(x, D, EXCHANGE, t),
    ),
    "slab, fixed fraction": (
        0.4,
        None,
        lambda x, t: closed_forms.slab(x, LENGTH, D, t),
    ),
    "slab, surface exchange": (
        0.7,
        EXCHANGE,
        lambda x, t: closed_forms.slab_exchange(x, LENGTH, D, EXCHANGE, t),
    ),
}


@pytest.mark.parametrize("case", HOMOGENEOUS)
def test_homogeneous_bar(case: str) -> None:
    relative_time, exchange, expected = HOMOGENEOUS[case]
    time = relative_time * LENGTH**2 / D
    strip = bar(200, time, exchange)
    theta = expected(strip.x, time)
    assert theta.max() > 0.2  # something happened
    np.testing.assert_allclose(strip.full(TRANSPARENT, D), theta, atol=1e-4, rtol=0)
    # A front from t = 0 is what few shapes a grain describe worst: half the fit's tolerance.
    np.testing.assert_allclose(strip.reduced(TRANSPARENT, D, 3), theta, atol=5e-4, rtol=0)


def test_error_falls_with_the_square_of_the_pixel() -> None:
    time = 0.02 * LENGTH**2 / D
    errors = []
    for n in (50, 100, 200):
        strip = bar(n, time)
        theta = closed_forms.half_space(strip.x, D, time)
        errors.append(np.abs(strip.full(TRANSPARENT, D) - theta).max())
    np.testing.assert_allclose(np.array(errors[:-1]) / errors[1:], 4.0, rtol=0.1)


# --- one boundary ----------------------------------------------------------------------


@pytest.mark.parametrize("biot", [0.01, 0.1, 1.0, 10.0])
@pytest.mark.parametrize("early", [True, False])
def test_two_grains_behind_a_source(biot: float, early: bool) -> None:
    a, b = 0.4 * LENGTH, 0.6 * LENGTH
    k = biot * D / a
    time = (0.1 if early else 1.0) * (b / k + LENGTH**2 / D)
    strip = Strip((80, 120), LENGTH / 200, [liso.Stage(time)])
    theta = closed_forms.two_grains(strip.x, a, b, D, k, time)
    np.testing.assert_allclose(strip.full(k, D), theta, atol=3e-5, rtol=0)
    np.testing.assert_allclose(strip.reduced(k, D, 3), theta, atol=1e-4, rtol=0)
    # The lowest level, which fits of flat grains use: good to its advertised tolerance there.
    if biot <= 0.1:
        np.testing.assert_allclose(strip.reduced(k, D, 0), theta, atol=2e-3, rtol=0)


def test_contact_of_two_half_spaces() -> None:
    """A step of the fraction at a boundary: the solver starts uniform, its operator need not."""
    n, time = 240, 0.006 * LENGTH**2 / D
    k = 6 * D / LENGTH
    strip = bar(n, time)
    crystal = strip.crystal
    operator = crystal.stiffness(np.array([k]), D, False).toarray() / crystal.area
    start = np.where(crystal.to_image(np.arange(crystal.size)) >= 0, 0.0, np.nan)
    start[:, : n // 2] = 1.0
    end = crystal.to_image(expm(-operator * time) @ start.ravel()[crystal.pixel])[0]
    x = strip.x - LENGTH / 2
    expected = closed_forms.two_half_spaces(x, D, k, time)
    np.testing.assert_allclose(end, expected, atol=1e-4, rtol=0)
    # The flux through the two pixels' faces is k times the jump of the closed form.
    jump = closed_forms.jump_of_two_half_spaces(D, k, time)
    kappa = crystal.conductance(np.array([k]), D)[0]
    flux = kappa * (end[n // 2 - 1] - end[n // 2])
    assert 0.1 < jump < 0.9
    assert flux == pytest.approx(k * jump, rel=1e-3)


@pytest.mark.parametrize("level", [0, 2])
def test_one_well_mixed_grain_behind_a_boundary(level: int) -> None:
    """Flat grains: theta = 1 - exp(-k t / L), the regime of LLTO."""
    k = 1.4e-9
    n, pixel = 25, 0.2e-6
    time = n * pixel / k
    strip = Strip((n, n), pixel, [liso.Stage(time)])
    biot = k * n * pixel / D
    assert biot < 3e-3
    for profile in (strip.full(k, D), strip.reduced(k, D, level)):
        assert profile[n:].mean() == pytest.approx(1 - np.exp(-1.0), abs=biot)
        np.testing.assert_allclose(profile[:n], 1.0, atol=biot)


def test_chain_of_well_mixed_grains_with_an_anneal() -> None:
    """Graph of grains: L_i dc_i/dt = sum of k (c_j - c_i), exponentiated by itself."""
    pixel = 0.2e-6
    pieces = (10, 25, 15, 30, 20)
    k = np.array([1.0, 3.0, 0.5, 2.0]) * 1e-9
    stages = [liso.Stage(4000.0), liso.Stage(6000.0, source=False), liso.Stage(1500.0)]
    lengths = np.array(pieces) * pixel
    exchange = np.diag(np.append(0.0, k)) + np.diag(np.append(k, 0.0))
    exchange -= np.diag(k, 1) + np.diag(k, -1)
    theta = np.zeros(5)
    for stage in stages:
        operator = exchange.copy()
        if stage.source:  # the first grain is held at 1 by the source, 1e3 times faster than k
            operator[0, 0] += 2.6e-12 / (lengths[0] / 2)
        drive = operator @ np.ones(5) if stage.source else np.zeros(5)
        steady = np.ones(5) if stage.source else np.zeros(5)
        assert np.allclose(operator @ steady, drive)
        decay = expm(-operator / lengths[:, None] * stage.duration)
        theta = steady + decay @ (theta - steady)
    strip = Strip(pieces, pixel, stages)
    cuts = np.cumsum((0, *pieces))
    for profile in (strip.full(k, D), strip.reduced(k, D, 0)):
        means = [profile[i:j].mean() for i, j in pairwise(cuts)]
        np.testing.assert_allclose(means, theta, atol=4e-3)


def test_series_of_grains_at_quasi_steady_state() -> None:
    """One flux through all: steps in the ratio of 1/k, and D/k = step / gradient."""
    pixel, n = 0.25e-6, 20
    k = np.array([1.0, 4.0, 2.0]) * D / (n * pixel)
    # A last grain so long that it swallows all: after n^2 pixel^2/D the front part is steady.
    strip = Strip((n, n, n, 3000), pixel, [liso.Stage(3 * (10 * n * pixel) ** 2 / D)])
    profile = strip.full(k, D)
    steps, slopes = [], []
    for i in (1, 2, 3):
        left, right = profile[i * n - 1], profile[i * n]
        slope = (profile[i * n - 3] - profile[i * n - 1]) / (2 * pixel)
        steps.append(left - right - slope * pixel)  # pixel centres are half a pixel away each
        slopes.append(slope)
    np.testing.assert_allclose(np.array(steps) / np.array(slopes), D / k, rtol=0.02)
    np.testing.assert_allclose(np.array(steps) * k / (steps[0] * k[0]), 1.0, rtol=0.02)


def test_chain_of_equal_grains_becomes_one_medium() -> None:
    """Many grains: the erfc of 1/D_eff = 1/D + 1/(k d), read at the middles of the grains."""
    n, grains, pixel = 12, 60, 0.4e-6
    d = n * pixel
    k = 0.1 * D / d
    effective = 1 / (1 / D + 1 / (k * d))
    assert liso.effective_diffusivity(D, k, d) == pytest.approx(effective)
    time = (12 * d) ** 2 / (4 * effective)
    # The chain begins with half a boundary: a surface of resistance 1 / (2 k).
    strip = Strip((n,) * grains, pixel, [liso.Stage(time)], exchange=2 * k)
    profile = strip.full(k, D)
    middles = profile.reshape(grains, n).mean(axis=1)
    x = (np.arange(grains) + 0.5) * d
    expected = closed_forms.half_space(x, effective, time)
    np.testing.assert_allclose(middles, expected, atol=3e-3)


# --- geometry --------------------------------------------------------------------------


@pytest.mark.parametrize("degrees", [0.0, 20.0, 30.0, 45.0])
def test_tilted_boundary_lets_through_as_much_as_a_straight_one(degrees: float) -> None:
    """Flat grains: ln(1 - theta) = -k length t / area of the far grain, at any angle."""
    n, pixel, k = 80, 0.25e-6, 1.4e-9
    y, x = np.indices((n, n)) + 0.5
    slope = np.tan(np.radians(degrees))
    grains = np.where(x - n / 2 > slope * (y - n / 2), 2, 1)
    length = n * pixel / np.cos(np.radians(degrees))
    area = n * n * pixel**2 / 2
    time = area / (length * k)
    experiment = liso.Experiment(
        [liso.Stage(time)],
        # Held at 1 all over: gradients within the near grain are no matter here.
        source=(x < 1) & (grains == 1),
        source_fraction=1.0,
        background_fraction=0.0,
    )
    found = liso.find_boundaries(grains, pixel)
    crystal = build_polycrystal(found, experiment)
    values = solve(crystal, experiment.stages, np.array([k]), 100 * D, 0.0, 1.0)
    theta = crystal.to_image(values)[grains == 2].mean()
    through = -np.log1p(-theta) * area / (length * time)
    assert through == pytest.approx(k, rel=0.03)


@pytest.mark.parametrize("degrees", [0.0, 20.0, 30.0, 45.0])
def test_tilted_boundary_between_gradients(degrees: float) -> None:
    """Through a tilted bar whose ends follow the tilt, the steady flux is that of the series."""
    n, pixel = 200, 0.12e-6
    y, x = np.indices((n, n)) + 0.5
    angle = np.radians(degrees)
    along = (x - n / 2) * np.cos(angle) + (y - n / 2) * np.sin(angle)
    across = -(x - n / 2) * np.sin(angle) + (y - n / 2) * np.cos(angle)
    grains = np.zeros((n, n), dtype=int)
    bar_ = (np.abs(across) < 48) & (np.abs(along) < 72)
    grains[bar_ & (along < 0)] = 1
    grains[bar_ & (along >= 0)] = 2
    half = 72 * pixel
    k = D / half
    time = 0.6 * half**2 / D
    experiment = liso.Experiment(
        [liso.Stage(time)],
        source=bar_ & (along < -71),
        source_fraction=1.0,
        background_fraction=0.0,
    )
    crystal = build_polycrystal(liso.find_boundaries(grains, pixel), experiment)
    image = crystal.to_image(solve(crystal, experiment.stages, np.array([k]), D, 0.0, 1.0))
    position = (along[bar_] + 72) * pixel
    expected = closed_forms.two_grains(position, half, half, D, k, time)
    beyond = position > half
    uptake, right = image[bar_][beyond].mean(), expected[beyond].mean()
    assert 0.05 < right < 0.9
    assert uptake == pytest.approx(right, rel=0.03)


# --- an independent small model --------------------------------------------------------


def test_stages_on_a_mosaic_against_a_matrix_exponential() -> None:
    """Nine rectangular grains, oblong pixels, a pore, surface exchange, three stages."""
    height, width = 0.5e-6, 0.8e-6
    rows, columns = np.indices((13, 12))
    grains = 1 + 3 * np.digitize(rows, (4, 9)) + np.digitize(columns, (5, 8))
    grains[5:7, 6:8] = 0
    k_of = dict(
        zip(
            [
                *((1, 2), (2, 3), (4, 5), (5, 6), (7, 8), (8, 9)),
                *((1, 4), (4, 7), (2, 5), (5, 8), (3, 6), (6, 9)),
            ],
            np.geomspace(1e-8, 3e-6, 12),
            strict=True,
        )
    )
    exchange = 4e-7
    stages = [liso.Stage(8.0), liso.Stage(5.0, source=False), liso.Stage(4.0)]

    # Assembled pixel by pixel, without any of the package's geometry.
    inside = [tuple(p) for p in np.argwhere(grains > 0)]
    number = {p: i for i, p in enumerate(inside)}
    flow = np.zeros((len(inside), len(inside)))
    sink = np.zeros(len(inside))
    for (r, c), i in number.items():
        for other, face, way in (((r + 1, c), width, height), ((r, c + 1), height, width)):
            if other not in number:
                continue
            pair = tuple(sorted((int(grains[r, c]), int(grains[other]))))
            barrier = 0.0 if pair[0] == pair[1] else 1 / k_of[pair]
            g = face / (way / D + barrier)
            j = number[other]
            flow[i, i] += g
            flow[j, j] += g
            flow[i, j] -= g
            flow[j, i] -= g
        if c == 0:
            sink[i] = height / (1 / exchange + width / 2 / D)
    theta = np.full(len(inside), 0.2)
    for stage in stages:
        operator = (flow + np.diag(sink) * stage.source) / (height * width)
        goal = 0.9 if stage.source else 0.0
        theta = goal + expm(-operator * stage.duration) @ (theta - goal)
    expected = np.full(grains.shape, np.nan)
    expected[tuple(np.array(inside).T)] = theta

    experiment = liso.Experiment(
        stages, source_fraction=0.9, background_fraction=0.2, surface_exchange=exchange
    )
    found = liso.find_boundaries(grains, (height, width))
    crystal = build_polycrystal(found, experiment)
    pairs = found.table[["grain_a", "grain_b"]].to_numpy()
    k = np.array([k_of[int(a), int(b)] for a, b in pairs])
    image = crystal.to_image(solve(crystal, stages, k, D, 0.2, 0.9))
    # Boundaries along the pixels; only at the corners of the pore and the triple points may
    # the smoothed normals differ from the pixels' own.
    np.testing.assert_array_equal(np.isnan(image), grains == 0)
    assert np.nanmax(np.abs(image - expected)) < 1e-6
    assert np.nanmax(expected) - np.nanmin(expected) > 0.3
