"""A candidate that is a model folder of chiasm, fitted to a target of classes that are the options of the items.

The items become a cohort: modality `question` holds the question, one named `context`, `abstract`, `passage` or
`note` what it is about. The probability of a class is the score of the option of the same text. Whether a model has
learned from the very items it is asked cannot be seen from it, and is said.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from chiasm import artifact
from chiasm.bench.item import Asked
from chiasm.bench.parsing import folded
from chiasm.bench.reply import Reply
from chiasm.bench.shots import Shot
from chiasm.cohort import cohort_from_frames
from chiasm.encoding.preparing import prepare
from chiasm.protocols import Model, modalities_of
from chiasm.recipes import registry

QUESTION = ("question",)
CONTEXT = ("context", "abstract", "passage", "note")


@dataclass(frozen=True)
class FittedCandidate:
    """A fitted model that reads text modalities and predicts classes."""

    model: Model
    name: str
    identity: str
    sees_attachments: bool = False
    told: str = (
        "A fitted model of chiasm predicted a class for each item; whether it learned from these very items is not "
        "known from it: fit it on a training split."
    )

    def answer(self, items: Sequence[Asked]) -> Iterator[Reply]:
        """Predict all items together, and hand out the probabilities in the order of each item's options."""
        frame = self.predicted(items)
        known = {folded(column.removeprefix("p_")): column for column in frame.columns if column.startswith("p_")}
        for item in items:
            columns = [known[own] for own in map(folded, item.options) if own in known]
            if not item.options or len(columns) < len(item.options):
                yield Reply(item.key, failure="crashed", note="the model has no class for an option")
                continue
            row = frame.loc[item.key]
            yield Reply(item.key, scores=tuple(float(row[column]) for column in columns))

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
        cohort = cohort_from_frames(
            pd.DataFrame(index=keys), frames, kinds={name: kinds[name] for name in frames}, name="items"
        )
        return self.model.predict(prepare(cohort, model=self.model).cohort)


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
