"""Numbers as text."""

from __future__ import annotations

import math

import pytest

from chiasm.report.wording import count, duration, interval, listing, number, percent, rounded


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (number(0.81249), "0.812"),
        (number(-0.0001), "0.000"),
        (number(None), "not estimable"),
        (number(math.nan), "not estimable"),
        (interval(0.5, 0.25, 1), "0.500 (0.250 to 1.000)"),
        (interval(0.5, None, 1), "0.500 (no interval)"),
        (interval(None, None, None), "not estimable"),
        (rounded(1234.56), "1,230"),
        (rounded(0.0123456), "0.0123"),
        (rounded(-12.0), "-12"),
        (rounded(99.96), "100"),
        (rounded(0.0), "0"),
        (percent(0.004), "<1 %"),
        (percent(0.0), "0 %"),
        (percent(1.0), "100 %"),
        (duration(0.01), "<0.1 s"),
        (duration(12.34), "12.3 s"),
        (duration(90), "1.5 min"),
        (duration(7200), "2.0 h"),
        (count(1, "patient"), "1 patient"),
        (count(2000, "modality", "modalities"), "2,000 modalities"),
        (listing([]), ""),
        (listing(["a"]), "a"),
        (listing(["a", "b", "c"]), "a, b and c"),
    ],
)
def test_numbers_as_text(said: str, expected: str) -> None:
    assert said == expected
