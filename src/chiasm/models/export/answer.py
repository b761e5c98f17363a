"""The whole graph of a model, from inputs to the columns of a prediction, and what the file says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from chiasm.artifact import parts_within
from chiasm.errors import Unsupported, count
from chiasm.fitting.card import LIMITS, HoldsTraining
from chiasm.fitting.model import FittedModel
from chiasm.heads.response import Response
from chiasm.models.export import merged_blocks, networks
from chiasm.models.export.graph import Graph, Value
from chiasm.models.export.inputs import BATCH, PRESENT, Form, Reading
from chiasm.models.export.kinds import KINDS_IN_ONNX
from chiasm.models.export.links import any_of, calibrated, link_of

KNOWN = "pattern_known"
"""Output that says whether training patients had just these of the model's modalities."""
WORDS_ARE = "as they are written, without blanks before and behind them; empty where a cell is"
"""How words are to be given, as the file says it."""
__all__ = ["KNOWN", "graph_of", "merged_blocks", "networks"]


def graph_of(model: FittedModel, forms: Mapping[str, Form]) -> Graph:
    """Write a fitted model as a graph.

    Every column of `predict` is an output `(B,)` float64 of its name, but the pattern, which the caller says. Who has
    none of the modalities gets NaN where the model refuses such a patient. `pattern_known` is left out where a model
    does not know the patterns of its training patients.
    """
    graph = Graph()
    reading = Reading.of(graph, forms)
    accepted = [reading.present(name) for name in forms]
    for name in model.scarce if not model.has_prior else ():
        accepted.append(graph.input(f"{name}.{PRESENT}", bool, [BATCH]))
    if not forms:
        raise Unsupported("the model reads no modality: it gives every patient the prior of its training patients")
    answers = KINDS_IN_ONNX[model.response.kind].answers(
        calibrated(link_of(model.predictor, reading), model.response), model.response
    )
    if not model.has_prior:
        some = accepted[0]
        for own in accepted[1:]:
            some = some | own
        answers = some.column().where(answers, np.nan)
    for place, name in enumerate(columns_of(model)):
        graph.output(name, answers.take([place]).squeezed(1), np.float64, [BATCH])
    if model.patterns:
        graph.output(KNOWN, pattern_known(reading, model.patterns), bool, [BATCH])
    return graph


def columns_of(model: FittedModel) -> list[str]:
    """Name the columns of a prediction, but the pattern."""
    width = max(1, len(model.response.classes))
    return [str(column) for column in model.response.frame(np.zeros((1, width))).columns]


def pattern_known(reading: Reading, patterns: tuple[str, ...]) -> Value:
    """Return whose pattern of modalities training patients had, `(B,)` bool."""
    names = list(reading.forms)
    known = reading.rows.op("Greater", 0.0)  # (B, 1): nobody yet
    for pattern in patterns:
        wanted = set(pattern.split("+"))
        same = any_of(reading, names)
        for name in names:
            own = reading.present(name).column()
            same = same & (own if name in wanted else ~own)
        known = known | same
    return known.squeezed(1)


def metadata_of(model: FittedModel, forms: Mapping[str, Form], facts: Mapping[str, Any]) -> dict[str, Any]:
    """Describe an exported model: its inputs and outputs, what it was fitted to, what it holds and is not for."""
    modalities = []
    for name, form in forms.items():
        own: dict[str, Any] = {"name": name, "kind": form.kind, "inputs": form.inputs(name)}
        own |= {"encoder": form.encoder} if form.encoder else {}
        own |= {"numbers": [*form.numbers]} if form.numbers else {}
        own |= {"words": {column: [*levels] for column, levels in form.words.items()}} if form.words else {}
        own |= {"token_width": form.width, "token_slots": form.slots} if form.width else {}
        modalities.append(own)
    return {
        "schema": 1,
        **facts,
        "recipe": model.recipe,
        "target": {key: value for key, value in model.target.items() if isinstance(value, str | int | float | list)},
        "modalities": modalities,
        "words_are": WORDS_ARE,
        "outputs": columns_of(model),
        "patterns": [*model.patterns],
        "answers_without_a_modality": model.has_prior,
        "learned_from": dict(model.learned_from),
        "holds_of_training_patients": held(model),
        "not_for": [line.removeprefix("- ") for line in LIMITS.replace("\n  ", " ").strip().splitlines()],
    }


def held(model: FittedModel) -> list[str]:
    """Say what a graph holds of training patients: less than the model, whose baseline hazard has the times of events.

    Of survival only the hazard at the horizons is in a graph; of competing risks its steps, without their times.
    """
    parts = parts_within(model.predictor, Response)
    own = (part.of_training() for part in parts if isinstance(part, HoldsTraining) and not isinstance(part, Response))
    steps = len(model.response.event_times) if model.response.hazard.ndim > 1 else 0
    said = [f"{count(steps, 'step')} of the hazard of each cause, without its time"] if steps else []
    return [*dict.fromkeys(phrase for phrase in own if phrase), *said]
