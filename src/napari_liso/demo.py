"""The whole job without a screen, on the data that come with the package."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_liso import __version__, sample_data
from napari_liso.acquisition import Acquisition
from napari_liso.counting.fraction import FractionMap, isotope_fraction
from napari_liso.diffusion.conductivity import boundary_resistance
from napari_liso.diffusion.experiment import Experiment
from napari_liso.diffusion.results import DiffusionFit, Estimate, Verdict
from napari_liso.figures import fit_figure
from napari_liso.microstructure.boundaries import Boundaries, find_boundaries
from napari_liso.tables import replace_file
from napari_liso.units import NANOMETRE, to_ohm_cm2, to_um

__all__ = [
    "LITHIUM_DENSITY",
    "NATURAL_COPPER",
    "Analysis",
    "Copper",
    "analyse",
    "boundary_csv",
    "measure_copper",
    "prepare",
    "report",
    "write",
]

#: 65Cu/(63Cu + 65Cu) in nature (IUPAC 2013, abundance of 65Cu).
NATURAL_COPPER = 0.3085
#: Lithium in Li0.29La0.57TiO3: 0.29 a cubic cell of 3.87 Å, 1/m3.
LITHIUM_DENSITY = 0.29 / 3.87e-10**3
#: Thickness of a boundary that is assumed where an apparent D_gb is shown, m.
ASSUMED_THICKNESS = 1e-9
_ZERO_CELSIUS = 273.15  # K

#: Columns of the CSV file by those of `DiffusionFit.table`: SI, as their names say.
_COLUMNS = {
    "grain_a": "grain_a",
    "grain_b": "grain_b",
    "permeability": "permeability_m_per_s",
    "permeability_lower": "permeability_lower_m_per_s",
    "permeability_upper": "permeability_upper_m_per_s",
    "verdict": "verdict",
    "information": "information_0_to_1",
    "step": "step_of_fraction",
    "biot": "biot_number",
    "resistance": "resistance_s_per_m",
}
_EXPLANATION = """\
Permeability of every grain boundary of a simulated map (not measured)
The flux across a boundary is permeability x difference of the 6Li fraction. Intervals are 95 %.
k_reported is what the data say: an estimate, a bound (<= or >=), or nothing.
The column permeability_m_per_s is a posterior median: where the verdict is not "resolved" it and
the columns biot_number and resistance_s_per_m (= 1/permeability) lean on the other boundaries.
0 and inf in an interval: open end."""
_VERDICTS: dict[Verdict, str] = {
    "resolved": "resolved",
    "upper_bound": "upper bound",
    "lower_bound": "lower bound",
    "unresolved": "not resolved",
}
#: Rows of the printed table by verdict; the CSV file has all of them.
_PRINTED: dict[Verdict, int] = {
    "resolved": 8, "upper_bound": 3, "lower_bound": 3, "unresolved": 2,
}  # fmt: skip


@dataclass(frozen=True)
class Copper:
    """65Cu/(63Cu + 65Cu) of the shipped measurement, from summed counts.

    Parameters
    ----------
    counts
        Of both isotopes.
    value, lower, upper
        The fraction and its 95 % interval.
    instrument
        That measured it.
    """

    counts: int
    value: float
    lower: float
    upper: float
    instrument: str

    @property
    def deviations(self) -> float:
        """How far above nature it is, in standard errors of nature's fraction at these counts."""
        error = np.sqrt(NATURAL_COPPER * (1 - NATURAL_COPPER) / self.counts)
        return float((self.value - NATURAL_COPPER) / error)


