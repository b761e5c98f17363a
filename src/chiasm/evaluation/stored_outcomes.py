"""Outcomes in the table of a run folder, and back: numbers, a column for each label, lists, texts, boxes, maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from chiasm.targets import Outcome
from chiasm.targets.label_maps import LabelMaps
from chiasm.targets.marked import Marked, of_text
from chiasm.targets.texts import Texts

VALUE_OF = "value_"
REPEATS = "repeats"
REFERENCES = "references"
MARKS = "boxes"
MAPS = "masks"


def lists_of(outcome: Outcome) -> dict[str, Any]:
    """Columns `value`, a list of channels for each item, and `repeats`, where there are any: one after another."""
    columns: dict[str, Any] = {"value": pd.Series(list(outcome.value), dtype=object).to_numpy()}
    if outcome.repeats is not None:
        flat = [own[~np.isnan(own).any(axis=1)].reshape(-1) for own in outcome.repeats]
        columns[REPEATS] = pd.Series(flat, dtype=object).to_numpy()
    return columns


def boxes_of(outcome: Outcome) -> dict[str, Any]:
    """Columns `value`, a list of the numbers of each label, and `boxes`, the JSON of `marked.as_text`."""
    assert outcome.boxes is not None  # a target of boxes has them
    return {**lists_of(outcome), MARKS: pd.Series(outcome.boxes.texts, dtype=object).to_numpy()}


def maps_of(outcome: Outcome) -> dict[str, Any]:
    """Columns `value`, a list of how much there is of each label, and `masks`, the JSON of `label_maps.as_text`."""
    assert outcome.maps is not None  # a target of label maps has them
    return {**lists_of(outcome), MAPS: outcome.maps.texts}


def _of_lists(outcomes: pd.DataFrame) -> Outcome:
    """Rebuild responses from the columns of `lists_of`."""
    value = np.stack([np.asarray(own, dtype=np.float64) for own in outcomes["value"]])
    known = np.asarray(np.isfinite(value).all(axis=1), dtype=bool)
    if REPEATS not in outcomes:
        return Outcome(value, None, known)
    own = [np.asarray(flat, dtype=np.float64).reshape(-1, value.shape[1]) for flat in outcomes[REPEATS]]
    repeats = np.full((len(own), max(map(len, own)), value.shape[1]), np.nan)
    for row, rows in enumerate(own):
        repeats[row, : len(rows)] = rows
    return Outcome(value, None, known, None, None, repeats)


def _of_marks(outcomes: pd.DataFrame, labels: Sequence[str]) -> Marked:
    """Rebuild boxes from their JSON; how large the images were is not stored."""
    each = np.empty(len(outcomes), dtype=object)
    each[:] = [of_text(text, labels) for text in outcomes[MARKS]]
    return Marked(each, tuple(labels), np.full((len(outcomes), 2), np.nan))


def _of_maps(outcomes: pd.DataFrame, told: Mapping[str, Any]) -> LabelMaps:
    """Rebuild label maps from their JSON; where they lay in the patient is not stored."""
    nowhere = np.full(len(outcomes), None, dtype=object)
    return LabelMaps(outcomes[MAPS].to_numpy(object), tuple(told["classes"]), float(told["tolerance"]), nowhere)


def texts_of(outcome: Outcome) -> dict[str, Any]:
    """Columns `value`, the mean number of words, and `references`, a list of texts for each patient."""
    assert outcome.texts is not None  # a text target has them
    lists = [list(own) for own in outcome.texts.references.tolist()]
    return {"value": outcome.value, REFERENCES: pd.Series(lists, dtype=object).to_numpy()}


def outcome_of(outcomes: pd.DataFrame, labels: Sequence[str] = (), told: Mapping[str, Any] | None = None) -> Outcome:
    """Rebuild the outcomes from the `outcomes` table.

    Args:
        labels: names of those of a multilabel target.
        told: what the trial's document says of the target, with the scorer of texts and the labels of what is drawn.
    """
    if labels:
        several = outcomes[[f"{VALUE_OF}{label}" for label in labels]].to_numpy(np.float64)
        return Outcome(several, None, ~np.isnan(several).all(axis=1))
    if outcomes["value"].dtype == object:
        found = _of_lists(outcomes)
        if MAPS in outcomes and told:
            return replace(found, maps=_of_maps(outcomes, told))
        return replace(found, boxes=_of_marks(outcomes, told["classes"])) if MARKS in outcomes and told else found
    value = outcomes["value"].to_numpy(np.float64)
    if REFERENCES in outcomes and told:
        references = np.empty(len(value), dtype=object)
        references[:] = [tuple(own) for own in outcomes[REFERENCES]]
        texts = Texts(references, str(told["scorer"]), tuple(told["entities"]))
        return Outcome(value, None, np.isfinite(value), texts=texts)
    event = outcomes["event"].to_numpy(bool) if "event" in outcomes else None
    cause = outcomes["cause"].to_numpy(int) if "cause" in outcomes else None
    return Outcome(value, event, np.isfinite(value), cause)
