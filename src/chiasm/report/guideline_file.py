"""Both guidelines as a file to be filled in: every item, what the run answers, and NEEDS INPUT where it cannot."""

from __future__ import annotations

import re
from collections.abc import Sequence

from chiasm.evaluation import Trial
from chiasm.report.guidelines import tripod_items
from chiasm.report.items import Item
from chiasm.report.markdown import NEEDED, escaped, table
from chiasm.report.probast import probast_items
from chiasm.report.references import PROBAST, TRIPOD
from chiasm.report.sections import SECTIONS
from chiasm.report.wording import count


def guidelines_text(trial: Trial) -> str:
    """Write both lists in Markdown as far as the trial knows them, and say how much of each is left to the authors."""
    tripod, probast = tripod_items(trial), probast_items(trial)
    name = escaped(trial.document["cohort"]["name"])
    return "\n\n".join(
        [
            f"# Reporting: {name}",
            "What the run answers of each item, with the section of `report.html` that shows it, and what only the "
            "authors can write. The lists help to report a study; they do not say that one is good.",
            "## TRIPOD+AI",
            f"Item numbers of {escaped(TRIPOD)}, {TRIPOD.link}; topics in our words. {left(tripod)}",
            listed(tripod),
            "## PROBAST+AI",
            f"Domains of {escaped(PROBAST)}, {PROBAST.link}; topics in our words, the questions stand in the paper. "
            f"The judgement is a reader's. {left(probast)}",
            listed(probast),
        ]
    ) + "\n"  # fmt: skip


def left(items: Sequence[Item]) -> str:
    """Say how many items the authors have to complete."""
    number = sum(bool(item.open) for item in items)
    return f"{number:,} of {count(len(items), 'item')} need input."


def listed(items: Sequence[Item]) -> str:
    """Write the items as a table."""
    rows = [
        [item.number, escaped(item.topic), told(item.said), f"{NEEDED}: {escaped(item.open)}" if item.open else ""]
        for item in items
    ]
    return table(["item", "topic", "what the run says", "left to the authors"], rows)


def told(text: str) -> str:
    """Name sections by their titles in the place of their numbers."""
    titles = {section.anchor: section.title for section in SECTIONS}
    named = re.sub(r"§([a-z_]+)", lambda found: f"'{titles[found[1]]}'" if found[1] in titles else found[0], text)
    return escaped(named)
