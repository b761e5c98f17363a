"""What recipes of promptable networks share: the SAM that they stand on, and a training by simulated clicks."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, cast

from chiasm.fitting.base import Training
from chiasm.fitting.neural import check_size
from chiasm.heads.response import Response
from chiasm.protocols import Predictor
from chiasm.recipes.segmentation.of_masks import OfMasks
from chiasm.segmentation.model import Outliner, OutlinerDesign
from chiasm.segmentation.prompted_model import PromptedOutliner
from chiasm.segmentation.prompted_training import PromptedMaps
from chiasm.segmentation.sam import Config, local_config, small_config
from chiasm.segmentation.sam_design import BegunSam, SamDesign


@dataclass(frozen=True)
class OnSam(OfMasks):
    """Base of recipes whose network stands on SAM.

    Args:
        weights: local folder of a SAM of transformers, with `model.safetensors`: its encoder is frozen; empty: a small
            one, all of which is trained.
        size: pixels a side at which SAM reads images; 0: as its weights do, or 64 without any.
        adapter: whether the frozen encoder has adapters.
        patch, width, depth: pixels of a patch, channels and blocks of a small SAM.
        modality, window, crops, flips, modality_dropout, epochs, patience, batch, learning_rate, weight_decay: as in
            `OfMasks`.
    """

    weights: str = ""
    size: int = 0
    adapter: bool = True
    patch: int = 4
    width: int = 64
    depth: int = 4
    crops: int = 1
    learning_rate: float = 1e-3

    file_options: ClassVar[tuple[str, ...]] = ("plan", "weights")

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, value, most in (("patch", self.patch, 64), ("width", self.width, 2048), ("depth", self.depth, 64)):
            check_size(name, value, most)
        if not 0 <= self.size <= 4096 or (not self.weights and (self.size or 64) % self.patch):
            raise ValueError("size lies between 0 and 4096, and is a multiple of patch")
        if self.width % 16:
            raise ValueError("width is a multiple of 16")

    @property
    def config(self) -> Config:
        """Sizes of SAM: of the local folder, or small ones."""
        if self.weights:
            return local_config(Path(self.weights), self.size)
        return small_config(self.size or 64, self.patch, self.width, self.depth)

    @property
    def neighbours(self) -> int:
        """Slices of a volume that attend to each other; 0: the network reads pictures."""
        return 0

    @property
    def stored(self) -> SamDesign:
        """Return the sizes of the network as they are stored."""
        return SamDesign(json.dumps(self.config, sort_keys=True), self.adapter, bool(self.weights), self.neighbours)


@dataclass(frozen=True)
class OfPrompts(OnSam):
    """Base of recipes whose network is SAM with adapters, trained as a person would ask and correct it.

    Args:
        clicks: corrections of each mask in a step.
        objects: masks of each window in a step, at most.
        weights, size, adapter, patch, width, depth: as in `OnSam`, the others as in `OfMasks`.
    """

    clicks: int = 2
    objects: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        check_size("clicks", self.clicks + 1, 33)
        check_size("objects", self.objects, 256)

    def design(self) -> OutlinerDesign:
        """Return what builds the network as its training begins."""
        return BegunSam(self.stored, Path(self.weights)) if self.weights else self.stored

    def objective(self) -> PromptedMaps:
        """Return the losses of masks that are asked and corrected."""
        return PromptedMaps(self.flips, self.crops, self.clicks, self.objects, bool(self.weights))

    def learn(self, training: Training) -> tuple[Predictor, Response]:
        """Train the network, which then answers clicks."""
        predictor, response = super().learn(training)
        return PromptedOutliner.of(cast(Outliner, predictor), self.stored), response
