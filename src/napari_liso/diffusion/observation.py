r"""What the instrument makes of the sample's isotope fraction before it is counted.

The likelihood holds the counts against the fraction that they should show, not
against that of the sample: counts stay whole numbers, nothing is subtracted from
them. From the sample's fraction c to the counted one, q:

1. Mass fractionation multiplies the odds by alpha, c1 = alpha c / (1 - c + alpha c).
2. Hydride: 6LiH+ is counted as 7Li, n7 = n7' + h n6, so p = c1 / (1 + h c1).
3. Background: with S ions of lithium and b6, b7 of background in a pixel, the expected
   ions are mu6 = S p + b6 and mu7 = S (1 - p) + b7.
4. Dead time: a pulse gives at most one count of a peak, so P pulses give
   binomial counts with the probabilities pi = 1 - exp(-mu/P).

The fraction of the counts is q = pi6 / (pi6 + pi7), without pulses mu6 / (mu6 + mu7).

*Intensity.* Without background and dead time S cancels. With them q depends on it. Taken
from a pixel of few counts (S = N - b6 - b7) it is biased and clipped, so it is the mean
over the smallest square within the pixel's grain in which it is known as well as from
`POOLED_COUNTS` counts without background; empty pixels count, too. N6 - N q then has the
mean zero even where S varies within that square: with a background exactly, since the sum
of N over the square is that of its mean; with dead time up to the second order (S that
scatters by 20 % from pixel to pixel leaves 4 % of the effect of dead time).

*Scatter.* Given S, the counts of both peaks are binomial in P, and the variance of
N6 - N q is N q (1 - q) phi with phi = 1 - 2 pi6 pi7 / (pi6 + pi7): dead time makes counts
more regular than a binomial in N. With this variance the score of the binomial in N is
that of the two binomials in P: L (N6 / pi6 - N7 / pi7) dp/dc, L = S / P, term by term.

*Price of the intensity.* S comes from the same counts. With the odds r = (1 - pi)/pi of
no count (1/mu without pulses), the part of the information on p that is left after S
was found, too, is

    1 - rho^2 = r6 r7 / ((r6 + r7) (p^2 r6 + (1 - p)^2 r7)),

1 without background and dead time, 0 where one peak is all background and the other
would have to tell by its intensity alone. Both factors are constants of a pixel, from
the pooled counts: ``weight`` = (1 - rho^2) / phi multiplies the log-likelihood.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_liso.diffusion.corrections import GivenCorrections

__all__ = ["POOLED_COUNTS", "Observation", "observe"]

FloatArray = NDArray[np.float64]

#: Counts behind the intensity of a pixel: its error then shifts q by a few thousandths of
#: what background and dead time do.
POOLED_COUNTS = 400
#: Part of a standard error over which the answer of q to a correction is taken.
_PART = 0.1
#: Least ions and least signal, so that nothing is divided by zero where there is none.
_LEAST = 1e-9


@dataclass(frozen=True, eq=False)
class Observation:
    """Fraction of the counts from the fraction of the sample; arrays have one entry a pixel.

    Parameters
    ----------
    hydride_ratio, fractionation
        h and alpha of the module's text.
    background
        Expected background ions of the tracer and the other isotope, or None.
    ions
        Expected ions of both isotopes with their background; None where q does not
        depend on them.
    pulses
        Primary-ion pulses, or None without dead time.
    scatter
        Variance of the counts over N q (1 - q); None for 1.
    weight
        Of a pixel in the log-likelihood; None for 1.
    errors
        (name, standard error) of the corrections that are not exact: ``"hydride_ratio"``,
        ``"ln_fractionation"``, ``"background_6"``, ``"background_7"``.
    """

    hydride_ratio: float = 0.0
    fractionation: float = 1.0
    background: tuple[FloatArray, FloatArray] | None = None
    ions: FloatArray | None = None
    pulses: FloatArray | None = None
    scatter: FloatArray | None = None
    weight: FloatArray | None = None
    errors: tuple[tuple[str, float], ...] = ()

    def take(self, pixels: NDArray[np.int64] | slice) -> Observation:
        """Return that of some pixels, in their order (index into the flat image)."""
        pick = [
            None if array is None else array.ravel()[pixels]
            for array in (self.ions, self.pulses, self.scatter, self.weight)
        ]
        both = self.background
        if both is not None:
            both = (both[0].ravel()[pixels], both[1].ravel()[pixels])
        return replace(
            self, background=both, ions=pick[0], pulses=pick[1], scatter=pick[2], weight=pick[3]
        )

    def fraction(self, fraction: FloatArray) -> FloatArray:
        """Fraction q of the counts for the fraction c of the sample, one a pixel."""
        return self._counted(self._as_ions(fraction))[0]

    def fraction_and_slope(self, fraction: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return q and dq/dc."""
        c = fraction
        mixed = 1.0 - c + self.fractionation * c
        p = self._as_ions(c)
        # dp/dc1 = 1 / (1 + h c1)^2 and dc1/dc = alpha / mixed^2
        by_c = self.fractionation / (mixed + self.hydride_ratio * self.fractionation * c) ** 2
        q, by_p = self._counted(p)
        return q, by_p * by_c

    def answers(self, fraction: FloatArray) -> FloatArray:
        """Change of q for one standard error of each correction, (pixels, corrections)."""
        columns = [
            (
                self._changed(name, _PART * error).fraction(fraction)
                - self._changed(name, -_PART * error).fraction(fraction)
            )
            / (2 * _PART)
            for name, error in self.errors
        ]
        return np.column_stack(columns) if columns else np.zeros((fraction.size, 0))

    def _as_ions(self, c: FloatArray) -> FloatArray:
        """Fraction p of the lithium ions."""
        tracer = self.fractionation * c
        result: FloatArray = tracer / (1.0 - c + tracer * (1.0 + self.hydride_ratio))
        return result

    def _counted(self, p: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Fraction of the counts, and its derivative by that of the ions."""
        if self.ions is None:
            return p, np.ones_like(p)
        b6, b7 = (0.0, 0.0) if self.background is None else self.background
        signal = np.maximum(self.ions - b6 - b7, _LEAST)
        six, seven = signal * p + b6, signal * (1 - p) + b7
        if self.pulses is None:
            return six / (six + seven), signal / (six + seven)
        hit6, hit7 = -np.expm1(-six / self.pulses), -np.expm1(-seven / self.pulses)
        both = hit6 + hit7
        slope = signal / self.pulses * ((1 - hit6) * hit7 + (1 - hit7) * hit6) / both**2
        return hit6 / both, slope

    def _changed(self, name: str, amount: float) -> Observation:
        """One correction other by so much."""
        if name == "hydride_ratio":
            return replace(self, hydride_ratio=self.hydride_ratio + amount)
        if name == "ln_fractionation":
            return replace(self, fractionation=self.fractionation * np.exp(amount))
        b6, b7 = self.background or (np.zeros(()), np.zeros(()))
        if name == "background_6":
            return replace(self, background=(b6 + amount, b7))
        return replace(self, background=(b6, b7 + amount))


def observe(
    given: GivenCorrections,
    n6: NDArray[np.int64],
    n7: NDArray[np.int64],
    grains: NDArray[np.integer],
    eligible: NDArray[np.bool_],
) -> Observation | None:
    """Return what stands between the sample and its counts; None if nothing does.

    Parameters
    ----------
    given
        Checked corrections.
    n6, n7
        Counts, (y, x).
    grains
        Labels (y, x): the intensity is pooled within a grain.
    eligible
        Pixels whose counts tell of the intensity, with or without counts.
    """
    if given.is_identity:
        return None
    scalars = Observation(
        float(given.hydride_ratio), float(given.fractionation), errors=given.errors
    )
    if not given.needs_intensity:
        return scalars
    shape = n6.shape
    pulses = np.ones(shape) if given.pulses is None else given.pulses.astype(np.float64)
    b6, b7 = (np.array(np.broadcast_to(b, shape), dtype=np.float64) for b in given.background)
    six, seven, background, pixels = _pool((n6, n7, b6 + b7), pulses, grains, eligible)
    if given.pulses is not None:
        # Within 0.8 counts a pulse but for pixels of few pulses.
        six, seven = (-np.log1p(-np.minimum(share, 0.95)) for share in (six, seven))
    signal = pulses * (six + seven - background)
    scatter, weight = _scatter_and_weight(
        pulses * six, pulses * seven, b6, signal, None if given.pulses is None else pulses, pixels
    )
    return replace(
        scalars,
        background=(b6, b7),
        ions=signal + b6 + b7,
        pulses=None if given.pulses is None else np.maximum(pulses, 1.0),
        scatter=scatter,
        weight=weight,
    )


def _pool(
    images: tuple[NDArray[np.float64] | NDArray[np.int64], ...],
    pulses: FloatArray,
    grains: NDArray[np.integer],
    eligible: NDArray[np.bool_],
) -> tuple[FloatArray, ...]:
    """Mean of images a pulse around every pixel, within its grain, and the pixels behind it.

    The first two images are the counts. One size of the square a grain, from its mean
    counts: choosing it pixel by pixel would prefer squares that are bright by chance.
    """
    pooled = [np.zeros(grains.shape) for _ in range(len(images) + 1)]
    for label, box in enumerate(ndimage.find_objects(grains), start=1):
        if box is None:
            continue
        inside = grains[box] == label
        data = inside & eligible[box]
        if not data.any():
            data = inside & (pulses[box] > 0)
        area = max(int(data.sum()), 1)
        mean = float((images[0][box][data].sum() + images[1][box][data].sum()) / area)
        lithium = max(mean - float(images[2][box][data].sum()) / area, 0.1 * mean, 1e-3)
        # As many counts as leave the lithium among them with the error of POOLED_COUNTS.
        needed = POOLED_COUNTS * max(mean, 1e-3) / lithium**2
        side = 1 + 2 * int(np.ceil((np.sqrt(needed) - 1) / 2))
        side = min(side, 2 * max(inside.shape) + 1)
        weights = _square_sum(np.where(data, pulses[box], 0.0), side)
        seen = weights > 0.5 * float(pulses[box][data].min(initial=np.inf))
        for target, image in zip(pooled[:-1], images, strict=True):
            total = _square_sum(np.where(data, image[box], 0.0), side)
            whole = float(image[box][data].sum()) / max(float(pulses[box][data].sum()), _LEAST)
            mine = np.divide(total, weights, out=np.full(total.shape, whole), where=seen)
            target[box][inside] = mine[inside]
        number = np.where(seen, _square_sum(data.astype(np.float64), side), area)
        pooled[-1][box][inside] = np.maximum(number, 1.0)[inside]
    return tuple(pooled)


def _square_sum(image: FloatArray, side: int) -> FloatArray:
    """Sum over a square around every pixel; beyond the image there is nothing."""
    if side == 1:
        return image
    mean = ndimage.uniform_filter(image, side, mode="constant")
    result: FloatArray = np.maximum(mean * side**2, 0.0)
    return result


def _scatter_and_weight(
    six: FloatArray,
    seven: FloatArray,
    b6: FloatArray,
    signal: FloatArray,
    pulses: FloatArray | None,
    pixels: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Variance over that of the binomial, and weight in the log-likelihood (module's text).

    A pixel's own part in its intensity (one of `pixels`) adds its share of the price to
    the scatter about q.
    """
    least = 0.5 / np.maximum(pixels, 1.0)  # half a count in all of them
    six, seven = np.maximum(six, least), np.maximum(seven, least)
    signal = np.maximum(signal, _LEAST)
    p = np.clip((six - b6) / signal, 0.0, 1.0)
    if pulses is None:
        phi = np.ones_like(six)
        r6, r7 = 1 / six, 1 / seven
    else:
        rate = np.maximum(pulses, 1.0)
        hit6, hit7 = -np.expm1(-six / rate), -np.expm1(-seven / rate)
        phi = 1 - 2 * hit6 * hit7 / (hit6 + hit7)
        r6, r7 = (1 - hit6) / hit6, (1 - hit7) / hit7
    left = np.clip(r6 * r7 / ((r6 + r7) * (p**2 * r6 + (1 - p) ** 2 * r7)), 1e-6, 1.0)
    return phi * (1 + (1 / left - 1) / np.maximum(pixels, 1.0)), left / phi
