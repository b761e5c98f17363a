"""`mulmodseg`: one network for contrasts of which a patient has one or another, told in words which label in which."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from chiasm.artifact import storable
from chiasm.cohort import Cohort, Unsupported
from chiasm.fitting.base import Training
from chiasm.fitting.neural import check_size
from chiasm.fitting.row import Row
from chiasm.recipes.segmentation import ROWS
from chiasm.recipes.segmentation.of_masks import OfMasks
from chiasm.segmentation.conditioned import AlternatingMaps, Conditioned
from chiasm.segmentation.drawing import DrawnMaps
from chiasm.segmentation.grids import grids_of
from chiasm.segmentation.label_words import LEARNT, words_of
from chiasm.segmentation.model import OutlinerDesign


@storable("mulmodseg")
@dataclass(frozen=True, eq=False)
class ConditionedDesign:
    """Sizes of a `Conditioned` network and what it is told.

    Args:
        width, depth: of its U-Net.
        words: `(M, K, E)` float32, contrasts sorted by name.
        learnt: the words are where a table begins that is learnt.
    """

    width: int
    depth: int
    words: np.ndarray
    learnt: bool = False

    def __post_init__(self) -> None:
        check_size("width", self.width, 256)
        check_size("depth", self.depth, 6)
        if self.words.ndim != 3 or not 1 <= self.words.size <= 2**26 or not np.isfinite(self.words).all():
            raise ValueError("what is said of labels is finite numbers, for each contrast and label")

    def network(self, channels: dict[str, int], axes: int, labels: int) -> Conditioned:
        """Build a fresh network for these contrasts.

        Raises:
            ValueError: words are of other contrasts or labels than these.
        """
        if self.words.shape[:2] != (len(channels), labels):
            raise ValueError("there are words for other contrasts or labels than the network draws")
        words = torch.from_numpy(np.array(self.words, dtype=np.float32))
        return Conditioned(channels, axes, self.width, self.depth, words, learnt=self.learnt)


@dataclass(frozen=True)
class MulModSeg(OfMasks):
    """The label of each pixel by one U-Net for all contrasts, whose last maps words of label and contrast write.

    Args:
        words: what tells it a label in a contrast: `hashed`, `learnt`, `none` (the label alone), or a frozen encoder of
            text as a manifest names it, such as `minilm`.
        width: channels at full size; each step down has twice as many.
        depth: steps down.
    """

    words: str = "hashed"
    width: int = 16
    depth: int = 3
    modality_dropout: float = 0.0

    row: ClassVar[Row] = ROWS["mulmodseg"]

    def __post_init__(self) -> None:
        super().__post_init__()
        check_size("width", self.width, 256)
        check_size("depth", self.depth, 6)
        if not self.words:
            raise ValueError("words is hashed, learnt, none, or names a frozen encoder of text")

    def supports(self, cohort: Cohort) -> None:
        """Raise `Unsupported` also where contrasts have not all the same number of channels."""
        super().supports(cohort)
        channels = {name: grids_of(cohort, name).channels for name in self.modalities(cohort)}
        if len(set(channels.values())) > 1:
            found = ", ".join(f"'{name}' has {many}" for name, many in channels.items())
            raise Unsupported(f"one network reads all contrasts by the same channels, and {found}: encode them alike")

    def drawn_by(self, training: Training) -> tuple[OutlinerDesign, DrawnMaps]:
        """Return the sizes of the network with what it is told, and windows that go round the contrasts."""
        words = words_of(sorted(training.cohort.modalities), training.target.names, self.words)
        design = ConditionedDesign(self.width, self.depth, words, self.words == LEARNT)
        return design, AlternatingMaps(self.flips, self.crops)
