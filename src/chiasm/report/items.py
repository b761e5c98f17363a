"""One item of a guideline: what a trial answers of it, and what is left to the authors."""

from __future__ import annotations

from dataclasses import dataclass

from chiasm.evaluation import Trial


@dataclass(frozen=True)
class Item:
    """One checklist item: what the page says, and in `open` what is left to the authors, "" if nothing is.

    `§anchor` in `said` is the section of the page with that anchor.
    """

    number: str
    topic: str
    said: str
    open: str = ""


def groups_of(trial: Trial) -> str:
    """Name the section of the declared subgroups; "" where there are none."""
    return "" if trial.document.get("subgroups") is None else "In the declared subgroups (§subgroups)."


def benefit_of(trial: Trial) -> str:
    """Name the section of net benefit, after a semicolon; "" where there is none."""
    return "; net benefit (§decisions)" if trial.document.get("decisions") else ""
