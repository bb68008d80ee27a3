"""Speed of the series model in one run with solvers that people use for it.

One forward solution of two grains with a boundary at 200 points against solve_ivp
BDF and banded LSODA on 200 finite volumes, and FiPy where it is installed; a whole
fit, batched, against lmfit around LSODA where that is installed, else scipy's
leastsq, which lmfit calls. Each peer must itself be within 3e-3 of the series of
eigenfunctions. Ratios of the best of several rounds, taken by turns; the gates
are about half of what a quiet machine shows.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sparse
from numpy.typing import NDArray
from scipy.integrate import solve_ivp
from scipy.optimize import leastsq

import napari_liso as liso
from napari_liso.diffusion.series.chain import Chain
from napari_liso.diffusion.series.model import Groups, respond, respond_with_slopes
from napari_liso.diffusion.series.plan import Period
from napari_liso.diffusion.series.results import ProfileBatch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "validation"))
from closed_forms import two_grains

FloatArray = NDArray[np.float64]

#: um and s: D, k, length of either grain, time.
CASES = {"A": (2.6, 0.014, 20.0, 60.0), "B": (26.0, 0.014, 10.0, 300.0)}
CELLS, ROUNDS = 200, 5
SOURCE, BACKGROUND = 0.95, 0.0759


def best_by_turns(*calls: Callable[[], object], rounds: int = ROUNDS) -> list[float]:
    """Shortest time of each, s; fast ones are repeated to some milliseconds."""
    best = [np.inf] * len(calls)
    repeats = []
    for call in calls:
        start = time.perf_counter()
        call()
        repeats.append(max(1, int(0.01 / (time.perf_counter() - start))))
    for _ in range(rounds):
        for i, (call, number) in enumerate(zip(calls, repeats, strict=True)):
            start = time.perf_counter()
            for _ in range(number):
                call()
            best[i] = min(best[i], (time.perf_counter() - start) / number)
    return best


class Cells:
    """The same two grains in finite volumes."""

    def __init__(self, d: float, k: float, grain: float, t: float, cells: int = CELLS) -> None:
        self.h, self.t, n = 2 * grain / cells, t, cells
        g = np.full(n - 1, d / self.h**2)
        g[n // 2 - 1] = 1 / (self.h * (1 / k + self.h / d))
        self.g, self.first = g, 2 * d / self.h**2
        self.diagonal = -np.append(g, 0) - np.append(0, g)
        self.diagonal[0] -= self.first
        self.x = (np.arange(n) + 0.5) * self.h
        self.matrix = sparse.diags([g, self.diagonal, g], [-1, 0, 1], format="csc")

    def rate(self, _: float, u: FloatArray) -> FloatArray:
        result = self.diagonal * u
        result[0] += self.first
        result[:-1] += self.g * u[1:]
        result[1:] += self.g * u[:-1]
        return result

    def solve(self, method: str, tolerance: float, **options: object) -> FloatArray:
        found = solve_ivp(
            self.rate, (0, self.t), np.zeros(self.x.size), method=method, t_eval=[self.t],
            rtol=tolerance, atol=1e-2 * tolerance, **options,
        )  # fmt: skip
        return found.y[:, -1]

    def lsoda(self, tolerance: float = 1e-4) -> FloatArray:
        return self.solve("LSODA", tolerance, lband=1, uband=1)


@pytest.mark.parametrize("case", CASES)
def test_forward(benchmark, case: str) -> None:
    d, k, grain, t = CASES[case]
    cells = Cells(d, k, grain, t)
    chain = Chain(np.array([grain, grain]), [Period(t)], cells.x)
    inverse, rho = np.full((1, 2), 1 / d), np.array([[0.0, 1 / k]])
    groups = Groups(np.zeros(2, int), np.array([-1, 1]), 2)
    truth = two_grains(cells.x, grain, grain, d, k, t)

    def ours() -> FloatArray:
        return respond(chain, inverse, rho)[0]

    peers = {
        "lsoda_banded": cells.lsoda,
        "bdf": lambda: cells.solve("BDF", 1e-4),
        "bdf_sparse": lambda: cells.solve("BDF", 1e-4, jac=cells.matrix),
        "derivatives": lambda: respond_with_slopes(chain, inverse, rho, groups),
    }
    assert np.abs(ours() - truth).max() < 1e-7
    for name in ("lsoda_banded", "bdf", "bdf_sparse"):
        error = np.abs(peers[name]() - truth).max()
        benchmark.extra_info[f"error_{name}"] = float(error)
        assert error < 3e-3
    mine, *times = best_by_turns(ours, *peers.values())
    ratios = {name: value / mine for name, value in zip(peers, times, strict=True)}
    benchmark.extra_info.update({f"{name}_over_ours": r for name, r in ratios.items()})
    print(case, f"ours {1e6 * mine:.0f} us;", {n: round(r, 1) for n, r in ratios.items()})
    assert ratios["lsoda_banded"] > 30
    assert ratios["bdf"] > 150
    assert ratios["derivatives"] < 5
    benchmark(ours)


def test_forward_against_fipy(benchmark) -> None:
    fipy = pytest.importorskip("fipy", reason="FiPy is not installed")
    d, k, grain, t = CASES["A"]
    mesh = fipy.Grid1D(nx=CELLS, Lx=2 * grain)
    h = 2 * grain / CELLS
    # the face of the boundary has the conductance of grain, boundary and grain in series
    coefficient = fipy.FaceVariable(mesh=mesh, value=d)
    faces = mesh.faceCenters.value[0]
    coefficient.setValue(h / (h / d + 1 / k), where=np.abs(faces - grain) < h / 4)
    cells = Cells(d, k, grain, t)

    def peer() -> FloatArray:
        c = fipy.CellVariable(mesh=mesh, value=0.0)
        c.constrain(1.0, mesh.facesLeft)
        equation = fipy.TransientTerm() == fipy.DiffusionTerm(coeff=coefficient)
        solver = fipy.LinearLUSolver(tolerance=1e-12)
        for _ in range(100):
            equation.solve(var=c, dt=t / 100, solver=solver)
        return np.array(c.value)

    chain = Chain(np.array([grain, grain]), [Period(t)], cells.x)
    inverse, rho = np.full((1, 2), 1 / d), np.array([[0.0, 1 / k]])
    assert np.abs(peer() - two_grains(cells.x, grain, grain, d, k, t)).max() < 3e-3
    mine, theirs = best_by_turns(lambda: respond(chain, inverse, rho), peer, rounds=2)
    benchmark.extra_info["fipy_over_ours"] = theirs / mine
    assert theirs / mine > 2500
    benchmark(respond, chain, inverse, rho)


def test_batched_fit(benchmark) -> None:
    """400 profiles of 40 bins, D, k and source fraction free; the peer fits one of them."""
    grain, t = 20e-6, 300.0
    fine = (np.arange(400) + 0.5) * 0.1e-6
    share = two_grains(1e6 * fine, 20.0, 20.0, 2.6, 0.13, t).reshape(40, 10).mean(axis=1)
    fraction = BACKGROUND + (SOURCE - BACKGROUND) * share
    rng = np.random.default_rng(0)
    total = rng.poisson(1000.0, (400, 40))
    n6 = rng.binomial(total, fraction)
    x = (np.arange(40) + 0.5) * 1e-6
    experiment = liso.Experiment(
        [liso.Stage(t)], source_fraction=SOURCE, background_fraction=BACKGROUND
    )

    def ours() -> ProfileBatch:
        return liso.fit_profiles(
            x, n6, total - n6, [grain], experiment,
            exclude=0.0, intervals=False, source_fraction="fit",
        )  # fmt: skip

    def residual(p: FloatArray) -> FloatArray:
        cells = Cells(float(np.exp(p[0])), float(np.exp(p[1])), 20.0, t)
        means = cells.lsoda().reshape(40, -1).mean(axis=1)
        c = np.clip(BACKGROUND + (p[2] - BACKGROUND) * means, 1e-6, 1 - 1e-6)
        n, six = total[0], n6[0]
        seven = n - six
        deviance = six * np.log(np.maximum(six, 1) / (n * c))
        deviance += seven * np.log(np.maximum(seven, 1) / (n * (1 - c)))
        return np.sign(six - n * c) * np.sqrt(2 * np.maximum(deviance, 0.0))

    start = np.array([np.log(2.6 * 2), np.log(0.13 / 2), 0.9])

    def peer() -> FloatArray:
        try:
            import lmfit
        except ImportError:
            # what lmfit.minimize calls, without its own work around it
            benchmark.extra_info["peer"] = "scipy leastsq + LSODA (lmfit is not installed)"
            return leastsq(residual, start, epsfcn=1e-6)[0]
        benchmark.extra_info["peer"] = "lmfit + LSODA"
        free = lmfit.Parameters()
        for name, value in zip("dks", start, strict=True):
            free.add(name, value)
        made = lmfit.minimize(
            lambda p: residual(np.array([p[name].value for name in "dks"])), free, epsfcn=1e-6
        )
        return np.array([made.params[name].value for name in "dks"])

    found = ours()
    assert abs(np.log(1e6 * found.permeability[0, 0]) - peer()[1]) < 0.02
    mine, single = best_by_turns(ours, peer, rounds=8)
    ratio = single / (mine / 400)
    benchmark.extra_info["peer_over_ours"] = ratio
    print(f"ours {1e6 * mine / 400:.0f} us; peer {1e3 * single:.0f} ms; ratio {ratio:.0f}")
    assert ratio > 300
    benchmark.pedantic(ours, rounds=3)


def test_intervals(benchmark) -> None:
    """A single fit with its profile-likelihood intervals and warnings."""
    rng = np.random.default_rng(0)
    x = (np.arange(40) + 0.5) * 1e-6
    share = two_grains(1e6 * x, 20.0, 20.0, 2.6, 0.13, 300.0)
    n6 = rng.binomial(1000, BACKGROUND + (SOURCE - BACKGROUND) * share)
    experiment = liso.Experiment(
        [liso.Stage(300.0)], source_fraction=SOURCE, background_fraction=BACKGROUND
    )
    benchmark(liso.fit_profile, x, n6, 1000 - n6, [20e-6], experiment)
