"""Parts of the page that are a table of estimates: a mean with its interval, without one, and none at all."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from chiasm.metrics.detection import LABEL_MEASURES
from chiasm.report.found import found_part
from chiasm.report.patient_by_patient import grouped_part


def test_estimates_are_written_as_elsewhere_on_the_page() -> None:
    row: dict[str, Any] = {"recipe": "r", "label": "red", "drawn": 1200}
    for measure in LABEL_MEASURES:
        row |= {measure: 0.5, f"{measure}_low": 0.25, f"{measure}_high": 0.75}
    row |= {"ap_low": None, "ap_high": None, "count_bias": None, "count_bias_low": None, "count_bias_high": None}
    part = found_part(SimpleNamespace(document={"found": [row]}))  # type: ignore[arg-type]
    assert part is not None and part.table.rows == [
        [
            "r",
            "red",
            "1,200",
            "0.500 (no interval)",
            "0.500 (0.250 to 0.750)",
            "0.500 (0.250 to 0.750)",
            "not estimable",
        ]
    ]
    assert len(part.table.headings) == len(part.table.rows[0])


def test_a_trial_without_them_has_no_part() -> None:
    nothing = SimpleNamespace(document={})
    assert found_part(nothing) is None and grouped_part(nothing) is None  # type: ignore[arg-type]
