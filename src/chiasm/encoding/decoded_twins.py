"""Detection of duplicate images, volumes and recordings across file formats, by comparing decoded values."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chiasm.cohort import Cohort, Items, Problem
from chiasm.cohort.leaks.twins import same_group, shared
from chiasm.encoding.small import is_small
from chiasm.encoding.sound_thumbnail import sound_thumbnail
from chiasm.errors import count, first_rows, warning
from chiasm.readers import ReadError, reader_for
from chiasm.readers.guard import quiet
from chiasm.readers.reading import require_of
from chiasm.room import let_go

# largest root mean square difference of two standardised thumbnails of duplicates: JPEG at quality 75 changes a 28 x 28
# image by up to .04, and chest radiographs of two different people differ by .28 or more; Ogg,
# Opus, 8 bits and 8 kHz change a made voice by up to .33, and two differ by .77 or more, also behind one loud beep
NEAR = {"image": 0.06, "volume": 0.02, "ecg": 0.02, "signal": 0.02, "audio": 0.45}
SIDES = {1: (256,), 2: (16, 16), 3: (8, 8, 8)}  # thumbnail of a one-, two- or three-dimensional array
MOST_VALUES = 50_000_000  # of a source; a small file of silence unpacks to more
ROWS_AT_ONCE = 1_024

Array = NDArray[np.float64]


def decoded_twins(
    cohort: Cohort, modality: str, progress: Callable[[str, int, int], None], encoder: Any = None
) -> tuple[list[Problem], dict[int, ReadError] | None]:
    """Warn about patients who share an image, volume or recording that was saved in two formats or qualities.

    `encoder` may refuse a source that was decoded, as it would at `encode`; None refuses none.

    Returns the warnings, and the errors of the sources that could not be read by their numbers; None if nothing was
    decoded.

    Each distinct file is decoded once and reduced to a thumbnail (256 numbers, 512 for a volume, 32 per lead) by block
    means, with mean 0 and standard deviation 1, a sound by `sound_thumbnail`; all pairs are compared. Files of equal
    content are left to the check of the cohort, and copies within a group are allowed. Modalities that are not small
    (see `is_small`) and DICOM are skipped, and sources of more than 50 million values; rotated or cropped copies are
    not detected.
    """
    kind, items = cohort.kinds[modality], cohort.raw(modality)
    if kind not in NEAR or not isinstance(items, Items) or len(items) < 2 or not is_small(items):
        return [], None
    rows = cohort.rows_of(modality)
    files = [item for item in (items[i] for i in range(len(items))) if isinstance(item, Path)]
    if len(files) < len(items):
        return [], None
    keys = cohort.sources[modality].digests(cohort.source_rows[modality][rows])
    _, first_of, which = np.unique(keys, return_index=True, return_inverse=True)
    made: list[Array | ReadError | None] = []
    for n, position in enumerate(first_of):
        progress(f"{modality}, decoded", n + 1, len(first_of))
        made.append(_made(kind, files[position], encoder))
    refused = [(n, own) for n, own in enumerate(made) if isinstance(own, ReadError)]
    unread = {int(number): own for n, own in refused for number in np.flatnonzero(which == n)}
    usable = [n for n, value in enumerate(made) if isinstance(value, np.ndarray)]
    shapes: dict[int, list[int]] = {}
    for n in usable:
        shapes.setdefault(len(made[n]), []).append(n)  # type: ignore[arg-type]
    wrong = np.zeros(len(rows), dtype=bool)
    for own in shapes.values():
        for a, b in _near(np.stack([made[n] for n in own]), NEAR[kind]):  # type: ignore[misc]
            here, there = np.flatnonzero(which == own[a]), np.flatnonzero(which == own[b])
            one, other = np.repeat(here, len(there)), np.tile(there, len(here))
            apart = ~same_group(cohort, rows[one], rows[other])
            wrong[one[apart]] = wrong[other[apart]] = True
    wrong &= ~shared(keys, None if cohort.group is None else cohort.group[rows])
    if not wrong.any():
        return [], unread
    where = np.sort(items.file_rows[wrong]).tolist()
    what = f"{count(len(where), 'source')} that decode to what another does ({first_rows(where)})"
    fix = "if they are of one person, name `group`; else take the copy away"
    found = warning(what, fix, path=items.template, row=where[0], modality=modality, finding="same-picture", leak=True)
    return [found], unread


def _made(kind: str, file: Path, encoder: Any) -> Array | ReadError | None:
    """Make the thumbnail of a source; None if it is constant or too large."""
    try:
        with quiet():
            value = reader_for(kind).read(file)
            require_of(encoder, value)
            if value.values.size > MOST_VALUES:
                return None
            if kind == "audio":
                return sound_thumbnail(value)
            return thumbnail(value.values)
    except ReadError as refused:
        return refused


def thumbnail(values: NDArray[Any]) -> Array | None:
    """Reduce an array `(C, ...)` to standardised block means (mean 0, deviation 1); None for a constant one.

    Channels of images and volumes are averaged, so that grey saved as colour equals grey; leads of recordings are kept,
    and their gaps, NaN, count as 0. The first axis is reduced block by block, so that no second array of this size is
    made.
    """
    joined = values.ndim > 2 or len(values) == 1
    shape = values.shape[1:] if joined else values.shape
    sides = SIDES[len(shape)] if joined else (len(values), 32)
    edges = _edges(shape[0], sides[0])
    planes = np.concatenate([_first_axis(values, a, b, joined) for a, b in pairwise(edges.tolist())])
    for axis, side in enumerate(sides[1:], 1):
        edges = _edges(shape[axis], side)
        sizes = np.diff(edges).reshape([-1 if axis == a else 1 for a in range(planes.ndim)])
        planes = np.add.reduceat(planes, edges[:-1], axis=axis) / sizes
    flat = planes.ravel()
    spread = flat.std()
    if not np.isfinite(spread) or spread <= 1e-6 * max(1.0, float(np.abs(flat).max())):
        return None
    return np.asarray((flat - flat.mean()) / spread)


def _edges(length: int, side: int) -> NDArray[np.int_]:
    return np.linspace(0, length, min(side, length) + 1).astype(int)


def _first_axis(values: NDArray[Any], start: int, stop: int, joined: bool) -> Array:
    """Return the mean `(1, ...)` of one block of the first axis after the channels, or of the leads."""
    part = np.array(values[:, start:stop] if joined else values[start:stop], dtype=np.float64)
    if not np.isfinite(part).all():
        part = np.nan_to_num(part, copy=False)
    let_go(values)
    planes = part[0] if len(values) == 1 else part.mean(axis=0) if joined else part
    return np.asarray(np.add.reduceat(planes, [0], axis=0) / (stop - start))


def _near(values: Array, distance: float) -> list[tuple[int, int]]:
    """Find pairs of standardised rows at most `distance` apart: |a - b|^2 / p = 2 - 2 a.b / p."""
    found = []
    for start in range(0, len(values), ROWS_AT_ONCE):
        apart = 2 - 2 * values[start : start + ROWS_AT_ONCE] @ values.T / values.shape[1]
        first, second = np.nonzero(apart <= distance**2)
        found += [(int(a) + start, int(b)) for a, b in zip(first, second, strict=True) if a + start < b]
    return found
