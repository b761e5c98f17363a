"""What `inspection` reads of a stored model, as types: it knows no class of a part, and asks for no more than this."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict

import numpy as np

from chiasm.artifact.register import ArtifactError
from chiasm.artifact.trees import conform

SCALER_ARRAYS = ("median", "mean", "scale", "ranked", "knots")


class ResponseShape(TypedDict):
    """From the link to a prediction."""

    kind: str
    classes: list[str]
    times: list[float]
    slope: float


class EncodingShape(TypedDict):
    """How a modality was encoded."""

    kind: str
    encoder: str
    identity: str
    refused: NotRequired[int]


class TriedShape(TypedDict):
    """A setting of a search."""

    options: dict[str, Any]


class TuningShape(TypedDict):
    """A search of options."""

    recipe: str
    tried: list[TriedShape]
    picked: int
    folds: int


class ModelShape(TypedDict):
    """A fitted model."""

    recipe: str
    modalities: dict[str, str]
    target: dict[str, Any]
    response: ResponseShape
    predictor: Any
    has_prior: NotRequired[bool]
    patterns: NotRequired[list[str]]
    scarce: NotRequired[list[str]]
    learned_from: NotRequired[dict[str, int]]
    prevalence: NotRequired[dict[str, float]]
    encodings: NotRequired[dict[str, EncodingShape]]
    tuning: NotRequired[TuningShape | None]


class ScalerShape(TypedDict):
    """The scaling of a table's columns."""

    columns: list[str]
    tail: float


def require_model(tree: Any, name: str) -> dict[str, Any]:
    """Return a stored model that has what is looked at.

    Raises:
        ArtifactError: a field is missing or of another type.
    """
    try:
        conform(ModelShape, tree)
        tuning = tree.get("tuning")
        if tuning is not None and not 0 <= tuning["picked"] < len(tuning["tried"]):
            raise TypeError("the picked setting was not tried")
    except TypeError:
        raise ArtifactError(f"'{name}' holds a 'model' with a field that is missing or has the wrong type") from None
    return dict(tree)


def is_scaler(tree: Any) -> bool:
    """Return whether a stored part is a scaler of columns, with all that is looked at."""
    try:
        conform(ScalerShape, tree)
    except TypeError:
        return False
    return 0 < tree["tail"] <= 1 and all(
        isinstance(tree.get(name), dict) and isinstance(tree[name].get("$array"), str) for name in SCALER_ARRAYS
    )


def have_shapes(arrays: Mapping[str, np.ndarray], width: int) -> bool:
    """Return whether the arrays of a scaler of so many columns fit together."""
    ranked, knots = arrays["ranked"], arrays["knots"]
    return (
        all(arrays[name].shape == (width,) and arrays[name].dtype.kind == "f" for name in ("median", "mean", "scale"))
        and ranked.ndim == 1
        and ranked.dtype.kind == "i"
        and knots.ndim == 2
        and knots.dtype.kind == "f"
        and len(knots) > 1
        and knots.shape[1] == len(ranked)
    )
