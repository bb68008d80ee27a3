"""Crystal symmetry, grains and misorientations against published angles and plain loops."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_liso.microstructure.boundaries import find_boundaries
from napari_liso.microstructure.crystal import (
    PROPER_GROUPS,
    Phase,
    bunge_angles,
    misorientation_angle,
    proper_group,
    quaternions,
)
from napari_liso.microstructure.ebsd import (
    EbsdMap,
    grain_orientations,
    grains_from_ebsd,
    misorientation_of,
    with_misorientation,
)
from napari_liso.microstructure.resampling import resample_nearest

CUBIC = Phase("LLTO", "432")
HEXAGONAL = Phase("Ti", "622")
IDENTITY = np.array([0.0, 0.0, 0.0, 1.0])


def turned(degrees: float, axis: tuple[float, float, float]) -> np.ndarray:
    unit = np.array(axis) / np.linalg.norm(axis)
    return Rotation.from_rotvec(np.deg2rad(degrees) * unit).as_quat()


def ebsd_of(
    quaternions: np.ndarray,
    phase: np.ndarray | None = None,
    phases: dict[int, Phase] | None = None,
    pixel: tuple[float, float] = (1e-6, 1e-6),
) -> EbsdMap:
    shape = quaternions.shape[:2]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # turns about z alone: any phi1, phi2 of the right sum
        euler = Rotation.from_quat(quaternions.reshape(-1, 4)).as_euler("ZXZ")
    return EbsdMap(
        np.ones(shape, np.int16) if phase is None else phase.astype(np.int16),
        euler.reshape(*shape, 3).astype(np.float32),
        phases or {1: CUBIC},
        pixel,
    )


def two_halves(one: np.ndarray, other: np.ndarray, width: int = 10) -> np.ndarray:
    field = np.empty((6, width, 4))
    field[:, : width // 2], field[:, width // 2 :] = one, other
    return field


# --- symmetry -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("group", "order", "largest"),
    # largest disorientations: A. Morawiec, J. Appl. Cryst. 28 (1995) 289
    [("1", 1, 180), ("2", 2, 180), ("222", 4, 120), ("3", 3, 180), ("32", 6, 104.48),
     ("4", 4, 180), ("422", 8, 98.42), ("6", 6, 180), ("622", 12, 93.84), ("23", 12, 90),
     ("432", 24, 62.80)],
)  # fmt: skip
def test_the_eleven_groups_of_rotations(group, order, largest):
    operators = Phase("", group).operators()
    assert len(operators) == order
    # closed: the product of any two is one of them, up to sign
    both = Rotation.from_quat(np.repeat(operators, order, axis=0)) * Rotation.from_quat(
        np.tile(operators, (order, 1))
    )
    assert np.allclose(np.abs(both.as_quat() @ operators.T).max(axis=1), 1)
    q = Rotation.random(40_000, random_state=1).as_quat()
    angle = np.rad2deg(misorientation_angle(q[::2], q[1::2], operators))
    assert angle.max() <= largest + 0.005
    assert angle.max() > largest - 3


def test_all_eleven_are_there():
    assert len(PROPER_GROUPS) == 11


@pytest.mark.parametrize(
    ("degrees", "axis", "expected"),
    [
        (60, (1, 1, 1), 60),  # Sigma 3, the twin of cubic metals
        (180, (1, 1, 2), 60),  # the same twin in other words
        (36.8699, (0, 0, 1), 36.8699),  # Sigma 5
        (53.1301, (1, 0, 0), 36.8699),  # Sigma 5 again
        (38.2132, (1, 1, 1), 38.2132),  # Sigma 7
        (45, (0, 0, 1), 45),
        (90, (0, 1, 0), 0),
        (120, (1, 1, 1), 0),
        (62.7994, (1, 1, np.sqrt(2) - 1), 62.7994),  # the largest there is
        (3, (1, 2, 3), 3),
    ],
)
def test_known_misorientations_of_cubic_crystals(degrees, axis, expected):
    found = misorientation_angle(IDENTITY, turned(degrees, axis), CUBIC.operators())
    assert np.rad2deg(found) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(
    ("degrees", "axis", "expected"),
    [
        (90, (1, 0, 0), 90),
        (60, (0, 0, 1), 0),
        (30, (0, 0, 1), 30),
        (180, (0, 1, 0), 0),
        (86.3, (1, 0, 0), 86.3),  # the tension twin of magnesium
    ],
)
def test_known_misorientations_of_hexagonal_crystals(degrees, axis, expected):
    found = misorientation_angle(IDENTITY, turned(degrees, axis), HEXAGONAL.operators())
    assert np.rad2deg(found) == pytest.approx(expected, abs=1e-5)


def test_the_mean_of_random_cubic_crystals_is_mackenzies():
    """J. K. Mackenzie, Biometrika 45 (1958) 229: mean 40.74 degrees."""
    q = Rotation.random(200_000, random_state=2).as_quat()
    angle = misorientation_angle(q[::2], q[1::2], CUBIC.operators())
    assert np.rad2deg(angle.mean()) == pytest.approx(40.74, abs=0.12)


def test_a_misorientation_is_the_same_from_both_sides_and_for_equivalents():
    rng = np.random.default_rng(3)
    a, b = Rotation.random(50, random_state=4), Rotation.random(50, random_state=5)
    for phase in (CUBIC, HEXAGONAL, Phase("", "32", turn=np.pi / 6), Phase("", "2", axis="y")):
        operators = phase.operators()
        chosen = Rotation.from_quat(operators[rng.integers(len(operators), size=50)])
        angle = misorientation_angle(a.as_quat(), b.as_quat(), operators)
        swapped = misorientation_angle(b.as_quat(), a.as_quat(), operators)
        np.testing.assert_allclose(angle, swapped, atol=1e-7)
        other = misorientation_angle((a * chosen).as_quat(), -b.as_quat(), operators)
        np.testing.assert_allclose(angle, other, atol=1e-7)


def test_settings_of_the_axes():
    """Twofold along y, and the twofold axes of 32 along x or 30 degrees from it."""
    about_y = turned(180, (0, 1, 0))
    assert misorientation_angle(IDENTITY, about_y, Phase("", "2", axis="y").operators()) < 1e-6
    assert misorientation_angle(IDENTITY, about_y, Phase("", "2").operators()) > 3
    about_x = turned(180, (1, 0, 0))
    plain, other = Phase("", "32"), Phase("", "32", turn=np.pi / 6)
    assert misorientation_angle(IDENTITY, about_x, plain.operators()) < 1e-6
    assert misorientation_angle(IDENTITY, about_y, other.operators()) < 1e-6
    assert misorientation_angle(IDENTITY, about_x, other.operators()) > 1


def test_bunge_angles_turn_about_z_then_x_then_z():
    """The matrix of H.-J. Bunge, Texture Analysis (1982), sample to crystal."""
    angles = np.deg2rad([(10, 20, 30), (350, 90, 200), (40, 0, 0), (40, 180, 10)])
    q = Rotation.from_euler("ZXZ", angles)
    found = bunge_angles(q.as_quat())
    np.testing.assert_allclose(found[:2], angles[:2], atol=1e-12)
    np.testing.assert_allclose(
        Rotation.from_euler("ZXZ", found).as_matrix(), q.as_matrix(), atol=1e-12
    )
    same = np.einsum("ij,ij->i", quaternions(angles), q.as_quat())
    np.testing.assert_allclose(np.abs(same), 1, atol=1e-12)
    c1, c, c2 = np.cos(angles[0])
    s1, s, s2 = np.sin(angles[0])
    bunge = [
        [c1 * c2 - s1 * s2 * c, s1 * c2 + c1 * s2 * c, s2 * s],
        [-c1 * s2 - s1 * c2 * c, -s1 * s2 + c1 * c2 * c, c2 * s],
        [s1 * s, -c1 * s, c],
    ]
    np.testing.assert_allclose(q[0].as_matrix().T, bunge, atol=1e-12)


def test_point_groups_have_the_rotations_of_their_laue_class():
    expected = {"m-3m": "432", "-43m": "432", "m-3": "23", "6/mmm": "622", "-3m": "32",
                "mm2": "222", "2/m": "2", "-1": "1", "4/m": "4", "432": "432"}  # fmt: skip
    assert {name: proper_group(name) for name in expected} == expected
    with pytest.raises(ValueError, match="unknown point group 'x'"):
        proper_group("x")
    with pytest.raises(ValueError, match="group must be one of"):
        Phase("", "m-3m")


# --- grains -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("degrees", "grains"), [(4.9, 1), (5.1, 2)])
def test_the_threshold_parts_grains(degrees, grains):
    field = two_halves(IDENTITY, turned(degrees, (1, 2, 3)))
    assert grains_from_ebsd(ebsd_of(field)).max() == grains


def test_a_gradient_is_one_grain_and_a_symmetric_turn_no_boundary():
    field = np.array([[turned(2 * x, (0, 0, 1)) for x in range(45)]] * 3)
    assert grains_from_ebsd(ebsd_of(field)).max() == 1
    same = two_halves(IDENTITY, turned(90, (1, 0, 0)))
    assert grains_from_ebsd(ebsd_of(same)).max() == 1
    assert grains_from_ebsd(ebsd_of(same, phases={1: HEXAGONAL})).max() == 2


def test_phases_are_grains_of_their_own_and_not_indexed_points_none():
    phase = np.ones((6, 10), int)
    phase[:, 5:] = 2
    phase[0, 0] = 0
    field = two_halves(IDENTITY, IDENTITY)
    grains = grains_from_ebsd(ebsd_of(field, phase, {1: CUBIC, 2: CUBIC}))
    expected = np.repeat([[1] * 5 + [2] * 5], 6, axis=0)
    expected[0, 0] = 0
    np.testing.assert_array_equal(grains, expected)


def noisy_mosaic(seed: int = 0) -> tuple[np.ndarray, np.ndarray, EbsdMap]:
    """Labels, orientation of each, and a map with 0.5 degrees of noise, 3 % wrong, 3 % none."""
    rng = np.random.default_rng(seed)
    points = rng.random((25, 2)) * 80
    y, x = np.mgrid[:80, :80]
    labels = ((y[..., None] - points[:, 0]) ** 2 + (x[..., None] - points[:, 1]) ** 2).argmin(-1)
    crystals = Rotation.random(25, random_state=seed)
    noise = Rotation.from_rotvec(np.deg2rad(0.5) * rng.standard_normal((6400, 3)))
    operators = Rotation.from_quat(CUBIC.operators()[rng.integers(24, size=6400)])
    field = (crystals[labels.ravel()] * noise * operators).as_quat().reshape(80, 80, 4)
    wrong = rng.random((80, 80)) < 0.03
    field[wrong] = Rotation.random(int(wrong.sum()), random_state=seed + 1).as_quat()
    phase = (rng.random((80, 80)) >= 0.03).astype(int)
    return labels + 1, crystals.as_quat(), ebsd_of(field, phase)


def test_noisy_maps_give_back_their_grains():
    from skimage.metrics import adapted_rand_error

    labels, _, ebsd = noisy_mosaic()
    assert grains_from_ebsd(ebsd).max() > 100  # every wrong point is a grain
    grains = grains_from_ebsd(ebsd, min_area=8e-12, max_gap=2e-6)
    assert grains.max() == 25
    assert (grains > 0).all()
    assert adapted_rand_error(labels, grains)[0] < 0.02


def test_small_grains_go_to_their_neighbours_and_wide_gaps_stay():
    field = np.broadcast_to(IDENTITY, (20, 20, 4)).copy()
    field[5, 5] = turned(30, (0, 0, 1))  # a wrong point in the grain
    phase = np.ones((20, 20), int)
    phase[10:17, 10:17] = 0  # a pore with a wrong point in it
    phase[13, 13] = 1
    phase[:, 2] = 0  # a line without patterns
    grains = grains_from_ebsd(ebsd_of(field, phase), min_area=3e-12, max_gap=1e-6)
    assert grains[5, 5] == grains[5, 6]
    assert (grains[:, 2] > 0).all()
    hole = grains[10:17, 10:17] == 0
    assert hole[1:-1].all()
    assert hole[:, 1:-1].all()
    left = grains_from_ebsd(ebsd_of(field, phase), min_area=3e-12)
    assert (left[:, 2] == 0).all()
    assert left.max() == 2
    assert left[5, 5] == 2


@pytest.mark.parametrize("across", [False, True])
@pytest.mark.parametrize("pixel", [(1e-6, 1e-6), (1e-6, 0.5e-6)])
@pytest.mark.parametrize("gap", [1e-6, 1.5e-6, 2e-6, 3e-6])
def test_gaps_up_to_the_width_are_filled_and_wider_ones_stay_whole(gap, pixel, across):
    size = pixel[1 if across else 0]
    for width in range(1, 9):
        phase = np.ones((24, 24), int)
        phase[9 : 9 + width] = 0
        field = np.broadcast_to(IDENTITY, (24, 24, 4))
        ebsd = ebsd_of(field, phase.T if across else phase, pixel=pixel)
        grains = grains_from_ebsd(ebsd, max_gap=gap)
        middle = (grains.T if across else grains)[:, 4:-4]  # away from the ends of the gap
        expected = 0 if width * size <= gap * (1 + 1e-6) else width * 16
        assert (middle == 0).sum() == expected, width


def test_grains_that_are_not_there():
    field = two_halves(IDENTITY, IDENTITY)
    with pytest.raises(ValueError, match="no point"):
        grains_from_ebsd(ebsd_of(field, np.zeros((6, 10))))
    with pytest.raises(ValueError, match="no grain is as large"):
        grains_from_ebsd(ebsd_of(field), min_area=1e-9)
    with pytest.raises(ValueError, match="threshold"):
        grains_from_ebsd(ebsd_of(field), 0.0)
    with pytest.raises(ValueError, match="phase 2 is in the map"):
        ebsd_of(field, np.full((6, 10), 2))


def test_mean_orientations_of_grains():
    labels, crystals, ebsd = noisy_mosaic(3)
    ebsd.phase[(ebsd.phase == 0)] = 1
    table = grain_orientations(ebsd, labels)
    assert table.index.tolist() == list(range(1, 26))
    assert table["points"].sum() == 6400
    means = Rotation.from_euler("ZXZ", table[["phi1", "Phi", "phi2"]].to_numpy()).as_quat()
    off = misorientation_angle(means, crystals, CUBIC.operators())
    # 3 % of the points are wrong; without noise from them it would be 0.05 degrees
    assert np.rad2deg(off).max() < 3
    assert (table["phase"] == 1).all()


def test_the_spread_of_a_grain():
    field = np.array([[turned(0, (0, 0, 1)), turned(4, (0, 0, 1))]] * 2)
    table = grain_orientations(ebsd_of(field), np.ones((2, 2), int))
    assert np.rad2deg(table.loc[1, "spread"]) == pytest.approx(2, abs=1e-4)
    assert np.rad2deg(table.loc[1, ["phi1", "phi2"]].sum()) % 360 == pytest.approx(2, abs=1e-4)


# --- boundaries ---------------------------------------------------------------------------------


def test_misorientations_of_boundaries():
    field = np.empty((6, 15, 4))
    field[:, :5] = turned(10, (1, 0, 0))
    field[:, 5:10] = turned(10 + 36.8699, (1, 0, 0))
    field[:, 10:] = (
        Rotation.from_quat(field[0, 9]) * Rotation.from_quat(turned(60, (1, 1, 1)))
    ).as_quat()
    ebsd = ebsd_of(field)
    boundaries = find_boundaries(grains_from_ebsd(ebsd), 1e-6)
    angle = misorientation_of(boundaries, ebsd)
    assert angle.index.tolist() == [1, 2]
    np.testing.assert_allclose(np.rad2deg(angle), [36.8699, 60], atol=1e-3)
    table = with_misorientation(boundaries, ebsd).table
    np.testing.assert_array_equal(table["misorientation"], angle)
    assert "misorientation" not in boundaries.table


def test_the_column_survives_an_edit_and_follows_it():
    from napari_liso.microstructure.update import find_patch

    labels, _, ebsd = noisy_mosaic(7)
    before = with_misorientation(find_boundaries(labels, ebsd.pixel_size), ebsd)
    edited = labels.copy()
    edited[edited == labels[40, 40]] = labels[0, 0]
    edited[10:20, 10:20] = 99
    patch = find_patch(before, edited)
    assert patch is not None
    raw = patch.apply(before)
    ids = np.concatenate([patch.changed, patch.added, patch.renamed])
    after = with_misorientation(raw, ebsd, ids).table["misorientation"]
    want = misorientation_of(raw, ebsd)
    want[raw.table.index[raw.table["state"] == "removed"]] = np.nan
    there = raw.table["state"] != "removed"
    np.testing.assert_allclose(after[there], want[there])
    back = patch.inverse().apply(with_misorientation(raw, ebsd, ids)).table["misorientation"]
    np.testing.assert_allclose(back, before.table["misorientation"])


def test_the_mean_over_the_faces():
    field = two_halves(IDENTITY, turned(20, (0, 0, 1)))
    field[3:, 5:] = turned(26, (0, 0, 1))
    grains = np.repeat([[1] * 5 + [2] * 5], 6, axis=0)
    angle = misorientation_of(find_boundaries(grains, 1e-6), ebsd_of(field))
    assert np.rad2deg(angle[1]) == pytest.approx(23, abs=1e-4)


def test_boundaries_without_patterns_beside_them_take_the_grains_means():
    field = two_halves(IDENTITY, turned(30, (0, 0, 1)))
    phase = np.ones((6, 10), int)
    phase[:, 4:6] = 0
    grains = np.repeat([[1] * 5 + [2] * 5], 6, axis=0)
    ebsd = ebsd_of(field, phase)
    angle = misorientation_of(find_boundaries(grains, 1e-6), ebsd)
    assert np.rad2deg(angle[1]) == pytest.approx(30, abs=1e-4)


def test_boundaries_of_phases_and_without_any_pattern_have_none():
    field = two_halves(IDENTITY, turned(30, (0, 0, 1)))
    grains = np.repeat([[1] * 5 + [2] * 5], 6, axis=0)
    boundaries = find_boundaries(grains, 1e-6)
    two = ebsd_of(field, grains, {1: CUBIC, 2: CUBIC})
    assert np.isnan(misorientation_of(boundaries, two)[1])
    half = ebsd_of(field, np.where(grains == 1, 1, 0))
    assert np.isnan(misorientation_of(boundaries, half)[1])
    with pytest.raises(ValueError, match="resample"):
        misorientation_of(boundaries, ebsd_of(field[:4]))


# --- other grids --------------------------------------------------------------------------------


def test_labels_on_a_grid_of_half_the_step():
    image = np.arange(12).reshape(3, 4)
    # the first new pixel's centre is a quarter pixel above and left of the old one's
    matrix = [[0.5, 0, -0.25], [0, 0.5, -0.25], [0, 0, 1]]
    found = resample_nearest(image, matrix, (6, 8))
    np.testing.assert_array_equal(found, np.repeat(np.repeat(image, 2, axis=0), 2, axis=1))


def test_a_quarter_turn_and_what_lies_outside():
    image = np.arange(1, 7).reshape(2, 3)
    # row of the source = 1 - column, column of the source = row
    found = resample_nearest(image, [[0, -1, 1], [1, 0, 0], [0, 0, 1]], (4, 2))
    np.testing.assert_array_equal(found, [[4, 1], [5, 2], [6, 3], [0, 0]])
    with pytest.raises(ValueError, match="affine"):
        resample_nearest(image, np.zeros((3, 3)), (2, 2))


def test_a_resampled_map_keeps_its_misorientations():
    field = two_halves(IDENTITY, turned(33, (1, 1, 0)))
    ebsd = ebsd_of(field, pixel=(2e-6, 2e-6))
    fine = ebsd.resampled([[0.5, 0, -0.25], [0, 0.5, -0.25], [0, 0, 1]], (12, 24), (1e-6, 1e-6))
    assert fine.shape == (12, 24)
    assert (fine.phase[:, 20:] == 0).all()
    grains = grains_from_ebsd(fine)
    angle = misorientation_of(find_boundaries(grains, fine.pixel_size), fine)
    assert np.rad2deg(angle[1]) == pytest.approx(33, abs=1e-4)
