"""What linear models and networks read of a modality, by the encoder that was fitted to it."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import numpy as np

from chiasm.encoders.bag import BagEncoder
from chiasm.encoders.stored import FLAT, StoredTokensEncoder
from chiasm.encoders.table.omics import OmicsEncoder
from chiasm.encoders.table.scaling import Columns, PooledTokens, Projected
from chiasm.encoders.table.table import TableEncoder
from chiasm.errors import Unsupported
from chiasm.fitting.bent import TreeInputs
from chiasm.models.export.columns import omics_tokens, one_hot, projected, scaled, table_features, table_tokens
from chiasm.models.export.graph import Value
from chiasm.models.export.inputs import Reading

LOWEST = -1e30  # below any token, and finite


def features(reading: Reading, modality: str, encoder: Any) -> Value:
    """Return the features of a fitted encoder for linear models, `(B, F)` float64; zeros where it is absent."""

    def make() -> Value:
        own = features_by(encoder, reading, modality)
        return reading.present(modality).column().where(own, 0.0)

    return reading.once(("features", modality, id(encoder)), make)


@singledispatch
def features_by(encoder: Any, reading: Reading, modality: str) -> Value:
    """Return the features of a fitted encoder; those of who lacks the modality mean nothing."""
    raise Unsupported(f"modality '{modality}' is read by {type(encoder).__name__}, which has no form in ONNX")


@features_by.register
def _(encoder: Columns, reading: Reading, modality: str) -> Value:
    assert encoder.scaler is not None  # it is fitted
    return scaled(reading, modality, encoder.scaler)


@features_by.register
def _(encoder: TableEncoder, reading: Reading, modality: str) -> Value:
    return table_features(reading, modality, encoder)


@features_by.register
def _(encoder: Projected, reading: Reading, modality: str) -> Value:
    return projected(features(reading, modality, encoder.fitted), encoder.projection)


@features_by.register
def _(encoder: BagEncoder, reading: Reading, modality: str) -> Value:
    values, mask = reading.tokens(modality)
    return mean_and_maximum(values.cast(np.float64), mask)


@features_by.register
def _(encoder: StoredTokensEncoder, reading: Reading, modality: str) -> Value:
    values, mask = reading.tokens(modality)
    if encoder.slots and encoder.slots * len(encoder.mean[0]) <= FLAT:  # type: ignore[index]
        standard = (values.cast(np.float64) - encoder.mean[None]) / encoder.scale[None, :, None]  # type: ignore[index]
        return mask.expanded(2).where(standard, 0.0).reshape(0, -1)
    projection = stored_tokens(encoder, values, mask).cast(np.float64)
    return projection.reshape(0, -1) if encoder.slots else mean_and_maximum(projection, mask)


@features_by.register
def _(encoder: PooledTokens, reading: Reading, modality: str) -> Value:
    values, mask = tokens_by(encoder.encoder, reading, modality)
    values = values.cast(np.float64)
    if encoder.encoder.slots:
        return values.reshape(0, -1)
    return mask.expanded(2).where(values, 0.0).sum(1) / counted(mask)


@features_by.register
def _(encoder: TreeInputs, reading: Reading, modality: str) -> Value:
    if encoder.projection is not None:
        return projected(features(reading, modality, encoder.features), encoder.projection)
    return unscaled(encoder.features, reading, modality)


@singledispatch
def unscaled(encoder: Any, reading: Reading, modality: str) -> Value:
    """Return columns in their own units, with a column for each level of a category; NaN where missing."""
    raise Unsupported(f"modality '{modality}' is read by {type(encoder).__name__}, which has no form in ONNX")


@unscaled.register
def _(encoder: Columns, reading: Reading, modality: str) -> Value:
    assert encoder.scaler is not None  # it is fitted
    return reading.numbers(modality, encoder.scaler.columns)


@unscaled.register
def _(encoder: TableEncoder, reading: Reading, modality: str) -> Value:
    assert encoder.scaler is not None  # it is fitted
    blocks = [reading.numbers(modality, encoder.scaler.columns)] if encoder.scaler.columns else []
    for column, known in sorted((encoder.categories or {}).items()):
        if known:
            block = one_hot(reading, modality, column, known)
            blocks.append(reading.missing(modality, column).where(np.nan, block))
    return reading.graph.concat(blocks)


@singledispatch
def tokens_by(encoder: Any, reading: Reading, modality: str) -> tuple[Value, Value]:
    """Return the tokens that a network reads, `(B, T, D)` float32, and their mask `(B, T)`; times are read of none."""
    return reading.tokens(modality)


def _whole(reading: Reading, modality: str, values: Value, slots: int) -> tuple[Value, Value]:
    """Every token of who has the modality is there."""
    everywhere = reading.graph.constant(np.ones((1, slots)), bool)
    return values, reading.present(modality).column() & everywhere


@tokens_by.register
def _(encoder: TableEncoder, reading: Reading, modality: str) -> tuple[Value, Value]:
    return _whole(reading, modality, table_tokens(reading, modality, encoder), encoder.slots)


@tokens_by.register
def _(encoder: OmicsEncoder, reading: Reading, modality: str) -> tuple[Value, Value]:
    return _whole(reading, modality, omics_tokens(reading, modality, encoder), encoder.slots)


@tokens_by.register
def _(encoder: StoredTokensEncoder, reading: Reading, modality: str) -> tuple[Value, Value]:
    values, mask = reading.tokens(modality)
    return stored_tokens(encoder, values, mask), mask


def stored_tokens(encoder: StoredTokensEncoder, values: Value, mask: Value) -> Value:
    """Return `((token - mean) / scale) @ components` in single precision, `(B, T, k)`; zeros where there is none."""
    assert encoder.mean is not None and encoder.scale is not None and encoder.components is not None  # it is fitted
    graph = values.graph
    mean, scale = (
        graph.constant(encoder.mean[None], np.float32),
        graph.constant(encoder.scale[None, :, None], np.float32),
    )
    out = ((values - mean) / scale) @ graph.constant(encoder.components, np.float32)
    return mask.expanded(2).where(out, graph.constant(0, np.float32))


def counted(mask: Value) -> Value:
    """Return the number of tokens of each patient, `(B, 1)` float64, one or more."""
    return mask.cast(np.float64).sum(1, keep=True).op("Max", 1.0)


def mean_and_maximum(values: Value, mask: Value) -> Value:
    """Return mean and maximum over each patient's tokens, `(B, 2 D)`."""
    real = mask.expanded(2)
    mean = real.where(values, 0.0).sum(1) / counted(mask)
    return values.graph.concat([mean, real.where(values, LOWEST).max(1)])
