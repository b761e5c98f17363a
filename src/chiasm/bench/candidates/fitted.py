"""A candidate that is a model folder of chiasm, fitted to classes that are the options, or to a choice among options.

The items become a cohort: modality `question` holds the question, one named `context`, `abstract`, `passage` or
`note` what it is about. A model of classes scores an option by the probability of the class of the same text, so that
its classes must be the options of every item; a model of a choice is given each item's own options, and scores each by
its probability among them. Whether a model has learned from the very items it is asked cannot be seen from it, and is
said.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from chiasm import artifact
from chiasm.bench.item import Asked
from chiasm.bench.reply import Reply
from chiasm.bench.shots import Shot
from chiasm.cohort import cohort_from_frames
from chiasm.encoding.preparing import prepare
from chiasm.language.parsing import folded
from chiasm.models.same_target import FittedFor
from chiasm.protocols import Model, modalities_of
from chiasm.readers import ReadError, reader_for
from chiasm.recipes import registry
from chiasm.targets import Choice, kind_of
from chiasm.targets.options import MOST_OPTIONS

QUESTION = ("question",)
CONTEXT = ("context", "abstract", "passage", "note")
OPTIONS = "options"


@dataclass(frozen=True)
class FittedCandidate:
    """A fitted model that reads text modalities, and predicts classes or chooses among options."""

    model: Model
    name: str
    identity: str
    sees_attachments: bool = False

    @property
    def told(self) -> str:
        """How it was asked."""
        how = "chose among each item's own options" if self.chooses else "predicted a class for each item"
        return (
            f"A fitted model of chiasm {how}; whether it learned from these very items is not known from it: fit it "
            "on a training split."
        )

    @property
    def chooses(self) -> bool:
        """Whether each item's own options are what it chooses among."""
        return isinstance(self.model, FittedFor) and kind_of(self.model.response.kind).has_options

    def answer(self, items: Sequence[Asked]) -> Iterator[Reply]:
        """Predict all items together, and hand out the probabilities in the order of each item's options."""
        asked = [
            item for item in items if self.can_read(item) and (not self.chooses or can_be_chosen_among(item.options))
        ]
        frame = self.predicted(asked) if asked else pd.DataFrame()
        classes = [column.removeprefix("p_") for column in frame.columns if column.startswith("p_")]
        for item in items:
            if not self.can_read(item):
                yield Reply(item.key, failure="crashed", note="the model cannot read the text of the item")
                continue
            if self.chooses:
                columns = [f"p_{place + 1}" for place in range(len(item.options))] if item.key in frame.index else []
                lacks = "the model chooses among 2 to 26 different options"
            else:
                columns = [
                    f"p_{own}" for own in (class_of(option, classes) for option in item.options) if own is not None
                ]
                lacks = "the model has no class for an option, or two"
            if not item.options or len(columns) < len(item.options):
                yield Reply(item.key, failure="crashed", note=lacks)
                continue
            row = frame.loc[item.key]
            yield Reply(item.key, scores=tuple(float(row[column]) for column in columns))

    def can_read(self, item: Asked) -> bool:
        """Whether what the model reads of an item is a text that can be read, or blank, which counts as absent."""
        texts = [item.question if name in QUESTION else item.context for name in modalities_of(self.model)]
        return all(_is_read(text) for text in texts if text.strip())

    def predicted(self, items: Sequence[Asked]) -> pd.DataFrame:
        """Predict a cohort of the items."""
        keys = pd.Index([item.key for item in items], name="item", dtype=str)
        frames, kinds = {}, {}
        for name in sorted(modalities_of(self.model)):
            texts = [item.question if name in QUESTION else item.context for item in items]
            there = [bool(text.strip()) for text in texts]
            frames[name] = pd.DataFrame({name: texts}, index=keys)[there]
            kinds[name] = "text"
        frames = {name: frame for name, frame in frames.items() if len(frame)}
        patients, target = pd.DataFrame(index=keys), None
        if self.chooses:
            patients[OPTIONS] = [json.dumps(item.options) for item in items]
            target = Choice(options=OPTIONS)
        cohort = cohort_from_frames(
            patients, frames, target=target, kinds={name: kinds[name] for name in frames}, name="items"
        )
        return self.model.predict(prepare(cohort, model=self.model).cohort)


def class_of(option: str, classes: Sequence[str]) -> str | None:
    """Return the class of an option: of the same text, or else the only one that is the same but for case and marks."""
    exact = [own for own in classes if own.strip() == option.strip()]
    alike = exact or [own for own in classes if folded(own) == folded(option)]
    return alike[0] if len(alike) == 1 else None


def _is_read(text: str) -> bool:
    try:
        reader_for("text").read(text)
    except ReadError:
        return False
    return True


def can_be_chosen_among(options: Sequence[str]) -> bool:
    """Whether options are what a choice is made among: 2 to 26, none of them empty or there twice."""
    plain = {option.strip() for option in options}
    return 2 <= len(options) == len(plain) <= MOST_OPTIONS and "" not in plain


def open_fitted(text: str, *, shots: Sequence[Shot] = (), timeout: float = 0.0) -> FittedCandidate:
    """Open a model folder.

    Raises:
        ArtifactError: the folder is no model, or is damaged.
        ValueError: it reads a modality that the items do not have.
    """
    path = Path(text)
    model = artifact.load(path, bring=registry.bring)
    if not isinstance(model, Model):
        raise ValueError(f"'{path.name}' holds a part of a model, not a model")
    other = sorted(modalities_of(model) - {*QUESTION, *CONTEXT})
    if other or not modalities_of(model):
        raise ValueError(
            f"the model reads {', '.join(repr(own) for own in other) or 'no modality that it names'}, and items have "
            f"'question' and {', '.join(repr(own) for own in CONTEXT)}: fit it on modalities of these names"
        )
    return FittedCandidate(model, path.name, artifact.identity(path))
