"""How often does the interval of an isotope fraction hold the truth? Binomial sums, no simulation.

Run: python benchmarks/interval_study.py [every]

The chance that the interval holds a fraction jumps where the fraction passes an
end of the interval of some count, and only there: just outside an end it is
lowest, on it highest. So it is taken at every such place within 0.02 to 0.98,
for N = 1 to 1000, every so many N (10 unless told) to 10,000, and some N up to
100,000. The probabilities are those of scipy.stats.binom.

Prints the lowest and highest coverage of ranges of N.
"""

from __future__ import annotations

import sys

import numpy as np
from scipy import stats

import napari_liso as liso

LOWEST, HIGHEST = 0.02, 0.98  # fractions
RANGES = ((1, 9), (10, 99), (100, 999), (1000, 2999), (3000, 10_000))
BEYOND = (20_000, 50_000, 100_000)


def coverages(trials: int) -> tuple[float, float]:
    """Return the lowest and highest chance that the 95 % interval holds a fraction."""
    k = np.arange(trials + 1)
    f = liso.isotope_fraction(k[np.newaxis], (trials - k)[np.newaxis])
    lower, upper = f.lower[0], f.upper[0]
    jumps = np.concatenate([lower, upper, np.nextafter(lower, 0), np.nextafter(upper, 1)])
    jumps = np.append(jumps[(jumps >= LOWEST) & (jumps <= HIGHEST)], [LOWEST, HIGHEST])
    first = np.searchsorted(upper, jumps, side="left")  # counts whose interval is not below
    last = np.searchsorted(lower, jumps, side="right") - 1  # and not above
    held = stats.binom.cdf(last, trials, jumps) - stats.binom.cdf(first - 1, trials, jumps)
    return float(held.min()), float(held.max())


def main() -> None:
    every = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    print("N, numbers of N, lowest coverage (at N), highest coverage (at N)")
    for start, stop in RANGES:
        step = 1 if stop < 1000 else every
        report(f"{start} to {stop}", sorted({*range(start, stop + 1, step), stop}))
    for trials in BEYOND:
        report(f"{trials}", [trials])


def report(name: str, numbers: list[int]) -> None:
    found = np.array([coverages(n) for n in numbers])
    low, high = int(found[:, 0].argmin()), int(found[:, 1].argmax())
    print(
        f"{name:>14}  {len(numbers):5}  {found[low, 0]:.5f} ({numbers[low]})  "
        f"{found[high, 1]:.5f} ({numbers[high]})",
        flush=True,
    )


if __name__ == "__main__":
    main()
