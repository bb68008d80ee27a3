"""Colours of a fraction and its counts, against scikit-image's colour spaces and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.color import deltaE_ciede2000, hsv2rgb, rgb2lab

from napari_liso.counting.hue_intensity import HUES, brightest, hue_colours, hue_intensity


def lab_of(colours: np.ndarray) -> np.ndarray:
    """CIE L*a*b* of uint8 sRGB."""
    return rgb2lab(np.asarray(colours)[np.newaxis] / 255)[0]


@pytest.mark.parametrize("hues", HUES)
def test_every_hue_is_equally_light(hues: str) -> None:
    lightness = lab_of(hue_colours(hues))[:, 0]
    assert np.ptp(lightness) < 5
    naive = hsv2rgb(np.stack([np.linspace(0, 0.7, 256), *np.ones((2, 256))], -1)[None])[0]
    assert np.ptp(lab_of(255 * naive)[:, 0]) > 50  # what the hues of HSV would do


def test_hues_are_told_apart_along_the_whole_scale() -> None:
    lab = lab_of(hue_colours("spectrum")[::16])
    steps = deltaE_ciede2000(lab[:-1], lab[1:])
    assert steps.min() > 5
    assert steps.max() < 2 * steps.min()


def test_blue_orange_needs_no_red_and_green() -> None:
    """A deuteranope sees b*: it rises along the whole scale, and a* hardly matters."""
    lab = lab_of(hue_colours("blue-orange"))
    assert np.all(np.diff(lab[::8, 2]) > 0)
    assert lab[-1, 2] - lab[0, 2] > 80
    spectrum = lab_of(hue_colours("spectrum"))
    assert np.ptp(spectrum[:, 1]) > 2 * np.ptp(lab[:, 1])
    grey = hue_colours("blue-orange")[127:129].astype(int)
    assert np.ptp(grey, axis=1).max() <= 12


def test_pixels_without_counts_or_value_are_black() -> None:
    value = np.array([[0.5, np.nan, 0.5, np.nan]])
    counts = np.array([[0, 100, 100, 100]])
    picture = hue_intensity(value, counts, (0, 1))
    assert picture.dtype == np.uint8
    assert picture.shape == (1, 4, 3)
    assert [bool(pixel.any()) for pixel in picture[0]] == [False, False, True, False]


def test_light_grows_with_the_cube_of_the_counts_and_keeps_its_hue() -> None:
    """OKLab is homogeneous in cube roots of light: 60 % lightness is 21.6 % of the light."""
    full, part = hue_intensity([0.2, 0.2], [100, 60], (0, 1), top=100)

    def light(colour: np.ndarray) -> np.ndarray:
        encoded = colour / 255
        return np.where(encoded > 0.04045, ((encoded + 0.055) / 1.055) ** 2.4, encoded / 12.92)

    assert light(part) == pytest.approx(0.216 * light(full), abs=0.006)


def test_gamma_and_top_set_the_brightness() -> None:
    assert np.array_equal(
        hue_intensity([0.3], [25], (0, 1), top=100, gamma=0.5),
        hue_intensity([0.3], [50], (0, 1), top=100),
    )
    assert np.array_equal(
        hue_intensity([0.3], [1000], (0, 1), top=100), hue_intensity([0.3], [100], (0, 1), top=100)
    )


def test_values_beyond_the_limits_take_the_last_hue() -> None:
    picture = hue_intensity([-5.0, 0.1, 0.4, 9.0], np.full(4, 10), (0.1, 0.4), top=10)
    scale = hue_colours()
    assert np.array_equal(picture, scale[[0, 0, -1, -1]])


def test_full_brightness_is_that_of_a_bright_pixel_not_of_a_hot_one() -> None:
    counts = np.concatenate([np.zeros(500), np.arange(1, 101), [1e6]])
    assert brightest(counts) == pytest.approx(91, abs=0.5)  # 90 % of the 101 that are not empty
    assert brightest(np.zeros(4)) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"counts": [1]}, "one shape"),
        ({"counts": [1, -1]}, "negative"),
        ({"limits": (1, 1)}, "the lower one first"),
        ({"limits": (0, np.nan)}, "the lower one first"),
        ({"top": 0}, "top must be"),
        ({"gamma": 0}, "gamma must be"),
        ({"hues": "jet"}, "spectrum, blue-orange"),
    ],
)
def test_what_makes_no_picture_is_refused(arguments: dict, words: str) -> None:
    usual = {"value": [0.5, 0.5], "counts": [1, 1], "limits": (0, 1)}
    with pytest.raises(ValueError, match=words):
        hue_intensity(**{**usual, **arguments})


def test_an_infinite_ratio_has_the_hue_of_the_limit() -> None:
    """Where only the numerator was seen the ratio is infinite, and its counts are there."""
    infinite = hue_intensity([np.inf, -np.inf], [50, 50], (0, 1), top=50)
    np.testing.assert_array_equal(infinite, hue_intensity([1, 0], [50, 50], (0, 1), top=50))


def test_counts_that_are_no_number_are_refused() -> None:
    with pytest.raises(ValueError, match="not negative"):
        hue_intensity([0.5, 0.5], [50, np.nan], (0, 1), top=50)
