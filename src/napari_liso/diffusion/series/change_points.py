"""Boundaries that a profile itself shows: steps that the grains' diffusion cannot make.

At every edge between two bins the series model asks whether a barrier there
would fit better: the efficient score of the binomial likelihood at 1/k = 0, D and
the barriers found so far fitted along. The best one is tried, moved to its best
place, and kept if the likelihood gains enough for the best of so many places.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_liso.diffusion.experiment import Experiment
from napari_liso.diffusion.series.given import (
    GivenProfiles,
    ProfileOptions,
    check_profiles,
    set_up,
)
from napari_liso.diffusion.series.problem import SeriesProblem
from napari_liso.diffusion.series.search import maximise
from napari_liso.diffusion.series.solve import find_maxima

__all__ = ["find_interfaces"]

FloatArray = NDArray[np.float64]

#: Bins that a grain has at least.
_LEAST_BINS = 3
#: 5 % point of a barrier at one known place.
_ONE_PLACE = 2.71
_MOST = 60
#: Bins by which a barrier is moved on trial, and how often.
_MOVES, _ROUNDS = (-3, -1, 1, 3), 6


def find_interfaces(
    given: GivenProfiles, experiment: Experiment, options: ProfileOptions
) -> FloatArray:
    """Positions of boundaries with a step, m, ascending; at edges between bins.

    Parameters
    ----------
    given
        One profile; its interfaces are ignored.
    experiment, options
        As of the fit.

    Notes
    -----
    A boundary without a step is not found, whether lithium passes freely or has not
    reached it.
    """
    options = replace(options, exclude=0.0, shared_d=True, shared_k=False)
    search = _Search(given, experiment, options)
    places: tuple[int, ...] = ()
    loss, dispersion = search.fit(places)
    threshold = _ONE_PLACE + 2 * np.log(max(search.candidates.size, 1))
    while len(places) < _MOST:
        new = search.most_wanted(places)
        if new is None:
            break
        trial = search.settle(tuple(sorted((*places, new))))
        trial_loss, dispersion = search.fit(trial)
        if 2 * (loss - trial_loss) < threshold * max(1.0, dispersion):
            break
        places, loss = trial, trial_loss
    places = search.without_needless(places, threshold)
    return given.edges[list(places)]


class _Search:
    """Fits of one profile with barriers at some of its edges, each done once."""

    def __init__(
        self, given: GivenProfiles, experiment: Experiment, options: ProfileOptions
    ) -> None:
        self.given, self.experiment, self.options = given, experiment, options
        self.candidates = np.arange(_LEAST_BINS, given.edges.size - _LEAST_BINS)
        self._last: dict[int, FloatArray] = {}
        self._fits: dict[tuple[int, ...], tuple[SeriesProblem, FloatArray, float, float]] = {}

    def _problem(self, places: tuple[int, ...]) -> SeriesProblem:
        given = check_profiles(
            self.given.distance,
            self.given.n6,
            self.given.total - self.given.n6,
            self.given.edges[list(places)],
            self.options,
        )
        return set_up(given, self.experiment, self.options)[0]

    def _solved(self, places: tuple[int, ...]) -> tuple[SeriesProblem, FloatArray, float, float]:
        if places not in self._fits:
            problem = self._problem(places)
            known = self._last.get(len(places))
            # A barrier that moves a little changes the others hardly: start from there.
            optima = (
                find_maxima(problem) if known is None else maximise(problem, known, None, 1e-4)
            )
            self._last[len(places)] = optima.theta
            dispersion = float(problem.dispersion(optima.theta)[0])
            self._fits[places] = (problem, optima.theta, float(optima.loss[0]), dispersion)
        return self._fits[places]

    def fit(self, places: tuple[int, ...]) -> tuple[float, float]:
        """Loss and dispersion with barriers at these edges."""
        return self._solved(places)[2:]

    def most_wanted(self, places: tuple[int, ...]) -> int | None:
        """Edge where a further barrier promises most; None if there is no room."""
        away = np.abs(self.candidates[:, None] - np.array(places, dtype=int)[None, :])
        room = self.candidates[away.min(axis=1, initial=10**9) >= _LEAST_BINS]
        if room.size == 0:
            return None
        _, theta, _, _ = self._solved(places)
        score = self._score(places, theta, room)
        return int(room[np.argmax(score)]) if score.max() > 0 else None

    def _score(
        self, places: tuple[int, ...], theta: FloatArray, room: NDArray[np.intp]
    ) -> FloatArray:
        """Squared efficient score of 1/k > 0 at each edge in `room`."""
        every = tuple(sorted({*places, *room.tolist()}))
        known = self._solved(places)[0].layout
        problem = self._problem(every)
        wide = problem.layout
        values = known.values(theta)
        start = np.zeros((1, wide.size))
        start[:, wide.layer_group] = values[:, known.layer_group[:1]]
        face_of = {edge: number + 1 for number, edge in enumerate(every)}
        old = np.array([face_of[p] for p in places], dtype=int)
        start[:, wide.face_group[old]] = values[:, known.face_group[1:]]
        for mine, theirs in (
            (wide.source_column, known.source_column),
            (wide.background_column, known.background_column),
            (wide.face_group[0], known.face_group[0]),
        ):
            if mine >= 0:
                start[:, mine] = values[:, theirs]
        _, down, curve = problem.linearise(wide.coordinates(start))
        tried = wide.face_group[[face_of[int(edge)] for edge in room]]
        held = np.setdiff1d(np.arange(wide.size), tried)
        inner = np.linalg.pinv(curve[0][np.ix_(held, held)], hermitian=True)
        across = curve[0][np.ix_(tried, held)]
        score = down[0][tried] - across @ inner @ down[0][held]
        size = curve[0][tried, tried] - ((across @ inner) * across).sum(axis=1)
        good = (score > 0) & (size > 1e-9 * curve[0][tried, tried])
        return np.where(good, score**2 / np.where(good, size, 1.0), 0.0)

    def settle(self, places: tuple[int, ...]) -> tuple[int, ...]:
        """Move barriers, one at a time, as long as that fits better."""
        for _ in range(_ROUNDS):
            before = places
            for number in range(len(places)):
                options = [places]
                for by in _MOVES:
                    moved = places[number] + by
                    rest = np.array(places[:number] + places[number + 1 :], dtype=int)
                    if (
                        self.candidates[0] <= moved <= self.candidates[-1]
                        and np.abs(rest - moved).min(initial=10**9) >= _LEAST_BINS
                    ):
                        options.append(tuple(sorted((*rest.tolist(), moved))))
                places = min(options, key=lambda choice: self.fit(choice)[0])
            if places == before:
                break
        return places

    def without_needless(self, places: tuple[int, ...], threshold: float) -> tuple[int, ...]:
        """Take out, one by one, barriers that later ones made needless."""
        while places:
            loss, dispersion = self.fit(places)
            rests = [places[:i] + places[i + 1 :] for i in range(len(places))]
            least = min(rests, key=lambda choice: self.fit(choice)[0])
            if 2 * (self.fit(least)[0] - loss) >= threshold * max(1.0, dispersion):
                break
            places = self.settle(least)
        return places
