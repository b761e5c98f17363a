"""The tables of docs/benchmarks.md, from the files of results alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from chiasm.artifact import write_text
from chiasm.evaluation.verdict import CANNOT_TELL, DOES_NOT_PAY, PAYS, PREDICTS_MORE
from pages import part
from verdicts.cells import CELLS, COMBINING, QUANTITIES
from verdicts.judge import MOST_KERNEL
from verdicts.lines import rows_of
from verdicts.wrong import Row, Share, above_zero, covered, metric_covered, missed_by, old_test, truths, widths, wrong

MOST_WRONG = 0.03
LEAST_COVERED = 0.93
POWER_LOST = 0.05
OUTCOMES = (PAYS, PREDICTS_MORE, DOES_NOT_PAY, CANNOT_TELL)
TITLE = "# Benchmarks\n\n"
INTRODUCTION = """## How often the verdict is wrong

`python benchmarks/verdict.py`, its cells in `benchmarks/verdicts/cells.py`, its results in
`benchmarks/results/verdict/`; this part of the page is written by `--table`. A cell is a kind of target (c, s, r), the
patients of a cohort, a truth, and what is switched on beside it. The truth of a cell is the mean over its cohorts and
folds of each fold's picked models, as they were fitted, on {further} further patients, fresh ones for each cohort; its
standard error follows it. What is not above zero by construction is marked `<= 0` and counts so, whatever was measured.
Wrong are "pays" where the true total or the true combining is not above zero, "predicts more patients" where the true
coverage is not, and "does not pay" where the true total is .01 or more and so is combining or coverage. Shares are in
percent, with 95 % Wilson limits. Intervals that are zero by construction are not printed and not counted. The primary
metric's intervals are held against the fitted models of their own trial, and against the mean over all cohorts.
`kron-rls` is tried in cohorts of up to {most_kernel} patients, the kernel of `single:*` in all.
"Combining alone" is how often the corrected interval of combining lies above zero, whatever the rest says.
"""


def write_tables(results: Path, page: Path, tiers: Mapping[str, Any]) -> str:
    """Write the part of the page between its marks; the text that was written."""
    parts, seen = [], set[int]()
    for tier in tiers:
        cells = {name: rows_of(results / f"{tier}-{name}.jsonl") for name in CELLS}
        cells = {name: rows for name, rows in cells.items() if rows}
        seen |= {row["further"] for rows in cells.values() for row in rows}
        if cells:
            parts.append(tier_table(tier, cells))
    further = " or ".join(f"{number:,}" for number in sorted(seen)) or "no"
    text = "\n".join([INTRODUCTION.format(further=further, most_kernel=MOST_KERNEL), *parts])
    if not page.exists():
        write_text(page, TITLE)
    return part(page, "verdict", text)


def tier_table(tier: str, cells: Mapping[str, Sequence[Row]]) -> str:
    """Outcomes and wrong verdicts of each cell, then its intervals, then what passes."""
    verdicts = [["cell", "cohorts", *OUTCOMES, "wrong", *QUANTITIES]]
    intervals = [
        ["cell", *(f"{name} covered" for name in QUANTITIES), *(f"{name} width / corrected" for name in QUANTITIES),
         "metric, these models", "metric, population", "combining alone"]
    ]  # fmt: skip
    shares: dict[str, Share] = {}
    for name, rows in cells.items():
        cell, true = CELLS[name], truths(rows)
        shares[name] = Share(sum(wrong(cell, row, true) for row in rows), len(rows))
        told = [f"{100 * np.mean([row['outcome'] == outcome for row in rows]):.0f}" for outcome in OUTCOMES]
        shown = [
            f"{true[q].mean:+.4f} ± {true[q].error:.4f}" + (", <= 0" if q in cell.nothing else "") for q in QUANTITIES
        ]
        verdicts.append([name, str(len(rows)), *told, str(shares[name]), *shown])
        own, population = metric_covered(rows)
        wide = [" / ".join(f"{width:.3f}" for width in widths(rows, q)) for q in QUANTITIES]
        held = [str(covered(rows, q, true)) for q in QUANTITIES]
        intervals.append([name, *held, *wide, str(own), str(population), str(old_test(rows))])
    return "\n".join([f"### {tier}\n", markdown(verdicts), "\n", markdown(intervals), "\n", passed(cells, shares), ""])


def passed(cells: Mapping[str, Sequence[Row]], shares: Mapping[str, Share]) -> str:
    """What is asked, and whether it holds."""
    lines = []
    for outcome in (PAYS, PREDICTS_MORE, DOES_NOT_PAY, None):
        k = n = 0
        for name, rows in cells.items():
            true = truths(rows)
            k += sum(wrong(CELLS[name], row, true) for row in rows if outcome in (None, row["outcome"]))
            n += len(rows)
        share = Share(k, n)
        what = f'wrong "{outcome}"' if outcome else "wrong in all"
        lines.append(f"- {word(share.value <= MOST_WRONG)}: {what} {share}, at most 3 over all cells")
    beyond = [name for name, share in shares.items() if share.limits[0] > MOST_WRONG]
    lines.append(f"- {word(not beyond)}: cells whose lower limit lies above 3: {', '.join(beyond) or 'none'}")
    for quantity in QUANTITIES:
        every = [covered(rows, quantity, truths(rows)) for rows in cells.values()]
        below = [
            f"{name} (missed by {missed_by(cells[name], quantity, truths(cells[name])):.4f} in the median)"
            for name, own in zip(cells, every, strict=True)
            if own.n and own.limits[1] < LEAST_COVERED
        ]
        whole = Share(sum(own.k for own in every), sum(own.n for own in every))
        holds = word(not below and not whole.value < LEAST_COVERED)
        lines.append(f"- {holds}: {quantity} covered {whole}, 93 or more; cells below it: {', '.join(below) or 'none'}")
    for name, rows in cells.items():
        true = truths(rows)
        if CELLS[name].truth == "gain05" and above_zero(CELLS[name], COMBINING, true):
            pays = Share(sum(row["outcome"] == PAYS for row in rows), len(rows))
            holds = word(pays.value >= old_test(rows).value - POWER_LOST)
            lines.append(f"- {holds}: power in {name} {pays}, combining alone {old_test(rows)}")
    return "\n".join(lines)


def word(holds: bool) -> str:
    return "pass" if holds else "FAIL"


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """A table whose first row is its head."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])
