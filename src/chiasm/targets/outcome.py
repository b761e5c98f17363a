"""The known outcomes of the patients of a cohort."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chiasm.targets.label_maps import LabelMaps, joined_maps
from chiasm.targets.marked import Marked, joined_marked
from chiasm.targets.options import Options, joined_options
from chiasm.targets.texts import Texts, joined_texts


@dataclass(frozen=True)
class Outcome:
    """Outcomes of the patients of a cohort, in its row order.

    `value` (B,) float64 is the class code, the number or the time, NaN where unknown; for K labels (B, K), 0 or 1, or
    NaN in a missing cell; for V channels (B, V), a row all NaN where unknown. `event` (B,) bool for times, else None;
    `known` (B,) bool, for labels at least one known. `cause` (B,) int for competing risks, else None: 0 without an
    event, else the place of its cause, the main one's 1. `options` are those that each patient may be answered with,
    else None; `value` is the place of the right one from 0. `repeats` (B, R, V) are the responses to R repetitions of
    each item, of which `value` is the mean, NaN where an item has fewer; None where none has two. `texts` are the
    reference texts of each patient, else None; `value` is their mean number of words, or while a model is fitted (B,
    E) its points in the space of texts. `boxes` are those of each patient's image, else None; `value` is (B, K),
    how many there are of each label. `maps` are the label maps of each patient's image, else None; `value` is (B, K),
    how much there is of each label.
    """

    value: NDArray[np.float64]
    event: NDArray[np.bool_] | None
    known: NDArray[np.bool_]
    cause: NDArray[np.int_] | None = None
    options: Options | None = None
    repeats: NDArray[np.float64] | None = None
    texts: Texts | None = None
    boxes: Marked | None = None
    maps: LabelMaps | None = None

    def __repr__(self) -> str:
        events = "" if self.event is None else f", {int(self.event.sum()):,} events"
        return f"Outcome of {len(self.known):,} patients: {int(self.known.sum()):,} known{events}"

    def take(self, rows: NDArray[np.int_] | NDArray[np.bool_]) -> Outcome:
        """Select the outcomes of some patients; `rows` are integers or a mask."""
        event = None if self.event is None else self.event[rows]
        cause = None if self.cause is None else self.cause[rows]
        options = None if self.options is None else self.options.take(rows)
        repeats = None if self.repeats is None else self.repeats[rows]
        texts = None if self.texts is None else self.texts.take(rows)
        boxes = None if self.boxes is None else self.boxes.take(rows)
        maps = None if self.maps is None else self.maps.take(rows)
        return Outcome(self.value[rows], event, self.known[rows], cause, options, repeats, texts, boxes, maps)

    def of_cause(self, place: int) -> Outcome:
        """Outcomes of one cause, by its place from 1: an event of another one ends the follow-up as censoring does."""
        return self if self.cause is None else replace(self, event=self.cause == place, cause=None)

    @property
    def main_event(self) -> NDArray[np.bool_] | None:
        """(B,) True where the event that is predicted happened: of competing risks, that of the main cause."""
        return self.event if self.cause is None else self.cause == 1

    @property
    def causes(self) -> int:
        """Largest place of a cause among them; 1 for an outcome of one event."""
        return 1 if self.cause is None else int(self.cause.max(initial=1))


def words_of(outcome: Outcome) -> list[Any]:
    """What an outcome holds in words, for a digest: options, texts, boxes and label maps; empty without any."""
    marked = [] if outcome.boxes is None else [outcome.boxes.texts]
    marked += [] if outcome.maps is None else [outcome.maps.texts.tolist()]
    held = [own for own in (outcome.options, outcome.texts) if own is not None]
    return [(own.texts if isinstance(own, Options) else own.references).tolist() for own in held] + marked


def joined(outcomes: Sequence[Outcome]) -> Outcome:
    """The outcomes of several cohorts of one target, one cohort after another; there is one or more."""
    event = [own.event for own in outcomes if own.event is not None]
    cause = [own.cause for own in outcomes if own.cause is not None]
    options = [own.options for own in outcomes if own.options is not None]
    texts = [own.texts for own in outcomes if own.texts is not None]
    boxes = [own.boxes for own in outcomes if own.boxes is not None]
    maps = [own.maps for own in outcomes if own.maps is not None]
    return Outcome(
        np.concatenate([own.value for own in outcomes]),
        np.concatenate(event) if event else None,
        np.concatenate([own.known for own in outcomes]),
        np.concatenate(cause) if cause else None,
        joined_options(options) if options else None,
        None,
        joined_texts(texts) if texts else None,
        joined_marked(boxes) if boxes else None,
        joined_maps(maps) if maps else None,
    )


def causes_of(outcome: Outcome) -> NDArray[np.int_]:
    """(B,) place of each patient's cause, 0 without an event.

    Raises:
        ValueError: it is no outcome of competing risks.
    """
    if outcome.cause is None:
        raise ValueError("the outcome has no causes: competing risks need time and cause")
    return outcome.cause
