"""Boxes that were drawn on images: those of each patient, held against others, and as the text of a cell."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

MOST_BOXES = 2_000
"""Boxes of one image that are read; COCO counts a hundred, a smear of blood has tens."""
DIGITS = 6  # of a coordinate, a share of the image's side, and of a score

Floats = NDArray[np.float64]
Ints = NDArray[np.int_]


@dataclass(frozen=True, eq=False)
class BoxesOfOne:
    """The n boxes of one image.

    Args:
        label: (n,) place of each box's label.
        corners: (n, 4) left, top, right and bottom, as shares of the image's width and height.
        score: (n,) how sure a model is of each; ones where they were drawn.
    """

    label: Ints
    corners: Floats
    score: Floats

    @classmethod
    def of(
        cls, label: Sequence[int] | Ints, corners: Floats | Sequence[Sequence[float]], score: Floats | None
    ) -> BoxesOfOne:
        """Boxes of lists or arrays; without scores each has one."""
        labels = np.asarray(label, dtype=int).reshape(-1)
        own = np.ones(len(labels)) if score is None else np.asarray(score, np.float64).reshape(-1)
        return cls(labels, np.asarray(corners, np.float64).reshape(-1, 4), own)

    def __len__(self) -> int:
        return len(self.label)


NO_BOXES = BoxesOfOne.of((), np.zeros((0, 4)), None)


@dataclass(frozen=True, eq=False, repr=False)
class Marked:
    """Boxes of B patients, and the names of the labels.

    Args:
        each: (B,) objects, the boxes of each patient's image; `NO_BOXES` where none is known too.
        labels: K names, in the order of `BoxesOfOne.label`.
        sizes: (B, 2) width and height of the image that they were drawn on, in pixels; NaN where no file says it.
    """

    each: NDArray[np.object_]
    labels: tuple[str, ...]
    sizes: Floats

    def __repr__(self) -> str:
        return f"Boxes of {len(self.each):,} patients, of {len(self.labels)} labels"

    def take(self, rows: NDArray[np.int_] | NDArray[np.bool_]) -> Marked:
        """Select the boxes of some patients; `rows` are integers or a mask."""
        return replace(self, each=self.each[rows], sizes=self.sizes[rows])

    @property
    def counts(self) -> Floats:
        """(B, K) number of boxes of each label."""
        found = [np.bincount(own.label, minlength=len(self.labels)) for own in self.each.tolist()]
        return np.array(found, dtype=np.float64).reshape(-1, len(self.labels))

    @property
    def texts(self) -> list[str]:
        """The boxes of each patient as the text of a cell, `as_text`."""
        return [as_text(own, self.labels) for own in self.each.tolist()]


def joined_marked(several: Sequence[Marked]) -> Marked:
    """The boxes of several cohorts, one cohort after another; their labels are those of the first."""
    each, sizes = np.concatenate([own.each for own in several]), np.concatenate([own.sizes for own in several])
    return replace(several[0], each=each, sizes=sizes)


def as_text(boxes: BoxesOfOne, labels: Sequence[str]) -> str:
    """Boxes as JSON, a list of `[label, score, left, top, right, bottom]` in shares of the image, the surest first."""
    order = np.argsort(-boxes.score, kind="stable")
    rows = [
        [labels[boxes.label[k]], *(round(float(own), DIGITS) for own in (boxes.score[k], *boxes.corners[k]))]
        for k in order.tolist()
    ]
    return json.dumps(rows, separators=(",", ":"), ensure_ascii=False)


def of_text(text: str, labels: Sequence[str]) -> BoxesOfOne:
    """Boxes of the JSON of `as_text`.

    Raises:
        ValueError: it is no such list, a label is none of `labels`, or a number is not finite.
    """
    wrong = "boxes are a JSON list of [label, score, left, top, right, bottom], in shares of the image"
    try:
        rows = json.loads(text)
        if not isinstance(rows, list):
            raise TypeError
        place = {name: k for k, name in enumerate(labels)}
        label = [place[own[0]] for own in rows]
        numbers = [[float(value) for value in own[1:]] for own in rows]
    except (ValueError, TypeError, KeyError, IndexError, RecursionError) as fault:
        raise ValueError(wrong) from fault
    if any(len(own) != 5 or not all(map(math.isfinite, own)) for own in numbers):
        raise ValueError(wrong)
    held = np.array(numbers, dtype=np.float64).reshape(-1, 5)
    return BoxesOfOne.of(label, held[:, 1:], held[:, 0])


def overlaps(one: Floats, other: Floats) -> Floats:
    """Intersection over union `(n, m)` of boxes `(n, 4)` and `(m, 4)`; 0 where neither has an area."""
    low = np.maximum(one[:, None, :2], other[None, :, :2])
    high = np.minimum(one[:, None, 2:], other[None, :, 2:])
    shared = np.clip(high - low, 0.0, None).prod(axis=2)
    both = areas(one)[:, None] + areas(other)[None, :] - shared
    return np.where(both > 0, shared / np.where(both > 0, both, 1.0), 0.0)


def areas(corners: Floats) -> Floats:
    """(n,) area of boxes, as a share of the image."""
    return np.asarray(np.clip(corners[:, 2:] - corners[:, :2], 0.0, None).prod(axis=1), dtype=np.float64)


def usual_boxes(marked: Marked) -> BoxesOfOne:
    """What images have on average, of each label: what is said of an image of which nothing is known.

    An image has m boxes of a label on average; the image is cut into `ceil(sqrt(m))` rows and as many columns, and in
    each cell there is said, with the share of the images that have one there as its score, a box at the mean centre of
    those with their centre in it, and of the median size of the label's.
    """
    many, label, corners, score = max(len(marked.each), 1), [], [], []
    for k in range(len(marked.labels)):
        parts = [own.corners[own.label == k] for own in marked.each.tolist()]
        image = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
        whole = np.concatenate([*parts, np.zeros((0, 4))])
        if not len(whole):
            continue
        side = math.ceil(math.sqrt(len(whole) / many))
        centre, size = (whole[:, :2] + whole[:, 2:]) / 2, np.median(whole[:, 2:] - whole[:, :2], axis=0)
        cell = np.clip((centre * side).astype(int), 0, side - 1) @ np.array([1, side])
        for own in np.unique(cell):
            here = cell == own
            middle = centre[here].mean(axis=0)
            label.append(k)
            corners.append(np.clip(np.r_[middle - size / 2, middle + size / 2], 0.0, 1.0))
            score.append(len(np.unique(image[here])) / many)
    return BoxesOfOne.of(label, np.array(corners, np.float64).reshape(-1, 4), np.array(score, np.float64))
