"""Finding of patients whose own values an encoder was pretrained on, outside of any fold."""

from __future__ import annotations

from typing import Any

from chiasm.cohort import Cohort, Items, Problem, Unsupported
from chiasm.cohort.digests import as_hex
from chiasm.encoders.seen import MarksContents, RemembersItems, item_of
from chiasm.encoding.store_keys import store_keys
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
    values equal to the letter, or files of the same content; of more than 20,000 the first 20,000 are looked at. An
    encoder that keeps no marks of what it was pretrained on gives no finding.
    """
    seen = encoder.remembered() if isinstance(encoder, RemembersItems) else None
    items = cohort.raw(modality)
    if seen is None or not isinstance(items, Items):
        return []
    of_files = isinstance(encoder, MarksContents)
    values = (_contents if of_files else _items)(cohort, modality, items)
    found = seen.overlap(values)
    if not found.is_beyond_chance:
        return []
    what = (
        f"the encoder was pretrained on about {found.seen:,.0f} of the {found.items:,} different values of this cohort"
    )
    within = WITHIN.get(cohort.kinds[modality], f'encoder = "{"pretrained-raster" if of_files else "pretrained"}"')
    fix = (
        f"pretrain on other patients, or within each fold ({within}), or accept it: patients who are tested were seen, "
        "without their outcome"
    )
    return [warning(what, fix, path=items.template, modality=modality, finding=SEEN, leak=True)]


def _contents(cohort: Cohort, modality: str, items: Items) -> list[str]:
    """Return what marks files: digests of their contents, under which their tokens are stored too."""
    rows = cohort.rows_of(modality)[:MOST_ITEMS]
    if len(rows) < len(items):
        items = cohort.raw(modality, rows)
    return as_hex(store_keys(items, cohort.sources[modality].digests(cohort.source_rows[modality][rows])))


def _items(cohort: Cohort, modality: str, items: Items) -> list[str]:
    """Return what marks sequences and records: what they hold, as it is read."""
    reader, values = reader_for(cohort.kinds[modality]), list[str]()
    with quiet():
        for number in range(min(len(items), MOST_ITEMS)):
            try:
                values.append(item_of(reader.read(items[number])))
            except (ReadError, Unsupported):
                continue  # reported by the check of the sources
    return values
