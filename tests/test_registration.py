"""Landmarks: exact transforms, scikit-image and scipy as outside references, and refits."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from scipy.optimize import least_squares
from skimage.transform import estimate_transform

from napari_liso.registration import fit_landmarks, match_landmarks

MOVING = np.array([[12.0, 30.0], [400.0, 80.0], [220.0, 700.0], [350.0, 500.0], [60.0, 610.0]])
TRIANGLE = MOVING[:3]
EQUILATERAL = np.array([[0.0, 0.0], [0.0, 2.0], [np.sqrt(3.0), 1.0]])


def turned(
    points: np.ndarray, degrees: float, scale: float, shift: tuple[float, float]
) -> np.ndarray:
    """Turn x toward y (clockwise with y down), written out coordinate by coordinate."""
    t = np.radians(degrees)
    y, x = points.T
    return np.column_stack(
        [
            scale * (np.sin(t) * x + np.cos(t) * y) + shift[0],
            scale * (np.cos(t) * x - np.sin(t) * y) + shift[1],
        ]
    )


def noisy(points: np.ndarray, sigma: float, seed: int = 3) -> np.ndarray:
    return points + np.random.default_rng(seed).normal(0, sigma, points.shape)


class TestSimilarity:
    def test_returns_turn_scale_and_shift(self) -> None:
        fixed = turned(MOVING, 33.0, 0.08, (5.0, -7.0))
        fit = fit_landmarks(MOVING, fixed)
        assert fit.scale == pytest.approx(0.08)
        assert fit.rotation == pytest.approx(33.0)
        assert fit.stretch == pytest.approx(1.0)
        assert not fit.mirrored
        assert fit.residuals == pytest.approx(np.zeros(5), abs=1e-10)
        assert fit.warnings == ()
        assert fit.redundancy == 6
        # a point that was no landmark; the origin goes to the shift
        assert fit([[0.0, 0.0]]) == pytest.approx(np.array([[5.0, -7.0]]))
        assert fit.matrix[2] == pytest.approx([0, 0, 1])

    def test_axes_are_y_then_x(self) -> None:
        fit = fit_landmarks(TRIANGLE, TRIANGLE + np.array([10.0, 0.0]))
        assert fit.matrix == pytest.approx(np.array([[1, 0, 10], [0, 1, 0], [0, 0, 1]]), abs=1e-12)

    def test_agrees_with_scikit_image(self) -> None:
        fixed = noisy(turned(MOVING, -70.0, 0.3, (20.0, 4.0)), 2.0)
        # scikit-image counts (x, y)
        theirs = estimate_transform("similarity", MOVING[:, ::-1], fixed[:, ::-1])
        expected = theirs(MOVING[:, ::-1])[:, ::-1]
        fit = fit_landmarks(MOVING, fixed)
        assert fit(MOVING) == pytest.approx(expected)
        assert fit.residuals == pytest.approx(np.linalg.norm(fixed - expected, axis=1))
        assert fit.rms == pytest.approx(np.sqrt(np.mean(fit.residuals**2)))

    @pytest.mark.parametrize("mirrored", [False, True])
    def test_left_out_residuals_are_those_of_refits(self, mirrored: bool) -> None:
        moving = MOVING * [1, -1] if mirrored else MOVING
        fixed = noisy(turned(MOVING, 12.0, 0.1, (0.0, 0.0)), 1.0)
        fit = fit_landmarks(moving, fixed, mirrored=mirrored)
        for i in range(5):
            rest = np.arange(5) != i
            without = fit_landmarks(moving[rest], fixed[rest], mirrored=mirrored)
            miss = np.linalg.norm(fixed[i] - without(moving[i])[0])
            assert fit.left_out[i] == pytest.approx(miss)

    def test_tells_that_an_image_is_mirrored(self) -> None:
        fixed = turned(MOVING * [1.0, -1.0], 25.0, 0.1, (3.0, 2.0))
        (hint,) = fit_landmarks(MOVING, fixed).warnings
        assert "tick Mirrored" in hint
        fit = fit_landmarks(MOVING, fixed, mirrored=True)
        assert fit.warnings == ()
        assert fit.mirrored
        assert np.linalg.det(fit.matrix) < 0
        assert fit(MOVING) == pytest.approx(fixed)
        (hint,) = fit_landmarks(MOVING * [1.0, -1.0], fixed, mirrored=True).warnings
        assert "untick Mirrored" in hint

    def test_tells_that_an_image_is_stretched(self) -> None:
        fixed = noisy(turned(MOVING * [0.5, 1.0], 25.0, 0.1, (3.0, 2.0)), 0.1)
        (hint,) = fit_landmarks(MOVING, fixed).warnings
        assert "allow stretch and shear" in hint
        assert fit_landmarks(MOVING, fixed, "affine").warnings == ()

    def test_noise_is_no_mirror(self) -> None:
        """Three landmarks clicked 2 % off, many times: the hint never comes."""
        fixed = turned(TRIANGLE, 10.0, 1.0, (0.0, 0.0))
        spread = np.sqrt(np.mean(np.sum((fixed - fixed.mean(axis=0)) ** 2, axis=1)))
        for seed in range(200):
            assert fit_landmarks(TRIANGLE, noisy(fixed, 0.02 * spread, seed)).warnings == ()


class TestAffine:
    MATRIX = np.array([[0.08, -0.03, 4.0], [0.05, 0.11, -9.0], [0, 0, 1]])

    def test_returns_the_matrix(self) -> None:
        fixed = MOVING @ self.MATRIX[:2, :2].T + self.MATRIX[:2, 2]
        fit = fit_landmarks(MOVING, fixed, "affine")
        assert fit.matrix == pytest.approx(self.MATRIX)
        assert fit.scale == pytest.approx(np.sqrt(0.08 * 0.11 + 0.03 * 0.05))
        assert fit.redundancy == 4

    def test_least_squares(self) -> None:
        fixed = noisy(MOVING @ self.MATRIX[:2, :2].T, 3.0)
        with_ones = np.column_stack([MOVING, np.ones(5)])
        found = least_squares(
            lambda p: (with_ones @ p.reshape(3, 2) - fixed).ravel(), np.zeros(6), x_scale="jac"
        )
        fit = fit_landmarks(MOVING, fixed, "affine")
        assert fit.matrix[:2] == pytest.approx(found.x.reshape(3, 2).T, rel=1e-5)
        assert np.sum(fit.residuals**2) == pytest.approx(2 * found.cost)
        for i in range(5):
            rest = np.arange(5) != i
            miss = fixed[i] - fit_landmarks(MOVING[rest], fixed[rest], "affine")(MOVING[i])[0]
            assert fit.left_out[i] == pytest.approx(np.linalg.norm(miss))

    def test_three_pairs_say_nothing_and_that_is_said(self) -> None:
        fit = fit_landmarks(TRIANGLE, noisy(TRIANGLE, 50.0), "affine")
        assert fit.residuals == pytest.approx(np.zeros(3), abs=1e-9)
        assert np.isnan(fit.left_out).all()
        assert fit.redundancy == 0
        assert any("zero whatever was clicked" in text for text in fit.warnings)

    def test_stretch_and_mirror(self) -> None:
        fit = fit_landmarks(MOVING, MOVING * [3.0, -1.0], "affine")
        assert fit.stretch == pytest.approx(3.0)
        assert fit.mirrored
        assert any("mirrors the image" in text for text in fit.warnings)


class TestRefuses:
    @pytest.mark.parametrize("kind", ["similarity", "affine"])
    def test_points_on_one_line(self, kind: str) -> None:
        line = np.array([[0.0, 0.0], [1.0, 2.0], [2.0, 4.0], [7.0, 14.0]])
        with pytest.raises(ValueError, match="image lie on one line"):
            fit_landmarks(line, MOVING[:4], kind)
        with pytest.raises(ValueError, match="map lie on one line"):
            fit_landmarks(MOVING[:4], line, kind)

    def test_coincident_points(self) -> None:
        twice = MOVING[[0, 1, 2, 1]]
        with pytest.raises(ValueError, match="2 and 4 on the image lie on the same place"):
            fit_landmarks(twice, MOVING[:4])
        with pytest.raises(ValueError, match="1 and 2 on the image"):
            fit_landmarks(np.ones((3, 2)), TRIANGLE)

    def test_too_few_and_unequal(self) -> None:
        with pytest.raises(ValueError, match="three pairs"):
            fit_landmarks(MOVING[:2], MOVING[:2])
        with pytest.raises(ValueError, match="5 landmarks on the image but 4 on the map"):
            match_landmarks(MOVING, MOVING[:4])

    def test_nonsense(self) -> None:
        with pytest.raises(ValueError, match="finite"):
            fit_landmarks(TRIANGLE * np.nan, TRIANGLE)
        with pytest.raises(ValueError, match="shape"):
            fit_landmarks(np.ones((3, 3)), TRIANGLE)
        with pytest.raises(ValueError, match="kind"):
            fit_landmarks(TRIANGLE, TRIANGLE, "rigid")  # type: ignore[arg-type]

    def test_near_a_line_is_told(self) -> None:
        flat = TRIANGLE * [0.01, 1.0]
        assert any("near one line" in t for t in fit_landmarks(flat, flat).warnings)


class TestMatching:
    @pytest.mark.parametrize("order", list(permutations(range(4))))
    def test_any_order_is_found(self, order: tuple[int, ...]) -> None:
        fixed = noisy(turned(MOVING[:4], 140.0, 0.2, (1.0, 1.0)), 0.5)
        clicked = MOVING[list(order)]
        found = match_landmarks(clicked, fixed)
        assert found.unambiguous
        assert clicked[found.order] == pytest.approx(MOVING[:4])
        # the residual is that of an independent fit over this pairing
        theirs = estimate_transform("similarity", MOVING[:4, ::-1], fixed[:, ::-1])
        rms = np.sqrt(np.mean(theirs.residuals(MOVING[:4, ::-1], fixed[:, ::-1]) ** 2))
        assert found.rms == pytest.approx(rms)

    def test_runner_up_is_the_second_of_all_pairings(self) -> None:
        fixed = noisy(turned(MOVING[:4], 50.0, 0.2, (0.0, 0.0)), 1.0)
        every = sorted(fit_landmarks(MOVING[list(o)], fixed).rms for o in permutations(range(4)))
        found = match_landmarks(MOVING[:4], fixed)
        assert (found.rms, found.runner_up) == pytest.approx((every[0], every[1]))

    def test_a_mirrored_image_is_matched_as_such(self) -> None:
        clicked = (MOVING * [1, -1])[[3, 0, 4, 2, 1]]
        found = match_landmarks(clicked, MOVING, mirrored=True)
        assert found.unambiguous
        assert found.order.tolist() == [1, 4, 3, 0, 2]
        assert not match_landmarks(clicked, MOVING).unambiguous

    @pytest.mark.parametrize("order", [(0, 1, 2, 3, 4), (3, 0, 4, 2, 1)])
    def test_a_tilted_image_is_matched_by_affines(self, order: tuple[int, ...]) -> None:
        fixed = noisy(turned(MOVING * [0.4, -1.0], 65.0, 0.2, (1.0, 1.0)), 0.3)
        clicked = MOVING[list(order)]
        found = match_landmarks(clicked, fixed, "affine")
        assert found.unambiguous
        assert clicked[found.order] == pytest.approx(MOVING)
        every = sorted(
            fit_landmarks(MOVING[list(o)], fixed, "affine").rms for o in permutations(range(5))
        )
        assert (found.rms, found.runner_up) == pytest.approx((every[0], every[1]))
        with pytest.raises(ValueError, match="fourth"):
            match_landmarks(TRIANGLE, fixed[:3], "affine")

    def test_symmetric_sets_are_ambiguous_and_keep_their_order(self) -> None:
        square = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, 0.0]])
        for points in (EQUILATERAL, square):
            found = match_landmarks(points, points * 3)
            assert not found.unambiguous
            assert found.runner_up == pytest.approx(0.0, abs=1e-6)

    def test_unrelated_sets_are_not_matched(self) -> None:
        rng = np.random.default_rng(5)
        called = [
            match_landmarks(rng.uniform(size=(5, 2)), rng.uniform(size=(5, 2))).unambiguous
            for _ in range(200)
        ]
        assert sum(called) <= 2

    def test_random_sets_clicked_carelessly_are_never_paired_wrongly(self) -> None:
        """What the docstring promises, on a smaller sample: four landmarks, 5 % off."""
        rng = np.random.default_rng(11)
        clear = 0
        for _ in range(300):
            points = rng.uniform(size=(4, 2))
            spread = np.sqrt(np.mean(np.sum((points - points.mean(axis=0)) ** 2, axis=1)))
            clicked = points + rng.normal(0, 0.05 * spread / np.sqrt(2), (4, 2))
            order = rng.permutation(4)
            found = match_landmarks(clicked[order], points)
            if found.unambiguous:
                clear += 1
                assert order[found.order].tolist() == [0, 1, 2, 3]
        assert clear > 270

    def test_more_than_eight_are_refused(self) -> None:
        points = np.random.default_rng(0).uniform(size=(9, 2))
        with pytest.raises(ValueError, match="same order"):
            match_landmarks(points, points)
