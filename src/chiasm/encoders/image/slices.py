"""Slice encoder of volumes: a frozen two-dimensional image encoder applied to evenly spaced slices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from torch import Tensor

from chiasm.artifact import storable
from chiasm.encoders.adaptable import Trunk, is_adaptable
from chiasm.encoders.batches import in_order
from chiasm.encoders.image.within import ImageEncoderWithin, pooled
from chiasm.readers.reading import Image, Volume
from chiasm.room import let_go
from chiasm.tokens import Tokens

SCALES = ("window", "volume")
WHITE = 255.0


@storable("encoder-slices")
@dataclass(frozen=True)
class Slices(ImageEncoderWithin):
    """Volume encoder with one token per slice, the mean of its image encoder's tokens; `count` evenly spaced slices.

    Token k is the slice at the fraction (k + 1/2) / count of the axis, so that a token is the same share of the field
    of view in every patient; a volume with fewer slices repeats some. CT in Hounsfield units is windowed to 0 .. 255,
    black and white for pretrained image networks; other units are unchanged, unless `scale=volume`.

    Source: the slice aggregation of Baharoon et al., Evaluating General Purpose Vision Foundation Models for Medical
    Image Analysis (DINOv2 in radiology), arXiv 2312.02366.

    Args:
        encoder: the image encoder, as in a manifest: `slices:count=24,encoder=hf:folder,level=pooled`; it comes last,
            followed by its own options. The default keeps each slice as a thumbnail of 16 x 16.
        axis: 0 for the stored slices, 1 for rows, 2 for columns.
        scale: `window`, or `volume`: the 0.5th to the 99.5th percentile of each volume become 0 .. 255, for MR, whose
            units are arbitrary.
        low, high: the window in HU.
    """

    encoder: str = "patches:size=16,patch=16"
    count: int = 16
    axis: int = 0
    scale: str = "window"
    low: float = -1000.0
    high: float = 1000.0

    id: ClassVar[str] = "slices"
    version: ClassVar[str] = "1"
    batch: ClassVar[int] = 4

    def __post_init__(self) -> None:
        if self.count < 1 or self.axis not in (0, 1, 2) or self.scale not in SCALES or not self.low < self.high:
            raise ValueError("count is 1 or more, axis 0, 1 or 2, scale window or volume, and low below high")
        self._inner  # noqa: B018  an encoder that does not exist is refused here

    @property
    def slots(self) -> int:
        return self.count

    def encode(self, raw: Sequence[Volume]) -> Tokens:
        """Encode volumes to tokens `(n, count, width of the image encoder)`."""
        inner = self._inner
        parts = []
        for volume in raw:
            images = list(self._images(volume))
            own, places = alike(images)  # empty slices, or those that stand for several, go through the network once
            parts.append(pooled(inner.encode([images[k] for k in own]))[places])
        return in_order(parts, self.width, self.slots)

    def inputs(self, raw: Sequence[Volume]) -> Tokens:
        """Return inputs `(n, count, P)` of the image encoder's network, one per slice."""
        parts = [self._inner.inputs(list(self._images(volume))).values[:, 0].numpy() for volume in raw]
        return in_order(parts, parts[0].shape[1] if parts else 0, self.slots)

    def trunk(self) -> Trunk:
        """Return the image encoder's network followed by the mean over the tokens of each slice."""
        return SliceTrunk(self._inner.trunk())

    @property
    def adaptable(self) -> bool:
        """Return whether the image encoder has an adaptable network with a fixed number of tokens per image."""
        return is_adaptable(self._inner) and bool(self._inner.slots)

    def _images(self, volume: Volume) -> Iterator[Image]:
        values = np.moveaxis(volume.values, 1 + self.axis, 0)  # (slices, C, rows, columns)
        spacing = tuple(mm for axis, mm in enumerate(volume.spacing) if axis != self.axis)
        low, high = self.low, self.high
        if self.scale == "volume":
            low, high = (float(bound) for bound in np.percentile(volume.values, [0.5, 99.5]))
        for index in (np.arange(self.count) * 2 + 1) * len(values) // (2 * self.count):
            plane = np.ascontiguousarray(values[index])
            if self.scale == "volume" or volume.unit == "HU":
                plane = (np.clip(plane, low, high) - low) * np.float32(WHITE / max(high - low, 1e-6))
                plane = np.clip(plane, 0, WHITE).astype(np.float32)
            let_go(volume.values)
            yield Image(plane, volume.channels, (spacing[0], spacing[1]))


def alike(images: Sequence[Image]) -> tuple[list[int], list[int]]:
    """Return the first of all images that are alike to the bit, and which of them each image is."""
    first: dict[bytes, int] = {}
    places = [first.setdefault(image.values.tobytes(), len(first)) for image in images]
    return [places.index(k) for k in range(len(first))], places


class SliceTrunk(Trunk):
    """Trunk that maps each slice to one token with the network of an image encoder."""

    def __init__(self, inner: Trunk) -> None:
        super().__init__(inner.network)
        self.inner = [inner]  # in a list, so that torch does not register it: its network is already this trunk's

    def run(self, inputs: Tensor) -> tuple[Tensor, Tensor | None]:
        """Map slices `(N, P)` to tokens `(N, 1, D)`."""
        self.inner[0].network = self.network  # it may have been wrapped by an adapter
        states, _ = self.inner[0].run(inputs)
        return states.mean(1, keepdim=True), None
