"""The fitted scaling of columns, as a graph: imputed, ranked among training patients, one-hot, projected."""

from __future__ import annotations

import numpy as np

from chiasm.encoders.table.omics import OmicsEncoder
from chiasm.encoders.table.scaling import CLIP, KNOTS, Projection, Scaler
from chiasm.encoders.table.table import TableEncoder
from chiasm.models.export.graph import Value
from chiasm.models.export.inputs import Reading
from chiasm.models.export.normal_score import normal_quantile


def scaled(reading: Reading, modality: str, scaler: Scaler) -> Value:
    """Return scaled columns `(B, F)` float64 as `Scaler` gives them; those of who lacks the modality mean nothing."""
    if not scaler.columns:
        return reading.everyone(np.zeros(0))
    return reading.once(("scaled", modality, id(scaler)), lambda: _scaled(reading, modality, scaler))


def _scaled(reading: Reading, modality: str, scaler: Scaler) -> Value:
    given = reading.numbers(modality, scaler.columns)
    values = given.op("IsNaN").where(scaler.median[None], given)
    ranked = np.asarray(scaler.ranked)
    plain = np.setdiff1d(np.arange(len(scaler.columns)), ranked)
    parts = []
    if len(plain):
        own = (values.take(plain) - scaler.mean[plain]) / scaler.scale[plain]
        parts.append(own.clip(-CLIP / 2, CLIP / 2))
    if len(ranked):
        rank = _ranks(values.take(ranked), scaler.knots) * (1 - 2 * scaler.tail) + scaler.tail
        parts.append(normal_quantile(rank) / 2.0)
    order = np.argsort(np.concatenate([plain, ranked]), kind="stable")
    both = reading.graph.concat(parts)
    return both if len(parts) == 1 else both.take(order)


def _ranks(values: Value, knots: np.ndarray) -> Value:
    """Return the rank of each value among its column's quantiles, `(B, R)` between 0 and 1.

    It is interpolated from both sides, so that a value which several quantiles share has the mean of their ranks. The
    place among the 65 quantiles is found by halving, six steps of one look-up each.

    Args:
        values: `(B, R)`.
        knots: `(65, R)` ascending.
    """
    last = _place(values, knots, "LessOrEqual", "GreaterOrEqual")
    if not (np.diff(knots, axis=0) == 0).any():
        return last
    return (last + _place(values, knots, "Less", "Greater")) / 2.0


def _place(values: Value, knots: np.ndarray, below: str, above: str) -> Value:
    """Interpolate between the last quantile that is below a value and the next one, 0 below all and 1 above all.

    Where both are equal, as at a smallest or largest value that many have, a value is at one of them or beyond.
    """
    graph, width = values.graph, knots.shape[1]
    flat, column = graph.constant(knots.reshape(-1)), graph.constant(np.arange(width)[None], np.int64)
    wide = graph.constant(width, np.int64)
    place = (values.op("IsNaN")).cast(np.int64)  # zeros: nothing is missing any more

    def quantile(at: Value) -> Value:
        return graph.op("Gather", flat, at * wide + column)

    step = (KNOTS - 1) // 2
    while step:
        further = place + graph.constant(step, np.int64)
        place = quantile(further).op(below, values).where(further, place)
        step //= 2
    low, high = quantile(place), quantile(place + graph.constant(1, np.int64))
    width_of = high - low
    between = ((values - low) / width_of).clip(0.0, 1.0)
    part = width_of.op("Greater", 0.0).where(between, values.op(above, low).cast(np.float64))
    return (place.cast(np.float64) + part) / float(KNOTS - 1)


def projected(values: Value, projection: Projection) -> Value:
    """Return `(values - mean) @ components / scale`, `(B, k)`."""
    return (values - projection.mean) @ projection.components / float(projection.scale)


def table_features(reading: Reading, modality: str, encoder: TableEncoder) -> Value:
    """Return the columns of a table `(B, F)` in the order of `TableEncoder.feature_names`."""
    assert encoder.scaler is not None  # it is fitted
    levels, flagged = encoder.categories or {}, set(encoder.flagged)
    place = {column: number for number, column in enumerate(encoder.scaler.columns)}
    blocks, width, order = [scaled(reading, modality, encoder.scaler)], len(place), list[int]()
    for column in encoder.columns:
        if column in levels:
            block = one_hot(reading, modality, column, levels[column])
            order += range(width, width + max(1, len(levels[column])))
            width += max(1, len(levels[column]))
            blocks.append(block)
        else:
            order.append(place[column])
        if column in flagged:
            blocks.append(reading.missing(modality, column).cast(np.float64))
            order.append(width)
            width += 1
    return reading.graph.concat(blocks if place else blocks[1:]).take(order)


def one_hot(reading: Reading, modality: str, column: str, levels: tuple[str, ...]) -> Value:
    """Return a column of 0 and 1 for each level, `(B, K)`; one of zeros where no level is kept."""
    places = np.arange(len(levels)) if levels else np.array([-2])
    known = reading.graph.constant(places[None], np.int64)
    return reading.levels(modality, column).op("Equal", known).cast(np.float64)


def in_slots(values: Value, places: list[list[int]], width: int) -> Value:
    """Arrange columns `(B, F)` as tokens `(B, slots, width)` float32, padded with zeros.

    Args:
        places: for each token the columns that it holds.
    """
    graph = values.graph
    zero = values.take([0]).op("IsNaN").cast(np.float64) * 0.0
    nothing = max((place for part in places for place in part), default=-1) + 1
    order = [place for part in places for place in [*part, *[nothing] * (width - len(part))]]
    padded = graph.concat([values, zero]).take(order)
    return padded.reshape(0, len(places), width).cast(np.float32)


def table_tokens(reading: Reading, modality: str, encoder: TableEncoder) -> Value:
    """Return the tokens of a table, `(B, slots, width)` float32."""
    columns = encoder.feature_columns
    parts = [list(part) for part in np.array_split(np.array(encoder.columns, object), encoder.slots)]
    places = [[number for number, column in enumerate(columns) if column in set(part)] for part in parts]
    return in_slots(table_features(reading, modality, encoder), places, encoder.width)


def omics_tokens(reading: Reading, modality: str, encoder: OmicsEncoder) -> Value:
    """Return the tokens of an omics block, `(B, slots, width)` float32: the components of each of its groups."""
    assert encoder.scaler is not None  # it is fitted
    values, places, start = scaled(reading, modality, encoder.scaler), list[list[int]](), 0
    blocks = []
    for projection, own in zip(encoder.projections, encoder.members, strict=True):
        blocks.append(projected(values.take(own), projection))
        count = projection.components.shape[1]
        places.append([*range(start, start + count)])
        start += count
    if len(blocks) == 1:
        places = [list(range(first, min(first + encoder.width, start))) for first in range(0, start, encoder.width)]
    return in_slots(reading.graph.concat(blocks), places, encoder.width)
