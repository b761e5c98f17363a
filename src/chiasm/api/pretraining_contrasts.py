"""The rasters of a pretraining, of one modality or of several that are contrasts of one thing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from chiasm.cohort import Cohort, Unsupported
from chiasm.encoders.raster.reading import RasterReading
from chiasm.pretraining.rasters.joined_items import JoinedItems, joined
from chiasm.pretraining.rasters.stored_items import StoredItems
from chiasm.tokens import Packed

Ints = NDArray[np.int_]


def contrasts_named(cohort: Cohort, name: str) -> tuple[str, ...]:
    """Return the modalities that are asked for: one, or several joined by commas."""
    return (name,) if name in cohort.modalities else tuple(part.strip() for part in name.split(","))


def readings_of(alone: Mapping[str, RasterReading]) -> tuple[RasterReading, dict[str, RasterReading]]:
    """Return how a raster of all contrasts is made, and each contrast's part of it, one after the other.

    Args:
        alone: how the sources of each would be read by themselves.

    Raises:
        Unsupported: contrasts of different kinds, signals, or one that is named twice.
    """
    (first, *others) = alone.values()
    if not others:
        return first, dict(alone)
    if any(own.kind != first.kind for own in others) or first.axes == 1:
        raise Unsupported("contrasts are images or volumes of one kind: pretrain on each other modality by itself")
    whole = replace(first, channels=sum(own.channels for own in alone.values()))
    parts, before = dict[str, RasterReading](), 0
    for name, own in alone.items():
        parts[name] = replace(whole, first=before)
        before += own.channels
    return whole, parts


@dataclass(frozen=True, repr=False)
class Gathered:
    """The patients who have any of the modalities, and their rasters.

    Args:
        rows: of these patients in the cohort.
        items: of each the digest of what its sources hold.
        contents: the digests of all single sources.
        packed: given places among `rows`, their rasters.
    """

    rows: Ints
    items: list[str]
    contents: list[str]
    packed: Callable[[Ints], Packed]


def gathered(encoded: Cohort, names: Sequence[str]) -> Gathered:
    """Gather the rasters of modalities that are encoded."""
    if len(names) == 1:
        raw = encoded.raw(names[0])
        items = list(raw.contents)
        return Gathered(encoded.rows_of(names[0]), items, items, lambda places: StoredItems(raw, places))
    place = np.full((len(encoded), len(names)), -1)
    for number, name in enumerate(names):
        own = encoded.rows_of(name)
        place[own, number] = np.arange(len(own))
    rows = np.flatnonzero((place >= 0).any(1))
    all_raw = [encoded.raw(name) for name in names]
    contents = [list(raw.contents) for raw in all_raw]
    parts = tuple(StoredItems(raw, np.arange(len(raw))) for raw in all_raw)
    return Gathered(
        rows, joined(contents, place[rows]), [one for own in contents for one in own],
        lambda places: JoinedItems(parts, place[rows[places]]),
    )  # fmt: skip
