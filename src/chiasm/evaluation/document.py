"""What `trial.json` holds, as types, from which its check when a trial is read and its JSON Schema are made."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict

from chiasm.artifact.json_schema import DRAFT, NODE, hint_schema
from chiasm.artifact.trees import conform

SCHEMA = 2
TRIAL_SCHEMA_ID = f"urn:chiasm:schema:trial:{SCHEMA}"
Number = float | None
"""A number; None where it cannot be estimated."""


class TargetPart(TypedDict):
    """What is predicted; `classes` are also labels or causes."""

    kind: str
    columns: list[str]
    unit: NotRequired[str | None]
    classes: NotRequired[list[str]]
    counts: NotRequired[list[int] | None]
    events: NotRequired[int | None]
    times: NotRequired[list[float] | None]


class ModalityPart(TypedDict):
    """How many patients have a modality, and how its files were encoded."""

    kind: str
    present: int
    encoder: NotRequired[str]
    identity: NotRequired[str]
    refused: NotRequired[int]


class CohortPart(TypedDict):
    """The tested cohort."""

    name: str
    patients: int
    target: TargetPart
    modalities: dict[str, ModalityPart]
    patterns: NotRequired[dict[str, int]]
    excluded: NotRequired[int]
    groups: NotRequired[int | None]
    sites: NotRequired[int | None]
    units: NotRequired[int | None]


class ProtocolPart(TypedDict):
    """How patients were tested."""

    test_folds: int
    draws: int
    seed: int
    folds: NotRequired[int]
    repeats: NotRequired[int]
    by: NotRequired[str | None]
    margin: NotRequired[float]
    n_train: NotRequired[float]
    n_test: NotRequired[float]


class EstimatePart(TypedDict):
    """A mean, and the ends of its 95 % interval."""

    mean: Number
    low: Number
    high: Number


class FoldPart(TypedDict):
    """One test fold of a recipe."""

    repeat: int
    fold: str
    value: Number
    n_train: NotRequired[int]
    n_test: NotRequired[int]
    inner: NotRequired[Number]
    seconds: NotRequired[float]
    trained_parameters: NotRequired[int]


class RecipePart(TypedDict):
    """A recipe with its primary metric and all others."""

    name: str
    metric: str
    mean: Number
    low: Number
    high: Number
    metrics: dict[str, EstimatePart]
    folds: NotRequired[list[FoldPart]]
    trained_parameters: NotRequired[int]
    seconds: NotRequired[float]
    options: NotRequired[dict[str, Any]]
    family: NotRequired[str]
    side: NotRequired[str]
    paper: NotRequired[str]
    link: NotRequired[str]
    reads: NotRequired[list[str]]
    forms: NotRequired[list[str]]


class FindingPart(TypedDict):
    """A problem of the cohort or the trial; `accepted` is the reason why it was."""

    severity: str
    what: str
    fix: str
    finding: NotRequired[str]
    row: NotRequired[int | None]
    modality: NotRequired[str | None]
    path: NotRequired[str | None]
    leak: NotRequired[bool]
    accepted: NotRequired[str | None]


class ContrastPart(TypedDict):
    """A difference of two recipes."""

    recipe: str
    against: str
    outcome: str
    difference: Number
    low: Number
    high: Number


class VerdictPart(TypedDict):
    """Whether combining paid."""

    outcome: str
    sentence: str
    difference: Number
    low: Number
    high: Number
    coverage: list[Number]
    combining: list[Number]
    best_single: str
    best_fused: str


class TrialDocument(TypedDict):
    """All of it; further parts may stand beside these."""

    schema: int
    cohort: CohortPart
    protocol: ProtocolPart
    recipes: list[RecipePart]
    findings: list[FindingPart]
    contrasts: list[ContrastPart]
    verdict: VerdictPart | None
    versions: NotRequired[dict[str, str]]


def is_sound(document: Any) -> bool:
    """Return whether a document has every part of a trial, each of its type."""
    try:
        conform(TrialDocument, document)
    except TypeError:
        return False
    return True


def trial_schema() -> dict[str, Any]:
    """Make the JSON Schema of `trial.json`."""
    own = hint_schema(TrialDocument, {})
    own["properties"] = {"$schema": {"const": TRIAL_SCHEMA_ID}, **own["properties"], "schema": {"const": SCHEMA}}
    title = "trial.json of a chiasm run folder"
    return {"$schema": DRAFT, "$id": TRIAL_SCHEMA_ID, "title": title, **own, "$defs": {"node": NODE_OF_ANY}}


NODE_OF_ANY: dict[str, Any] = {"description": NODE["description"]}
