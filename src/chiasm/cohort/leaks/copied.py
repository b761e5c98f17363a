"""Reference texts that stand in what a model reads: word for word in a note, or as the cell of a column."""

from __future__ import annotations

import numpy as np
import pandas as pd

from chiasm.cohort.cohort import Cohort
from chiasm.cohort.items import Items
from chiasm.cohort.kinds import TABLE, has_form
from chiasm.cohort.leaks.answer_columns import answer_columns
from chiasm.errors import Problem, count, warning
from chiasm.targets.words import normalised

FEWEST = 8
BEYOND = 4.0  # standard deviations above what chance would have
LEAST = 3  # patients, below whom a text that stands there is no finding
MOST = 300  # texts that a note is held against, evenly taken, to know how often one stands there by chance
FIX = (
    "look whether it was written after the text that is to be predicted, and leave it out then; if the answer is to be "
    "read there, as in a passage that a question is about, accept this finding"
)


def copied_texts(cohort: Cohort) -> list[Problem]:
    """Report modalities in which a patient's own text stands word for word, far more often than others' texts do.

    A short text, as `left`, stands in many notes: of patient i it is expected with the share of the texts of all that
    stand in the note of i. Counted, and never shown. Notes in files are not opened.
    """
    outcome = cohort.outcome
    if outcome is None or outcome.texts is None or not outcome.known.any():
        return []
    found: list[Problem] = []
    for name in cohort.modalities:
        rows = cohort.rows_of(name)
        rows = rows[outcome.known[rows]]
        if len(rows) < FEWEST:
            continue
        texts = [[normalised(text) for text in own] for own in outcome.texts.references[rows].tolist()]
        path, raw = cohort.sources[name].path, cohort.raw(name, rows)
        if has_form(cohort.kinds[name], TABLE) and isinstance(raw, pd.DataFrame):
            found += answer_columns(
                raw, texts, normalised, told="the text that is to be predicted", known="text", path=path, modality=name
            )
        elif isinstance(raw, Items) and (told := _copied(list(raw), texts)) is not None:
            what = (
                f"the text that is to be predicted stands word for word in what {told[0]:,} of "
                f"{count(len(rows), 'patient')} have, where chance would have it {told[1]:,.0f} times"
            )
            found.append(warning(what, FIX, path=path, modality=name, finding="answer-in-text", leak=True))
    return found


def _copied(items: list[object], texts: list[list[str]]) -> tuple[int, float] | None:
    """Patients whose own text stands in their note, and how many would by chance; None unless there are far more."""
    others = [own[0] for own in texts]
    others = [others[k] for k in np.linspace(0, len(others) - 1, min(MOST, len(others))).astype(int)]
    seen, share = 0, []
    for item, own in zip(items, texts, strict=True):
        if not isinstance(item, str):
            continue
        note = f" {normalised(item)} "
        seen += any(text and f" {text} " in note for text in own)
        share.append(np.mean([bool(text) and f" {text} " in note for text in others]))
    chance = np.array(share)
    spread = max(float(np.sqrt((chance * (1 - chance)).sum())), 0.5)
    beyond = (seen - float(chance.sum())) / spread > BEYOND
    return (seen, float(chance.sum())) if seen >= LEAST and beyond else None
