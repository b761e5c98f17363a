"""Finding of patients whose own values an encoder was pretrained on, outside of any fold."""

from __future__ import annotations

from typing import Any

from chiasm.cohort import Cohort, Items, Problem, Unsupported
from chiasm.encoders.seen import RemembersItems, item_of
from chiasm.errors import warning
from chiasm.readers import ReadError, reader_for
from chiasm.readers.guard import quiet

SEEN = "pretrained-on-cohort"
MOST_ITEMS = 20_000
WITHIN = {"events": "recipe ehr-mamba"}
"""What pretrains within each fold, by kind of modality; else the encoder `pretrained`."""


def seen_leaks(cohort: Cohort, modality: str, encoder: Any) -> list[Problem]:
    """Tell whether the encoder of a modality was pretrained on values of this cohort, test patients' among them.

    It saw no outcome, and yet what it makes of a patient whom it has seen may suit her better than a new one. Found are
    values equal to the letter; of more than 20,000 the first 20,000 are looked at. An encoder that keeps no marks of
    what it was pretrained on gives no finding.
    """
    seen = encoder.remembered() if isinstance(encoder, RemembersItems) else None
    items = cohort.raw(modality)
    if seen is None or not isinstance(items, Items):
        return []
    reader, values = reader_for(cohort.kinds[modality]), list[str]()
    with quiet():
        for number in range(min(len(items), MOST_ITEMS)):
            try:
                values.append(item_of(reader.read(items[number])))
            except (ReadError, Unsupported):
                continue  # reported by the check of the sources
    found = seen.overlap(values)
    if not found.is_beyond_chance:
        return []
    what = (
        f"the encoder was pretrained on about {found.seen:,.0f} of the {found.items:,} different values of this cohort"
    )
    within = WITHIN.get(cohort.kinds[modality], 'encoder = "pretrained"')
    fix = (
        f"pretrain on other patients, or within each fold ({within}), or accept it: patients who are tested were seen, "
        "without their outcome"
    )
    return [warning(what, fix, path=items.template, modality=modality, finding=SEEN, leak=True)]
