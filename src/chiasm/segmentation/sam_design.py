"""Storable sizes of a promptable network, and what builds it with the weights of a local folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from chiasm.adapters.bottleneck import Bottleneck
from chiasm.adapters.channel_spatial import ChannelSpatial
from chiasm.artifact import storable
from chiasm.cohort import Unsupported
from chiasm.segmentation.inflated import InflatedSam
from chiasm.segmentation.promptable import PromptedSam
from chiasm.segmentation.sam import PARTS, build_sam, load_weights


@storable("sam-design")
@dataclass(frozen=True)
class SamDesign:
    """SAM with adapters, and the sizes of both.

    Args:
        config: JSON of SAM's sizes, as transformers names them.
        adapter: whether there are adapters.
        begun: whether SAM was trained before, and its encoder is frozen.
        slices: neighbours that attend to each other in a SAM of volumes; 0: it reads pictures.
    """

    config: str
    adapter: bool
    begun: bool
    slices: int = 0

    def __post_init__(self) -> None:
        held = json.loads(self.config)
        if not isinstance(held, dict) or sorted(held) != sorted(PARTS):
            raise ValueError("the sizes of a SAM are those of its image encoder, its prompt encoder and its decoder")
        if not 0 <= self.slices <= 64:
            raise ValueError("slices lies between 0 and 64")

    def network(self, channels: dict[str, int], axes: int, labels: int) -> PromptedSam:
        """Build a fresh network for these contrasts."""
        if axes != (3 if self.slices else 2):
            other = "sam-med2d draws in pictures, and these images are volumes: fit 3dsam"
            raise Unsupported(
                "3dsam draws in volumes, and these images are pictures: fit sam-med2d" if self.slices else other
            )
        sam = build_sam(json.loads(self.config))
        blocks: dict[str, nn.Module] = {str(k): own for k, own in enumerate(sam.vision_encoder.layers)}
        width = int(sam.config.vision_config.hidden_size)
        if not self.slices:
            parts = ChannelSpatial(channels=width).parts(blocks).values() if self.adapter else ()
            return PromptedSam(channels, labels, sam, list(parts), self.begun)
        narrow = Bottleneck(max(8, width // 4), 3, channels=(width, width), activation="relu", activation_before=True)
        parts = narrow.parts(blocks).values() if self.adapter else ()
        return InflatedSam(channels, labels, sam, list(parts), self.begun, self.slices)


@dataclass(frozen=True)
class BegunSam:
    """A network that begins with the SAM of a local folder; stored as what it is built of alone."""

    stored: SamDesign
    folder: Path

    def network(self, channels: dict[str, int], axes: int, labels: int) -> PromptedSam:
        """Build the network, with SAM's weights."""
        made = self.stored.network(channels, axes, labels)
        load_weights(made.sam, self.folder)
        return made
