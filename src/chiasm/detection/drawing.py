"""Networks that draw boxes, trained by the one loop: images turned over at random, and the losses of the finder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol, cast

import numpy as np
import torch
from torch import Tensor, nn

from chiasm.compute.isolation import threads_for
from chiasm.encoders.image.put_together import ImagePixels
from chiasm.protocols import Fused
from chiasm.targets import Outcome
from chiasm.targets.boxes import boxes_of
from chiasm.tokens import Packed, Tokens
from chiasm.training import Batch, Computed, Network, Objective
from chiasm.training.network import in_evaluation
from chiasm.training.objective import mean_over_patients

FLIPS: dict[str, tuple[bool, bool]] = {"none": (False, False), "sideways": (True, False), "all": (True, True)}
"""Ways of turning images over in training: whether across, and whether upside down."""
AT_ONCE = 32


class Finder(Protocol):
    """Network of boxes in images `(B, C, H, W)`."""

    def losses(self, images: Tensor, boxes: Tensor) -> dict[str, Tensor]:
        """Return the terms of the loss; `boxes` `(B, M, 5)` are label and corners in shares of the image, or NaN."""

    def found(self, images: Tensor) -> Tensor:
        """Return boxes `(B, M, 6)`: label, score and corners, the surest first; NaN where there are fewer than M."""


class Drawing(nn.Module):
    """Fusion of one modality of images, whose finder draws boxes; its embedding is nothing.

    Args:
        finder: the network, a `Finder`.
        modality: of the images.
        pixels: how they are put together from patches.
        labels: K.
    """

    def __init__(self, finder: nn.Module, modality: str, pixels: ImagePixels, labels: int) -> None:
        super().__init__()
        self.finder, self.modality, self.pixels, self.labels = finder, modality, pixels, labels

    def images(self, tokens: Mapping[str, Tokens]) -> Tensor:
        """Images `(B, C, H, W)` of a batch."""
        return self.pixels.images(tokens[self.modality].values)

    def forward(self, tokens: dict[str, Tokens], present: Tensor) -> Fused:
        """Return an embedding `(B, K)` of zeros: what is drawn is asked of `finder`."""
        return Fused(tokens[self.modality].values.new_zeros(len(present), self.labels))


class DrawnBoxes(Objective):
    """Objective of a network that draws boxes: the losses of its finder.

    Args:
        flips: a key of `FLIPS`: in training each batch is turned over so with a chance of one half, with its boxes.
            Where sides matter, as left and right in a chest, none is.
    """

    def __init__(self, flips: str) -> None:
        self.flips = flips

    def __call__(self, network: Network, batch: Batch) -> Computed:
        """Draw boxes in the images of a batch, and compare them with those that were drawn."""
        drawing = cast(Drawing, network.fusion)
        images, boxes = drawing.images(batch.tokens), batch.target.event
        for axis, wanted in ((3, FLIPS[self.flips][0]), (2, FLIPS[self.flips][1])):
            if network.training and wanted and float(torch.rand(())) < 0.5:
                images, boxes = images.flip(axis), turned_over(boxes, 3 - axis)
        losses = cast(Finder, drawing.finder).losses(images, boxes)
        nothing = images.new_zeros(len(images), drawing.labels)
        return Computed(losses, nothing, Fused(nothing))

    def validation(self, network: Network, batches: Iterable[Batch]) -> float:
        """Mean loss of the held-out patients, in parts of `AT_ONCE`."""
        return mean_over_patients(batches, lambda batch: self(network, batch).losses)


def turned_over(boxes: Tensor, axis: int) -> Tensor:
    """Boxes `(B, M, 5)` in an image turned over across (axis 0) or upside down (axis 1)."""
    turned = boxes.clone()
    turned[..., 1 + axis], turned[..., 3 + axis] = 1 - boxes[..., 3 + axis], 1 - boxes[..., 1 + axis]
    return turned


def marks_of(outcome: Outcome) -> Tensor:
    """Boxes of each patient `(B, M, 5)`, float32: place of the label and corners; NaN where one has fewer than M."""
    each = boxes_of(outcome).each.tolist()
    marks = np.full((len(each), max([1, *map(len, each)]), 5), np.nan, np.float32)
    for row, own in enumerate(each):
        marks[row, : len(own), 0], marks[row, : len(own), 1:] = own.label, own.corners
    return torch.from_numpy(marks)


def found_in(drawing: Drawing, tokens: Mapping[str, Packed], rows: np.ndarray, device: str = "cpu") -> np.ndarray:
    """Boxes `(n, M, 6)`, float64, that a network finds in the images of the patients `rows`, who have one."""
    packed, parts = tokens[drawing.modality], []
    work = 2.0 * sum(parameter.numel() for parameter in drawing.parameters()) * AT_ONCE * 64
    drawing.to(device)
    with in_evaluation(drawing), torch.inference_mode(), threads_for(work):
        for start in range(0, len(rows), AT_ONCE):
            batch = packed.take(rows[start : start + AT_ONCE])
            images = drawing.pixels.images(batch.values.to(device))
            parts.append(cast(Finder, drawing.finder).found(images).cpu().double().numpy())
    return np.concatenate(parts) if parts else np.zeros((0, 0, 6))
