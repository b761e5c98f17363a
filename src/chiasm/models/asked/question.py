"""A question to a model that reads one: which of its modalities that is, and a patient of whom it is asked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from chiasm.cohort import Cohort, Unsupported, cohort_from_frames
from chiasm.fitting.model import FittedModel
from chiasm.models.same_target import FittedFor
from chiasm.protocols import Model, modalities_of
from chiasm.targets import Choice, kind_of
from chiasm.targets.options import MOST_OPTIONS

NAMES = ("question", "prompt", "instruction")
"""Modalities that hold what is asked."""
OPTIONS, TEXT = "options", "text"


def question_of(model: Model) -> str | None:
    """The modality in which a model reads a question, where it answers by a choice or a text; else None."""
    if not isinstance(model, FittedFor):
        return None
    target = kind_of(model.response.kind)
    if not (target.has_options or target.has_texts):
        return None
    kinds = model.kinds if isinstance(model, FittedModel) else {}
    return next((name for name in NAMES if name in modalities_of(model) and kinds.get(name, TEXT) == TEXT), None)


def chooses(model: Model) -> bool:
    """Whether a model chooses among a patient's own options."""
    return isinstance(model, FittedFor) and kind_of(model.response.kind).has_options


def with_question(cohort: Cohort, modality: str, question: str, options: Sequence[str] = ()) -> Cohort:
    """Return one patient with a question, and options where any are given, in place of his own.

    Args:
        cohort: of one patient.
        modality: in which the model reads the question.

    Raises:
        Unsupported: one option alone, more than there are letters, an empty one, or one that stands there twice.
    """
    plain = [option.strip() for option in options]
    if plain and ("" in plain or not 2 <= len(plain) == len({*plain}) <= MOST_OPTIONS):
        raise Unsupported(f"a choice is among 2 to {MOST_OPTIONS} different options, none of them empty: give those")
    index = pd.Index(cohort.ids, dtype=object)
    people = pd.DataFrame({OPTIONS: [json.dumps(plain)]}, index=index) if plain else pd.DataFrame(index=index)
    asked = pd.DataFrame({modality: [question]}, index=index)
    target = Choice(options=OPTIONS) if plain else None
    made = cohort_from_frames(people, {modality: asked}, target, kinds={modality: TEXT}, name=cohort.name)
    joined = cohort.merged(made)
    encodings = {name: own for name, own in joined.encodings.items() if name != modality}
    return replace(joined, encodings=encodings, options=made.options if plain else cohort.options)