@dataclass(frozen=True, eq=False)
class Analysis:
    """The simulated polycrystal, its analysis, and the truth.

    Parameters
    ----------
    acquisition
        Counts of 6Li and 7Li.
    experiment
        What was done to the sample.
    fraction
        Measured isotope fraction.
    boundaries
        Of its grains.
    fit
        Its result.
    truth
        True k of each row of ``fit.table``, m/s.
    """

    acquisition: Acquisition
    experiment: Experiment
    fraction: FractionMap
    boundaries: Boundaries
    fit: DiffusionFit
    truth: NDArray[np.float64]

    @property
    def contained(self) -> NDArray[np.bool_]:
        """Whether the interval of each boundary contains its truth."""
        table = self.fit.table
        lower, upper = table["permeability_lower"], table["permeability_upper"]
        return (lower.to_numpy() <= self.truth) & (self.truth <= upper.to_numpy())


def measure_copper() -> Copper:
    """Copper's isotopes of the shipped measurement."""
    acquisition = sample_data.copper_grid()
    light, heavy = (int(acquisition[name].sum()) for name in ("63Cu", "65Cu"))
    f = isotope_fraction([[heavy]], [[light]])
    return Copper(
        counts=light + heavy,
        value=float(f.value[0, 0]),
        lower=float(f.lower[0, 0]),
        upper=float(f.upper[0, 0]),
        instrument=f"PHI {acquisition.metadata['instrument']}",
    )


def analyse(tell: Callable[[str], None]) -> Analysis:
    """Simulate the polycrystal and analyse it.

    Parameters
    ----------
    tell
        Called with what is being done.
    """
    tell("Simulating a map of 6Li and 7Li counts")
    acquisition, grains, experiment = sample_data.llto_polycrystal()
    tell("Computing the isotope fraction, finding grain boundaries")
    fraction = isotope_fraction(acquisition["6Li"], acquisition["7Li"])
    boundaries = find_boundaries(grains, acquisition.pixel_size)
    tell(f"Fitting the grains and {len(boundaries)} boundaries")
    fit = sample_data.llto_polycrystal_fit()
    true = {
        (row["grain_a"], row["grain_b"]): row["permeability"]
        for row in acquisition.metadata["truth"]["permeability"]
    }
    pairs = fit.table[["grain_a", "grain_b"]].to_numpy().tolist()
    truth = np.array([true[a, b] for a, b in pairs])
    return Analysis(acquisition, experiment, fraction, boundaries, fit, truth)


def report(copper: Copper, analysis: Analysis) -> str:
    """Return what the demo prints: ASCII, for any terminal."""
    return "\n".join(
        [
            f"Copper grid, measured ({copper.instrument}; {copper.counts} counts)",
            (
                f"  65Cu/(63Cu+65Cu) = {copper.value:.4f} "
                f"(95 %: {copper.lower:.4f} to {copper.upper:.4f})"
            ),
            (
                f"  {abs(copper.deviations):.1f} standard errors "
                f"{'above' if copper.deviations > 0 else 'below'} nature's {NATURAL_COPPER}"
            ),
            "",
            *_headline(analysis),
            "",
            *_table(analysis),
            "",
            *_summary(analysis),
        ]
    )


def boundary_csv(analysis: Analysis) -> str:
    """Return the table of all boundaries as CSV, under a header of lines that begin with #.

    ``pandas.read_csv(path, comment="#")`` reads it.
    """
    fit = analysis.fit
    table = fit.table.rename(columns=_COLUMNS)
    table.insert(0, "k_reported", [_reported(e) for e in _estimates(fit.table)])
    lengths = analysis.boundaries.table.loc[table.index, "length"]
    table.insert(3, "length_m", lengths)
    table["true_permeability_m_per_s"] = analysis.truth
    facts = {
        "software": f"napari-liso {__version__}",
        "sample": analysis.acquisition.metadata["note"],
        "warnings": "; ".join(fit.warnings) or "none",
        "provenance": json.dumps(fit.provenance),
    }
    header = [*_EXPLANATION.splitlines(), *(f"{key}: {text}" for key, text in facts.items())]
    body = table.to_csv(index_label="boundary", lineterminator="\n")
    return "".join(f"# {' '.join(line.split())}\n" for line in header) + body


def prepare(output: Path) -> None:
    """Make the folder for the results, and see that files can be written into it.

    Raises
    ------
    OSError
        If that is not so.
    """
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=output):
        pass


