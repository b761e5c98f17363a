"""`stu-net`: label maps drawn by an STU-Net, from nothing or from the weights of another cohort's."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, cast

import torch
from torch import nn

from chiasm.artifact import storable
from chiasm.cohort import Cohort, Unsupported
from chiasm.encoders.frozen import hash_state
from chiasm.errors import Problem
from chiasm.fitting.base import Training, choice
from chiasm.fitting.neural import check_size
from chiasm.fitting.row import Row
from chiasm.heads.response import Response
from chiasm.protocols import Predictor
from chiasm.recipes.segmentation import ROWS
from chiasm.recipes.segmentation.of_masks import FEW, OfMasks
from chiasm.segmentation.grids import ImageGrids
from chiasm.segmentation.lineage import marked, weights_findings
from chiasm.segmentation.model import Outliner
from chiasm.segmentation.stunet import SIZES, StuNet
from chiasm.segmentation.transferred import put_into, weights_of


@storable("stu-net")
@dataclass(frozen=True)
class StuNetDesign:
    """Sizes of an STU-Net."""

    width: int
    blocks: int

    def __post_init__(self) -> None:
        check_size("width", self.width, 128)
        check_size("blocks", self.blocks, 3)

    def network(self, channels: dict[str, int], axes: int, labels: int) -> StuNet:
        """Build a fresh network for these contrasts."""
        return StuNet(channels, axes, labels, self.width, self.blocks)


@dataclass(frozen=True)
class StuNetRecipe(OfMasks):
    """The label of each pixel by a residual U-Net of six levels, whose weights serve other contrasts and labels.

    Args:
        size: s, b, l or h, of 14.5, 58, 440 or 1,457 million weights in three dimensions.
        width: channels at full size; 0: those of the size.
        weights: folder of a stored model of this recipe, or a safetensors file of its network's state, with which the
            training begins; contrasts and labels of other names begin anew. Empty: from nothing.
        scale: images are scaled by the mean and spread of their `own` training set, or as those of `weights` are, where
            these know the contrast: tunings of one start so scaled merge (`chiasm merge`).
    """

    size: str = "s"
    width: int = 0
    weights: str = ""
    scale: str = "own"
    learning_rate: float = 1e-3

    file_options: ClassVar[tuple[str, ...]] = ("plan", "weights")
    row: ClassVar[Row] = ROWS["stu-net"]

    def __post_init__(self) -> None:
        super().__post_init__()
        choice("size", self.size, tuple(SIZES))
        choice("scale", self.scale, ("own", "weights"))
        if self.scale == "weights" and not self.weights:
            raise ValueError("scale=weights needs weights=, a model that says how it reads images")
        _ = self.design()  # refuses invalid values

    def design(self) -> StuNetDesign:
        """Return the sizes of the network."""
        width, blocks = SIZES[self.size]
        return StuNetDesign(self.width or width, blocks)

    def scaled(self, grids: dict[str, ImageGrids]) -> dict[str, ImageGrids]:
        """Return how images are read, as the weights do where that is asked for and they know the contrast.

        Raises:
            Unsupported: the weights say of no contrast here how they read it.
        """
        if self.scale == "own":
            return grids
        known = weights_of(self.weights).grids
        if not set(known) & set(grids):
            raise Unsupported(f"weights='{Path(self.weights).name}' do not say how they read {' or '.join(grids)}")
        for name in set(known) & set(grids):
            if known[name].channels != grids[name].channels:
                raise Unsupported(f"weights= read '{name}' with another number of channels: encode it alike")
        return {name: known.get(name, own) for name, own in grids.items()}

    @property
    def least_patients(self) -> int:
        """Return the fewest patients of a fit: few where its weights have learned from others."""
        return FEW if self.weights else super().least_patients

    def findings(self, cohort: Cohort) -> list[Problem]:
        """Return what is to be said of weights that know this cohort's own images, or do not tell which they know."""
        if not self.weights:
            return []
        return weights_findings(cohort, self.contrasts(cohort), self.weights, weights_of(self.weights).seen)

    def learn(self, training: Training) -> tuple[Predictor, Response]:
        """Train the network, and mark the images that it has learned from."""
        predictor, response = super().learn(training)
        own = cast(Outliner, predictor)
        before = weights_of(self.weights).seen if self.weights else ()
        key = hash_state({name: torch.from_numpy(value) for name, value in own.state.items()})[:32]
        return replace(own, seen=marked(training.cohort, sorted(own.grids), key, before)), response

    def begun(self, network: nn.Module, training: Training) -> None:
        """Put the weights into the network, but for contrasts and labels that they do not know."""
        if self.weights:
            put_into(cast(StuNet, network), weights_of(self.weights), training.target.names)
