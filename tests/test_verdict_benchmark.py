"""The benchmark of the verdict: what it calls wrong, what an interval holds, how it goes on when interrupted."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import verdict
from verdicts.cells import CELLS, Cell, draw
from verdicts.lines import SERIES
from verdicts.wrong import Share, Truth, covered, truths, wrong


def row(outcome: str, total: float = 0.0, coverage: float = 0.0, combining: float = 0.0) -> dict:
    """A cohort whose intervals run from -.1 to .1, with these true values."""
    lines = {"total": total, "coverage": coverage, "combining": combining}
    return {"outcome": outcome, **{name: [0.0, -0.1, 0.1, -0.05, 0.05, true] for name, true in lines.items()}}


@pytest.mark.parametrize(
    ("truth", "outcome", "true", "answer"),
    [
        ("noise", "pays", (0.05, 0.05, 0.05), True),  # not above zero by construction, whatever was measured
        ("gain05", "pays", (0.04, 0.0, 0.04), False),
        ("content", "pays", (0.04, 0.0, -0.01), True),  # presence alone bought the total
        ("content", "predicts more patients", (0.04, -0.01, 0.04), True),
        ("coverage", "predicts more patients", (0.04, 0.04, 0.0), False),
        ("gain05", "does not pay", (0.04, 0.0, 0.04), True),
        ("gain02", "does not pay", (0.009, 0.0, 0.009), False),
        ("coverage", "does not pay", (0.04, 0.04, 0.0), True),
        ("gain05", "cannot tell", (0.04, 0.0, 0.04), False),
    ],
)
def test_a_verdict_is_wrong_where_the_truth_speaks_against_it(truth, outcome, true, answer):
    cell, rows = Cell("regression", 300, truth), [row(outcome, *true)] * 3
    assert wrong(cell, rows[0], truths(rows)) is answer


def test_wilson_limits_of_none_in_ten():
    assert Share(0, 10).limits == pytest.approx((0.0, 0.27754), abs=1e-4)


def test_the_wider_interval_is_the_one_that_covers():
    true = {"total": Truth(0.08, 0.0)}
    assert covered([row("cannot tell")], "total", true) == Share(1, 1)
    nothing_printed = {"total": [None] * 5 + [0.0]}
    assert covered([nothing_printed], "total", true) == Share(0, 0)


def test_a_line_that_was_cut_off_or_is_of_another_series_is_judged_again(tmp_path):
    file = tmp_path / "linear-c-100-noise.jsonl"
    whole = f'{{"seed":0,"series":{SERIES}}}\n{{"seed":1,"series":{SERIES - 1}}}\n'
    file.write_text(whole + '{"se')
    assert verdict.left(tmp_path, "linear", ["c-100-noise"], 3) == [("c-100-noise", 1), ("c-100-noise", 2)]
    verdict.mend(file)
    assert file.read_text() == whole


@pytest.mark.parametrize("cell", CELLS.values(), ids=lambda cell: cell.name)
def test_every_patient_of_a_cell_has_a_modality(cell):
    cohort = draw(cell, 120, 0)
    assert cohort.present.any(axis=1).all() and cohort.outcome.known.all()
    assert (cohort.group is not None) == (cell.also == "clusters")
    assert np.array_equal(cohort.present, draw(cell, 120, 0).present)