def write(analysis: Analysis, output: Path) -> list[Path]:
    """Write ``boundaries.csv``, ``demo.png`` and ``demo.pdf``, each whole or not at all.

    Raises
    ------
    OSError
        If a file cannot be written.
    """
    stage = analysis.experiment.stages[0]
    source = analysis.experiment.source
    figure = fit_figure(
        analysis.fraction.value,
        analysis.boundaries,
        analysis.fit,
        analysis.truth,
        f"source at the {source} edge" if isinstance(source, str) else "source masked",
        f"{analysis.acquisition.metadata['note']}  {stage.duration / 60:g} min at "
        f"{stage.temperature - _ZERO_CELSIUS:g} °C.  napari-liso {__version__}",
    )
    text = boundary_csv(analysis)
    undated = {"CreationDate": None}
    return [
        replace_file(output / "boundaries.csv", lambda path: _write_text(path, text)),
        replace_file(output / "demo.png", lambda path: figure.savefig(path, dpi=200)),
        replace_file(
            output / "demo.pdf", lambda path: figure.savefig(path, dpi=300, metadata=undated)
        ),
    ]


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def _headline(analysis: Analysis) -> list[str]:
    acquisition, experiment = analysis.acquisition, analysis.experiment
    y, x = analysis.boundaries.grains.shape
    size = acquisition.pixel_size
    if size is None:
        raise ValueError("the sample has no pixel size")
    return [
        acquisition.metadata["note"],
        (
            f"  {y} x {x} pixels of {to_um(size[0]):g} um; "
            f"6Li from the {experiment.source} edge for {experiment.duration / 60:g} min "
            f"at {experiment.temperature - _ZERO_CELSIUS:g} C"
        ),
    ]


def _table(analysis: Analysis) -> list[str]:
    """Return the printed table: the slowest boundaries and the tightest bounds."""
    table = analysis.fit.table
    rows = [(f"  {'boundary':>8}  {'grains':>7}  {'k (nm/s)':>9}  {'95 % interval':>16}"
            f"  {'verdict':<12}  {'true k':>6}")]  # fmt: skip
    estimates = dict(zip(table.index, _estimates(table), strict=True))
    truth = dict(zip(table.index, analysis.truth, strict=True))
    for verdict, most in _PRINTED.items():
        mine = table[table["verdict"] == verdict]
        key = "permeability_upper" if verdict == "upper_bound" else "permeability_lower"
        key = "permeability" if verdict == "resolved" else key
        # The tightest bound first: the least upper, the greatest lower one.
        mine = mine.sort_values(key, ascending=verdict != "lower_bound", kind="stable")
        for boundary, row in mine.head(most).iterrows():
            value, interval = _in_nm_per_s(estimates[boundary])
            rows.append(
                f"  {boundary:>8}  {row['grain_a']:>3}|{row['grain_b']:<3}  {value:>9}  "
                f"{interval:>16}  {_VERDICTS[verdict]:<12}  "
                f"{_short(truth[boundary] / NANOMETRE):>6}"
            )
        if len(mine) > most:
            rows.append(f"  {'...':>8}  and {len(mine) - most} more: {_VERDICTS[verdict]}")
    return rows


