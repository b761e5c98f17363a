"""Parts of the page that are a table of estimates: a mean with its interval, without one, and none at all."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import chiasm
from chiasm.metrics import segmentation
from chiasm.metrics.detection import LABEL_MEASURES
from chiasm.report.found import found_part
from chiasm.report.patient_by_patient import grouped_part


def test_estimates_are_written_as_elsewhere_on_the_page() -> None:
    row: dict[str, Any] = {"recipe": "r", "label": "red", "drawn": 1200}
    for measure in LABEL_MEASURES:
        row |= {measure: 0.5, f"{measure}_low": 0.25, f"{measure}_high": 0.75}
    row |= {"ap_low": None, "ap_high": None, "count_bias": None, "count_bias_low": None, "count_bias_high": None}
    trial = SimpleNamespace(document={"found": [row]}, target=chiasm.Boxes("file", ("red",)))
    part = found_part(trial)  # type: ignore[arg-type]
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


def test_label_maps_have_a_table_of_their_own() -> None:
    row: dict[str, Any] = {"recipe": "r", "label": "red", "drawn": 12}
    for measure in segmentation.LABEL_MEASURES:
        row |= {measure: 0.5, f"{measure}_low": 0.25, f"{measure}_high": 0.75}
    document = {"found": [row], "cohort": {"target": {"tolerance": 2.0}}}
    trial = SimpleNamespace(document=document, target=chiasm.Mask("file", ("red",)))
    part = found_part(trial)  # type: ignore[arg-type]
    assert part is not None and len(part.table.headings) == len(part.table.rows[0]) == 9
    assert part.table.rows[0][2] == "12" and "within 2 mm" in part.said


def test_a_trial_without_them_has_no_part() -> None:
    nothing = SimpleNamespace(document={})
    assert found_part(nothing) is None and grouped_part(nothing) is None  # type: ignore[arg-type]
