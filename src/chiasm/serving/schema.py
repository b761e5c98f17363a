"""The JSON Schema of what a model reads, with kinds, levels and reach, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from chiasm.cohort.kinds import CELL, EVENTS
from chiasm.fitting.model import FittedModel
from chiasm.serving.patients import OPTIONS
from chiasm.serving.reads import Reads, ReadsColumns, ReadsItem
from chiasm.serving.settings import REFUSE, Limits, Policy
from chiasm.targets import kind_of
from chiasm.targets.options import MOST_OPTIONS

DIALECT = "https://json-schema.org/draft/2020-12/schema"
UPLOAD = {
    "type": "object",
    "properties": {"upload": {"type": "string", "description": "the name of the parts that hold its file or files"}},
    "required": ["upload"],
    "additionalProperties": False,
}
BAG = {"type": "array", "items": {"type": "array", "items": {"type": "number"}}, "minItems": 1}
CHOSEN_AMONG = {
    "type": "array",
    "items": {"type": "string", "minLength": 1},
    "minItems": 2,
    "maxItems": MOST_OPTIONS,
    "uniqueItems": True,
    "description": "the patient's own options, in the order of the answer's p_1, p_2, ...",
    "x-kind": "options",
}
RECORDS = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {
            "hours": {"type": "number"},
            "code": {"type": "string"},
            "numeric_value": {"type": ["number", "null"]},
        },
        "required": ["hours", "code"],
        "additionalProperties": False,
    },
}


def schema_of(model: FittedModel, reads: Mapping[str, Reads], policy: Policy, limits: Limits) -> dict[str, Any]:
    """Return the schema of a request of `/predict`; what is known of the answer stands under `x-target`.

    A cell that is null is a missing value, a modality that is left out or null is absent.
    """
    chooses = kind_of(model.response.kind).has_options
    patient = {
        "type": "object",
        "properties": {
            **({OPTIONS: CHOSEN_AMONG} if chooses else {}),
            **{name: _of(own, policy) for name, own in reads.items()},
        },
        "additionalProperties": False,
        **({} if model.has_prior else {"minProperties": 1 + chooses}),
        **({"required": [OPTIONS]} if chooses else {}),
    }
    return {
        "$schema": DIALECT,
        "title": f"What the model '{model.recipe}' reads",
        "description": "Any subset of the modalities. A cell that is null is missing, a modality left out is absent.",
        "type": "object",
        "properties": {"patients": {"type": "array", "items": patient, "minItems": 1, "maxItems": limits.patients}},
        "required": ["patients"],
        "additionalProperties": False,
        "x-target": dict(model.target),
        "x-patterns": list(model.patterns),
        "x-unseen": policy.unseen,
        "x-body-bytes": limits.body_bytes,
        "x-upload-bytes": limits.upload_bytes,
        "x-unfamiliar": policy.unfamiliar,
    }


def _of(own: Reads, policy: Policy) -> dict[str, Any]:
    found = _of_columns(own, policy) if isinstance(own, ReadsColumns) else _of_item(own)
    return {**found, "x-kind": own.kind}


def _of_columns(own: ReadsColumns, policy: Policy) -> dict[str, Any]:
    strict = policy.unfamiliar == REFUSE
    columns: dict[str, Any] = {}
    for name, low, high in zip(own.numbers, own.low.tolist(), own.high.tolist(), strict=True):
        columns[name] = {"type": ["number", "null"]}
        if np.isfinite(low) and np.isfinite(high):
            bound = {"minimum": low, "maximum": high} if strict and not own.is_wide else {"x-reach": [low, high]}
            columns[name].update(bound)
    for name, levels in own.levels.items():
        columns[name] = {"type": ["string", "null"]}
        columns[name].update({"enum": [*sorted(levels), None]} if strict else {"x-levels": sorted(levels)})
    return {
        "type": ["object", "null"],
        "properties": columns,
        "required": sorted(columns),
        "additionalProperties": not columns,  # of a table of which nothing is read but that it is there
    }


def _of_item(own: ReadsItem) -> dict[str, Any]:
    if own.form == CELL:
        return {"type": ["string", "null"], "minLength": 1}
    if own.form == EVENTS:
        return {"anyOf": [RECORDS, {"type": "null"}]}
    return {"anyOf": [UPLOAD, *([BAG] if own.kind == "bag" else []), {"type": "null"}]}
