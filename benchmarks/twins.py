"""Controllers in simulators of patients: a trained network beside PID, the best constant dose, the usual, the lowest.

Each twin of `chiasm control` with its own defaults: controllers are chosen on some patients and scenarios, and tried on
others. `glucose` trains on adults and adolescents 1 to 5 of simglucose and is tried on 6 to 10 of each, over two days
in three scenarios. A twin that has a line of the results is not run again; `--table` writes docs/twins.md's part.

    python benchmarks/twins.py [glucose ...]
    python benchmarks/twins.py --table
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import chiasm
from chiasm.errors import count
from chiasm.shown import interval
from pages import ROOT, not_run, part, rows_of, run

TWINS = ("linear", "compartment", "metabolic", "predator-prey", "glucose")
KEPT = ("disclaimer", "patients", "trained", "controllers", "table", "against", "diverged", "sentences")
MEASURES = (
    ("cost", 1, 3), ("in_range", 100, 1), ("below", 100, 1), ("very_low", 100, 1), ("episodes", 1, 2), ("dose", 1, 3),
)  # fmt: skip
PAGE = ROOT / "docs" / "twins.md"


def measured(twin: str, data: Path, work: Path) -> dict[str, Any]:
    """One line of the results: what was found of a twin with its own defaults."""
    start = time.process_time()
    found = chiasm.control({"twin": twin})
    own = found.study.settings
    hours = own.keys.test.steps * own.test.minutes / 60
    facts = {"hours": hours, "steps": own.keys.test.steps, "scenarios": own.keys.test.scenarios}
    seconds = round(time.process_time() - start)
    return {"cohort": twin, "seconds": seconds, **facts, **{name: found.document[name] for name in KEPT}}


def text_of(rows: dict[str, dict[str, Any]]) -> str:
    """Tables and sentences of all twins that have run."""
    there = [twin for twin in TWINS if twin in rows]
    lines = ["The network less another controller, on the test patients, 95 % over patients; who is ahead by cost:", ""]
    lines += ["| twin | cost, less the best constant | in range, points | cost, less PID | in range, points |",
              "|---|---|---|---|---|"]  # fmt: skip
    for twin in there:
        less = {row["against"]: row for row in rows[twin]["against"]}
        lines.append(f"| `{twin}` | {' | '.join(_who(less.get(name)) for name in ('best constant', 'PID'))} |")
    lines.append("")
    for twin in there:
        own = rows[twin]
        each = "a day" if own["hours"] else "in 100 steps"
        over = f"{own['hours']:,.0f} hours" if own["hours"] else f"{own['steps']:,} steps"
        scenarios = count(own["scenarios"], "scenario")
        lines += [
            f"**`{twin}`**, {own['patients']['test']} patients, {scenarios} of {over} each; trained and chosen on "
            f"{own['patients']['train']} others in {own['seconds']:,} s of one core.", "",
            f"| controller | cost | time in range, % | below, % | very low, % | low episodes {each} | mean dose |",
            "|---|---|---|---|---|---|---|",
            *(f"| {row['controller']} | {' | '.join(_texts(row))} |" for row in own["table"]), "",
            *(f"- {sentence}" for sentence in own["sentences"]), "",
        ]  # fmt: skip
    lines += not_run(TWINS, rows)
    return "\n".join(lines).rstrip() + "\n"


def _who(row: dict[str, Any] | None) -> str:
    """The difference of costs, and who is ahead where its interval is on one side of 0."""
    if row is None:
        return "not estimable | not estimable"
    low, high = row["cost_low"], row["cost_high"]
    middle, least, most = (100 * row[f"in_range{end}"] for end in ("", "_low", "_high"))
    share = interval(middle, least, most, digits=1)
    told = "the network is ahead" if high < 0 else "the network is behind" if low > 0 else "neither is ahead"
    return f"{interval(row['cost'], low, high)}: {told} | {share}"


def _texts(row: dict[str, Any]) -> Iterable[str]:
    for name, times, digits in MEASURES:
        middle, *ends = (row[f"{name}{end}"] for end in ("", "_low", "_high"))
        shown = [float("nan") if own is None else times * own for own in (middle, *ends)]
        yield "-" if middle is None else interval(shown[0], shown[1], shown[2], digits=digits)


def write_part(results: Path, page: Path) -> str:
    """Write the tables to docs/twins.md, and return them."""
    return part(PAGE, "twins", text_of(rows_of(results)))


if __name__ == "__main__":
    run(__doc__, "twins", TWINS, measured, write_part)
