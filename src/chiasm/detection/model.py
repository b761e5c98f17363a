"""A fitted finder of boxes: its network, from which score on a box counts, and what is said without an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np
from torch import nn

from chiasm.artifact import storable
from chiasm.cohort import Cohort, Outcome
from chiasm.detection.drawing import Drawing, found_in
from chiasm.encoders import pack
from chiasm.encoders.image.put_together import ImagePixels
from chiasm.fitting.neural import build, restore
from chiasm.targets.marked import MOST_BOXES, BoxesOfOne

SCORES = np.linspace(0.05, 0.95, 19)
"""Scores from which on a box may count."""
COLUMNS = 6  # label, score and corners


class FinderDesign(Protocol):
    """Storable sizes of a finder, from which its network is built again."""

    def finder(self, channels: int, size: int, labels: int) -> nn.Module: ...


@storable("box-finder")
@dataclass(frozen=True)
class BoxFinder:
    """Predictor of boxes in images: a link of the numbers of each label, and behind them the boxes.

    Args:
        modality: of the images.
        pixels: how they are read.
        design: builds the network that `state` fills.
        labels: K.
        state: parameters and buffers of the network.
        counted_from: `(K,)` score from which on a box of a label counts.
        without: `(K + 6 M,)` link of a patient without an image: what training images have on average.
        epochs: after so many it was kept.
    """

    modality: str
    pixels: ImagePixels
    design: Any
    labels: int
    state: dict[str, np.ndarray]
    counted_from: np.ndarray
    without: np.ndarray
    trained_parameters: int
    epochs: int = 0

    def __post_init__(self) -> None:
        if self.counted_from.shape != (self.labels,) or not np.isfinite(self.counted_from).all():
            raise ValueError("a finder of boxes has a score for each label from which on a box counts")
        behind = self.without.size - self.labels
        if self.without.ndim != 1 or behind % COLUMNS or not 0 <= behind <= COLUMNS * MOST_BOXES:
            raise ValueError("what a finder says without an image is numbers of each label and six of each box")

    def drawing(self) -> Drawing:
        """Rebuild the trained network."""
        design, pixels = cast(FinderDesign, self.design), self.pixels
        finder = build(lambda: design.finder(pixels.channels, pixels.size, self.labels), 0)
        restore(finder, self.state)
        return Drawing(finder, self.modality, pixels, self.labels)

    def link(self, cohort: Cohort) -> np.ndarray:
        """Return the numbers of each label and the boxes behind them, `(B, K + 6 M)`, NaN where one has fewer."""
        rows = cohort.rows_of(self.modality) if self.modality in cohort.modalities else np.zeros(0, int)
        found = found_in(self.drawing(), pack(cohort, {self.modality: self.pixels}), rows) if len(rows) else None
        width = max(self.without.size, self.labels + (0 if found is None else found[0].size))
        out = np.full((len(cohort), width), np.nan)
        out[:, : self.without.size] = self.without
        if found is not None:
            out[rows] = np.nan
            out[rows, : self.labels] = numbers_from(found, self.counted_from)
            out[rows, self.labels : self.labels + found[0].size] = found.reshape(len(rows), -1)
        return out


def numbers_from(found: np.ndarray, counted_from: np.ndarray) -> np.ndarray:
    """How many boxes `(n, K)` of each label are as sure as its score says, of those found `(n, M, 6)`."""
    label, score = found[..., 0], found[..., 1]
    each = [((label == k) & (score >= least)).sum(axis=1) for k, least in enumerate(counted_from)]
    return np.stack(each, axis=1).astype(np.float64)


def best_scores(found: np.ndarray, outcome: Outcome) -> np.ndarray:
    """`(K,)` of `SCORES` that one from which on boxes of a label count, so that numbers are least wrong.

    It has the smallest mean absolute error of the number; of equal ones that nearest to one half.
    """
    order = np.argsort(np.abs(SCORES - 0.5), kind="stable")
    labels = outcome.value.shape[1]
    said = [numbers_from(found, np.full(labels, least)) for least in SCORES[order]]
    error = np.stack([np.abs(own - outcome.value).mean(axis=0) for own in said])
    return np.asarray(SCORES[order][error.argmin(axis=0)])


def as_link(numbers: np.ndarray, boxes: BoxesOfOne) -> np.ndarray:
    """One patient's numbers `(K,)` and boxes as a link `(K + 6 M,)`."""
    behind = np.concatenate([boxes.label[:, None], boxes.score[:, None], boxes.corners], axis=1)
    return np.concatenate([numbers, behind.reshape(-1)])
