"""Findings part of the report: all that the check and the trial found, leaks first, with reasons for accepting them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chiasm.cohort import Problem
from chiasm.evaluation import Trial
from chiasm.report.wording import count

LEAK, ACCEPTED, FOUND = "leak", "accepted", "finding"


@dataclass(frozen=True)
class Found:
    """One finding: "leak", "accepted" or "finding", what it says, and the reason that accepts it or ""."""

    sort: str
    said: str
    reason: str


@dataclass(frozen=True)
class FindingsPart:
    """Number of findings in a sentence, and each of them, leaks first."""

    said: str
    rows: list[Found]


def findings_part(trial: Trial) -> FindingsPart:
    """Collect every finding that stands in the trial's document."""
    stored = sorted(trial.document.get("findings", ()), key=lambda row: (not row["leak"], row["accepted"] is not None))
    rows = [found(row) for row in stored]
    if not rows:
        return FindingsPart("The check found nothing; what it looks for stands in its documentation.", [])
    leaks = sum(row.sort == LEAK for row in rows)
    accepted = sum(row.sort == ACCEPTED for row in rows)
    parts = [count(len(rows), "finding")]
    if leaks:
        parts.append(f"{leaks:,} of which may give the outcome away, so that there is no plain verdict")
    if accepted:
        parts.append(f"{accepted:,} accepted with a reason")
    return FindingsPart(f"The check found: {', '.join(parts)}.", rows)


def found(row: Mapping[str, Any]) -> Found:
    """Convert a finding from its row in `trial.json`."""
    problem = Problem(**{key: value for key, value in row.items() if key != "accepted"})
    if row["accepted"] is not None:
        return Found(ACCEPTED, f"{problem}", str(row["accepted"]))
    return Found(LEAK if problem.leak else FOUND, f"{problem}", "")
