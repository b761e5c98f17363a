"""Part of the page on sets that hold a stated share of outcomes, in each pattern of modalities and each subgroup."""

from __future__ import annotations

from dataclasses import dataclass

from chiasm.evaluation import Trial
from chiasm.evaluation.beside import SURE
from chiasm.report.explained import CHANGED
from chiasm.report.tables import Heading, Table
from chiasm.report.wording import count, percent, rounded

NOT_TOLD = "not filled in"


@dataclass(frozen=True)
class SurePart:
    """How it was asked, in sentences, and the table of the groups."""

    said: list[str]
    table: Table


def sure_part(trial: Trial) -> SurePart | None:
    """Build the part from what the folder of the trial keeps; None where it keeps nothing of it."""
    kept = trial.document.get(SURE)
    if kept is None:
        return None
    if kept["changed"]:
        return SurePart([CHANGED], Table("sure-table", []))
    asked = kept["asked"]
    said = (
        f"'{asked['recipe']}', fitted on {count(asked['fitted'], 'patient')} and calibrated on {asked['patients']:,} "
        f"others, whom it had not seen, so that of further patients like these {percent(asked['coverage'])} are held "
        "in each group, on average over calibrations."
    )
    thresholds = [name for name in kept["rows"][0] if name.startswith("threshold")]
    low = any(row["low_coverage"] is not None for row in kept["rows"])
    events = any(row["events"] is not None for row in kept["rows"])
    heads = [Heading("group", number=False), Heading("level", number=False), Heading("patients")]
    heads += [Heading("events")] if events else []
    heads += [Heading(name.replace("_", " ", 1)) for name in thresholds]
    heads += [Heading("covered at least", "95 of 100 calibrations")] if low else []
    return SurePart([said, *kept["said"]], Table("sure-table", heads, [
        [
            row["by"], row["level"] or NOT_TOLD, _count(row["n"]), *([_count(row["events"])] if events else []),
            *(row["said"] if row[name] is None else rounded(row[name], 3) for name in thresholds),
            *([("" if row["low_coverage"] is None else percent(row["low_coverage"]))] if low else []),
        ]
        for row in kept["rows"]
    ]))  # fmt: skip


def _count(n: int | None) -> str:
    return "<5" if n is None else f"{n:,}"