def _summary(analysis: Analysis) -> list[str]:
    fit = analysis.fit
    truth = analysis.acquisition.metadata["truth"]
    centre, spread = fit.population.centre, fit.population.spread
    temperature = analysis.experiment.temperature
    ln_truth = np.log(analysis.truth)
    resistance = _inverse(centre, lambda k: _resistance(k, temperature))
    counts = fit.table["verdict"].value_counts()
    verdicts = ", ".join(
        f"{counts[key]} {word}" for key, word in _VERDICTS.items() if counts.get(key, 0)
    )
    return [
        f"Boundaries      {len(fit.table)}: {verdicts};",
        (
            f"                {int(analysis.contained.sum())} of the {len(fit.table)} intervals "
            "contain the truth"
        ),
        f"D of the grains {_text(fit.diffusivity, 'm2/s')}; truth {truth['diffusivity']:.2e}",
        f"Median k        {_text(centre, 'm/s')}; truth {np.exp(ln_truth.mean()):.2e}",
        f"Spread of ln k  {_text(spread, '', _short)}; truth {ln_truth.std():.2f}",
        f"  apparent D_gb {_text(_scaled(centre, ASSUMED_THICKNESS), 'm2/s')},",
        (
            f"                = median k x delta with an assumed delta = "
            f"{ASSUMED_THICKNESS / NANOMETRE:g} nm"
        ),
        f"  resistance    {_text(resistance, 'ohm cm2', _short)} at {temperature:g} K",
        (
            f"                for a Haven ratio of 1 and n_Li = 0.29/(3.87 A)^3 = "
            f"{LITHIUM_DENSITY:.2e} 1/m3"
        ),
        f"Fit             chi2 per degree of freedom {fit.dispersion:.2f}",
        *(f"  note: {warning}" for warning in fit.warnings),
    ]


def _estimates(table: pd.DataFrame) -> list[Estimate]:
    columns = ["permeability", "permeability_lower", "permeability_upper", "verdict"]
    return [Estimate(*row) for row in table[columns].itertuples(index=False, name=None)]


def _resistance(permeability: float, temperature: float) -> float:
    """ohm cm2, for a Haven ratio of 1."""
    return to_ohm_cm2(boundary_resistance(permeability, temperature, LITHIUM_DENSITY))


def _scaled(estimate: Estimate, factor: float) -> Estimate:
    return Estimate(
        estimate.value * factor, estimate.lower * factor, estimate.upper * factor, estimate.verdict
    )


def _inverse(estimate: Estimate, function: Callable[[float], float]) -> Estimate:
    """Carry an estimate through a falling function that takes 0 to inf and inf to 0."""
    swapped: dict[Verdict, Verdict] = {
        "lower_bound": "upper_bound",
        "upper_bound": "lower_bound",
    }
    return Estimate(
        function(estimate.value),
        0.0 if np.isinf(estimate.upper) else function(estimate.upper),
        np.inf if estimate.lower <= 0 else function(estimate.lower),
        swapped.get(estimate.verdict, estimate.verdict),
    )


def _text(estimate: Estimate, unit: str, number: Callable[[float], str] = "{:.2e}".format) -> str:
    """Return an estimate in words: a bound is written as one, never as a number."""
    unit = f" {unit}" if unit else ""
    if estimate.verdict == "lower_bound":
        return f">= {number(estimate.lower)}{unit}"
    if estimate.verdict == "upper_bound":
        return f"<= {number(estimate.upper)}{unit}"
    interval = f"{number(estimate.lower)} to {number(estimate.upper)}"
    if estimate.verdict == "unresolved":
        return f"not resolved (95 %: {interval}{unit})"
    return f"{number(estimate.value)}{unit} (95 %: {interval})"


def _reported(estimate: Estimate) -> str:
    """Return k in m/s as it may be quoted."""
    return "" if estimate.verdict == "unresolved" else _text(estimate, "m/s").split(" (")[0]


def _in_nm_per_s(estimate: Estimate) -> tuple[str, str]:
    """Return (value, interval) of k for the printed table."""
    lower, upper = (_short(end / NANOMETRE) for end in (estimate.lower, estimate.upper))
    if estimate.verdict == "lower_bound":
        return f">= {lower}", ""
    if estimate.verdict == "upper_bound":
        return f"<= {upper}", ""
    value = _short(estimate.value / NANOMETRE) if estimate.verdict == "resolved" else "?"
    return value, f"{lower} to {upper}"


def _short(value: float) -> str:
    """Three digits without an exponent where that is short."""
    if 0.01 <= value < 1000:
        return f"{value:.{max(0, 2 - int(np.floor(np.log10(value))))}f}"
    return f"{value:.3g}"
