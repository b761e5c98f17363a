"""Label maps of images, kept as runs: which label stands at each pixel or voxel, and the text of a cell."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

MOST_VOXELS = 400_000_000
"""Pixels or voxels of one label map that are read."""
MOST_RUNS = 5_000_000  # of one label map
LONGEST_USUAL = 64
"""Cells a side of the map of what label maps have on average."""
WRONG = 'a label map is JSON with the keys "shape", "spacing" and "runs", of each label gaps and lengths in turn'

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Codes = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class LabelMap:
    """The label map of one image, `(H, W)` or `(D, H, W)`, as runs of one label in row order.

    Args:
        shape: lengths of two or three axes.
        spacing: millimetres a pixel or voxel along each axis; ones where nobody says it.
        start, length: (r,) first place of each run in the flattened map, ascending, and how many places it has.
        label: (r,) place of its label.
    """

    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    start: Ints
    length: Ints
    label: Ints

    @property
    def codes(self) -> Codes:
        """The map itself: 0 where there is no label, else 1 + the place of the label."""
        flat = np.zeros(math.prod(self.shape), dtype=np.int32)
        before = np.cumsum(self.length) - self.length
        place = np.repeat(self.start - before, self.length) + np.arange(int(self.length.sum()))
        flat[place] = np.repeat(self.label + 1, self.length)
        return flat.reshape(self.shape)

    def volumes(self, labels: int) -> Floats:
        """(K,) how much there is of each label, in cubic or square millimetres, or pixels where spacing is not said."""
        many = np.bincount(self.label, weights=self.length, minlength=labels)[:labels]
        return np.asarray(many * math.prod(self.spacing), dtype=np.float64)

    def numbers(self) -> Floats:
        """The map as a vector: axes, shape, spacing, and of each run the gap before it, its length and its label."""
        gap = self.start - np.r_[0, (self.start + self.length)[:-1]][: len(self.start)]
        runs = np.stack([gap, self.length, self.label], axis=1).reshape(-1)
        return np.concatenate([[len(self.shape)], self.shape, self.spacing, runs]).astype(np.float64)


def map_of(codes: NDArray[np.integer], spacing: Sequence[float] | None = None) -> LabelMap:
    """Runs of a map of codes, 0 where there is no label."""
    flat = np.ascontiguousarray(codes).reshape(-1)
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    start = np.r_[0, edges][: len(flat) or 0].astype(np.int64)
    length = np.diff(np.r_[start, len(flat)]).astype(np.int64)
    code = flat[start].astype(np.int64)
    kept = code != 0
    sides = tuple(float(own) for own in spacing) if spacing is not None else (1.0,) * codes.ndim
    return LabelMap(tuple(map(int, codes.shape)), sides, start[kept], length[kept], code[kept] - 1)


def of_numbers(vector: Floats) -> LabelMap:
    """The map of `LabelMap.numbers`; NaN behind it are left out.

    Raises:
        ValueError: the numbers are none of a label map.
    """
    own = vector[np.isfinite(vector)]
    axes = int(own[0]) if len(own) and own[0] in (2, 3) else 0
    if not axes or len(own) < 1 + 2 * axes or (len(own) - 1 - 2 * axes) % 3:
        raise ValueError("a label map in numbers is its axes, shape, spacing, and gap, length and label of each run")
    shape = tuple(int(side) for side in own[1 : 1 + axes])
    gap, length, label = own[1 + 2 * axes :].astype(np.int64).reshape(-1, 3).T
    start = np.cumsum(gap + length) - length
    return LabelMap(shape, tuple(own[1 + axes : 1 + 2 * axes].tolist()), start, length, label)


@dataclass(frozen=True, eq=False, repr=False)
class LabelMaps:
    """Label maps of B patients, and the names of the labels.

    Args:
        texts: (B,) each map as `as_text`; "" where none is known.
        labels: K names, in the order of `LabelMap.label`.
        tolerance: millimetres, or pixels where spacing is not said, by which a surface may be off and counts as met.
        affines: (B,) where each map lies in the patient, (4, 4) from voxel to millimetres; None where no file says it.
    """

    texts: NDArray[np.object_]
    labels: tuple[str, ...]
    tolerance: float
    affines: NDArray[np.object_]

    def __repr__(self) -> str:
        return f"Label maps of {len(self.texts):,} patients, of {len(self.labels)} labels"

    def take(self, rows: NDArray[np.int_] | NDArray[np.bool_]) -> LabelMaps:
        """Select the maps of some patients; `rows` are integers or a mask."""
        return replace(self, texts=self.texts[rows], affines=self.affines[rows])

    def of(self, row: int) -> LabelMap:
        """The map of a patient for whom one is known."""
        return of_text(self.texts[row], self.labels)


def joined_maps(several: Sequence[LabelMaps]) -> LabelMaps:
    """The maps of several cohorts, one cohort after another; labels and tolerance are those of the first."""
    texts = np.concatenate([own.texts for own in several])
    return replace(several[0], texts=texts, affines=np.concatenate([own.affines for own in several]))


def as_text(own: LabelMap, labels: Sequence[str]) -> str:
    """A map as JSON: `shape`, `spacing`, and of each label that is there the gap before each run and its length."""
    runs: dict[str, list[int]] = {}
    for place, name in enumerate(labels):
        here = own.label == place
        if here.any():
            start, length = own.start[here], own.length[here]
            gap = start - np.r_[0, (start + length)[:-1]]
            runs[name] = np.stack([gap, length], axis=1).reshape(-1).tolist()
    told = {"shape": list(own.shape), "spacing": [round(side, 6) for side in own.spacing], "runs": runs}
    return json.dumps(told, separators=(",", ":"), ensure_ascii=False)


def of_text(text: str, labels: Sequence[str]) -> LabelMap:
    """The map of the JSON of `as_text`.

    Raises:
        ValueError: it is no such text, names a label that is none of `labels`, or runs leave the map or meet.
    """
    place = {name: k for k, name in enumerate(labels)}
    try:
        held = json.loads(text)
        shape, spacing = tuple(held["shape"]), tuple(float(own) for own in held["spacing"])
        parts = [(place[name], np.array(own, dtype=np.int64).reshape(-1, 2)) for name, own in held["runs"].items()]
        sides = [side for side in shape if isinstance(side, int) and not isinstance(side, bool) and side > 0]
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as fault:
        raise ValueError(WRONG) from fault
    size = math.prod(sides)
    sound = len(sides) == len(shape) == len(spacing) and len(shape) in (2, 3) and size <= MOST_VOXELS
    if not sound or not all(math.isfinite(own) and own > 0 for own in spacing):
        raise ValueError(WRONG)
    if sum(len(own) for _, own in parts) > MOST_RUNS or any((own < 0).any() or (own > size).any() for _, own in parts):
        raise ValueError(WRONG)
    start = np.concatenate([np.zeros(0, np.int64), *(np.cumsum(own.sum(axis=1)) - own[:, 1] for _, own in parts)])
    length = np.concatenate([np.zeros(0, np.int64), *(own[:, 1] for _, own in parts)])
    label = np.concatenate([np.zeros(0, np.int64), *(np.full(len(own), k, np.int64) for k, own in parts)])
    order = np.argsort(start, kind="stable")
    start, length, label = start[order], length[order], label[order]
    ends = start + length
    if (length < 1).any() or (ends > size).any() or (start[1:] < ends[:-1]).any():
        raise ValueError(WRONG)
    return LabelMap(shape, spacing, start, length, label)


def stretched(codes: Codes, shape: Sequence[int]) -> Codes:
    """A map on a grid of another shape: at each place what the old one has at the same share of each axis."""
    if codes.shape == tuple(shape):
        return codes
    places = [
        np.minimum(((np.arange(new) + 0.5) * old / new).astype(int), old - 1)
        for old, new in zip(codes.shape, shape, strict=True)
    ]
    return codes[np.ix_(*places)]


def usual_map(maps: LabelMaps) -> LabelMap:
    """What label maps have on average: at each relative place the label, or none, that most of them have there.

    It stands on a grid of the maps' median shape, of 64 cells a side at most, and is stretched to the image that it is
    said of. What most maps do not have at one place, as a small thing that lies elsewhere in each, is nowhere.
    """
    known = [of_text(text, maps.labels) for text in maps.texts.tolist() if text]
    median = np.median([own.shape for own in known], axis=0)
    shape = tuple(int(side) for side in np.clip(np.rint(median), 1, LONGEST_USUAL))
    many = np.zeros((len(maps.labels) + 1, *shape), dtype=np.int32)
    for own in known:
        here = stretched(own.codes, shape)
        for code in np.unique(here):
            many[code] += here == code
    extent = np.median([np.multiply(own.shape, own.spacing) for own in known], axis=0)
    return map_of(many.argmax(axis=0), (extent / shape).tolist())
