"""Filters in words against a table whose rows are worked out by hand."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_liso.microstructure.filtering import Field, find_rows

UM = 1e-6


def fields() -> dict[str, Field]:
    """Four boundaries; the last one has neither step nor k."""
    return {
        "id": Field(np.array([1, 2, 5, 7])),
        "grain": Field(np.array([1, 1, 2, 3]), also=[np.array([2, 3, 3, 4])]),
        "length": Field(np.array([1.0, 2.5, 5.0, 0.4]) * UM, {"um": UM, "nm": 1e-9, "m": 1.0}),
        "curvature": Field(np.array([1e5, 2e6, 3e6, np.nan]), {"1/um": 1e6, "1/m": 1.0}),
        "step": Field(
            np.array([-0.2, 0.01, 0.04, np.nan]), error=np.array([0.01, 0.01, 0.01, np.nan])
        ),
        "sigma": Field(np.array([20.0, 1.0, 4.0, np.nan])),
        "state": Field(
            np.array(["use", "exclude", "locked", "use"], dtype=object),
            choices=("use", "exclude", "locked"),
        ),
        # resolved, at most 1e-9, at least 1e-8, unknown
        "k": Field(
            np.array([2e-9, 0.0, 1e-8, np.nan]),
            {"m/s": 1.0, "nm/s": 1e-9},
            upper=np.array([2e-9, 1e-9, np.inf, np.nan]),
        ),
        "verdict": Field(
            np.array(["resolved", "upper bound", "lower bound", None], dtype=object),
            choices=("resolved", "lower bound", "upper bound", "unresolved"),
        ),
        "notes": Field(np.array(["", "a Pore", "and or", ""], dtype=object)),
    }


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("", [1, 2, 5, 7]),
        ("   ", [1, 2, 5, 7]),
        ("length < 2 um", [1, 7]),
        ("LENGTH<2µm", [1, 7]),
        ("length < 2", [1, 7]),
        ("length <= 1000 nm", [1, 7]),
        ("length = 2.5", [2]),
        ("length ≠ 2.5e-6 m", [1, 5, 7]),
        ("curvature > 1.5 1/um", [2, 5]),
        ("step > 0", [2, 5]),
        ("step > 3 sigma", [1, 5]),
        ("step > 3 σ", [1, 5]),
        ("step > 3 sigma and sigma > 10", [1]),
        ("step <= 3 sigma", [2]),
        ("|step| > 0.03", [1, 5]),
        ("step < −0.1", [1]),
        ("step != 0.01", [1, 5]),
        ("state = exclude", [2]),
        ("state == Exclude", [2]),
        ("state != use", [2, 5]),
        ("grain = 3", [2, 5, 7]),
        ("grain != 3", [1]),
        ("k < 3e-9", [1, 2]),
        ("k < 5e-10", []),
        ("k > 5e-9", [5]),
        ("k >= 2 nm/s", [1, 5]),
        ("k = 2e-9", [1]),
        ("verdict = lower bound", [5]),
        ('verdict = "lower bound" or verdict = resolved', [1, 5]),
        ("verdict != resolved", [2, 5]),
        ("notes has pore", [2]),
        ("notes != ''", [2, 5]),
        ('notes = "and or"', [5]),
        ("state = use and length < 0.5 um or id = 5", [5, 7]),
        ("state = use and (length < 0.5 um or id = 1)", [1, 7]),
        ("not state = use and not (id = 2)", [5]),
        ("not not id >= 5 & length > 1", [5]),
    ],
)
def test_rows_that_match(text: str, ids: list[int]) -> None:
    assert fields()["id"].values[find_rows(text, fields())].tolist() == ids


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lenght < 2", r"no column 'lenght' \(perhaps length\); there are id, grain, length"),
        ("3 < step", "no column '3'"),
        ("length < 2 kg", "'kg' is no unit of 'length'; write one of um, nm, m"),
        ("id < 2 um", "'id' has no unit"),
        ("length > 3 sigma", "'length' has no error"),
        ("step > much", "compared with a number, not with 'much'"),
        ("step >", "compared with a number"),
        ("step", "after 'step' comes one of < <="),
        ("state = uses", "never 'uses'; it is one of use, exclude, locked"),
        ("state =", "compared with a word: use, exclude, locked"),
        ("state < use", "holds words: compare it with = or !="),
        ("|state| = use", "no size"),
        ("|step > 3", r"second \| is missing"),
        ("length has 3", "has is for words"),
        ("(length < 2", "closing parenthesis"),
        ("length < 2)", "not expected"),
        ("length < 2 length > 1", "not expected there: join"),
        ("length < 2 and", "ends where a column is expected"),
        ("__import__('os')", "no column '__import__'"),
        ("length < 2; id = 1", "';' has no meaning"),
        ("(" * 40 + "id = 1" + ")" * 40, "too many parentheses"),
        ("not " * 60 + "id = 1", "too many parentheses"),
        ("id = 1 or " * 60 + "id = 1", "500 characters"),
    ],
)
def test_a_filter_that_cannot_be_read_says_why(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        find_rows(text, fields())


def test_no_rows_and_no_columns() -> None:
    assert find_rows("id = 1", {"id": Field(np.empty(0))}).tolist() == []
    assert find_rows("", {}).tolist() == []
    with pytest.raises(ValueError, match="no column"):
        find_rows("id = 1", {})


@given(st.text(st.sampled_from("()|&<>=!. 13e-µ/\"'abcdhiknorsteu_;"), max_size=40))
def test_any_text_is_read_or_refused_in_words(text: str) -> None:
    with contextlib.suppress(ValueError):
        mask = find_rows(text, fields())
        assert mask.shape == (4,)
        assert mask.dtype == bool


@given(
    st.floats(-1, 1),
    st.sampled_from(["<", "<=", ">", ">=", "=", "!="]),
    st.lists(st.floats(-1, 1) | st.just(float("nan")), max_size=6),
)
def test_comparisons_are_those_of_python(bound: float, sign: str, values: list[float]) -> None:
    found = find_rows(f"step {sign} {bound!r}", {"step": Field(np.array(values, dtype=float))})
    near = [bool(np.isclose(v, bound, rtol=1e-9, atol=0)) for v in values]
    expected = {
        "<": [v < bound for v in values],
        "<=": [v <= bound for v in values],
        ">": [v > bound for v in values],
        ">=": [v >= bound for v in values],
        "=": near,
        "!=": [not n and v == v for n, v in zip(near, values, strict=True)],
    }[sign]
    assert found.tolist() == expected


def test_the_size_of_what_lies_between_two_ends():
    fields = {"k": Field(np.array([-1.0, -3.0, 1.0]), upper=np.array([2.0, -2.0, 4.0]))}
    assert find_rows("|k| > 0.5", fields).tolist() == [False, True, True]
    assert find_rows("|k| < 3.5", fields).tolist() == [True, True, False]
