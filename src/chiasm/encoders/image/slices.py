"""A volume as the slices that an image encoder reads: frozen two-dimensional knowledge for three dimensions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar, Self

import numpy as np
from torch import Tensor

from chiasm.artifact import storable
from chiasm.encoders.adaptable import Trunk, is_adaptable
from chiasm.encoders.batches import in_order
from chiasm.encoders.frozen import identity_of
from chiasm.readers.reading import Image, Volume
from chiasm.tokens import Tokens

SCALES = ("window", "volume")
WHITE = 255.0


@storable("encoder-slices")
@dataclass(frozen=True)
class Slices:
    """`count` slices, evenly spaced along an axis, each a token: the mean of the tokens its image encoder gives.

    Token k is the slice nearest to the share (k + 1/2) / count of the axis, so that a token is the same share of the
    field of view in every patient; a volume with fewer slices repeats some. CT in Hounsfield units is windowed to 0 to
    255, what pretrained image networks take for black and white; other units stay, unless `scale=volume`.

    Source: the slice aggregation of Baharoon et al., Evaluating General Purpose Vision Foundation Models for Medical
    Image Analysis (DINOv2 in radiology), arXiv 2312.02366.

    Args:
        encoder: of images, as in a manifest: `slices:count=24,encoder=hf:folder,level=pooled`; it stands last, its own
            options follow it. The default keeps each slice as a thumbnail of 16 x 16.
        axis: 0 slices as they were stored, 1 rows, 2 columns.
        scale: `window`, or `volume`: the 0.5th to the 99.5th percentile of each volume become 0 to 255, for MR, whose
            units mean nothing.
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
    fitted_on_cohort: ClassVar[bool] = False
    batch: ClassVar[int] = 4

    def __post_init__(self) -> None:
        if self.count < 1 or self.axis not in (0, 1, 2) or self.scale not in SCALES or not self.low < self.high:
            raise ValueError("count is 1 or more, axis 0, 1 or 2, scale window or volume, and low below high")
        self._inner  # noqa: B018  an encoder that does not exist is refused here

    @classmethod
    def from_text(cls, text: str) -> Self:
        """`count=24,axis=1,encoder=hf:folder,level=token`: what follows `encoder=` is the image encoder's."""
        from chiasm.encoders.catalogue import options

        own, inner = split_encoder(text)
        return cls(**{**options(cls, "slices", own), **inner})

    @property
    def width(self) -> int:
        return int(self._inner.width)

    @property
    def slots(self) -> int:
        return self.count

    @property
    def identity(self) -> str:
        return f"{identity_of(replace(self, encoder=type(self).encoder))}[{self._inner.identity}]"

    def fit(self, raw: Any, patients: Sequence[str] = ()) -> Self:
        return self

    def encode(self, raw: Sequence[Volume]) -> Tokens:
        """`(n, count, width of the image encoder)`."""
        inner = self._inner
        parts = [pooled(inner.encode(list(self._images(volume)))) for volume in raw]
        return in_order(parts, self.width, self.slots)

    def inputs(self, raw: Sequence[Volume]) -> Tokens:
        """`(n, count, P)`: what the image encoder's network reads of each slice."""
        parts = [self._inner.inputs(list(self._images(volume))).values[:, 0].numpy() for volume in raw]
        return in_order(parts, parts[0].shape[1] if parts else 0, self.slots)

    def trunk(self) -> Trunk:
        """The image encoder's network, and the mean over the tokens of a slice."""
        return SliceTrunk(self._inner.trunk())

    @property
    def adaptable(self) -> bool:
        """Whether the image encoder has a network that reads an image whole."""
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
            yield Image(plane, volume.channels, (spacing[0], spacing[1]))

    @property
    def _inner(self) -> Any:
        return image_encoder(self.encoder)


class SliceTrunk(Trunk):
    """Slices to one token each, by the network of an image encoder."""

    def __init__(self, inner: Trunk) -> None:
        super().__init__(inner.network)
        self.inner = [inner]  # not a part of its own: its network is this one's

    def run(self, inputs: Tensor) -> tuple[Tensor, Tensor | None]:
        """`(N, P)` to `(N, 1, D)`."""
        self.inner[0].network = self.network  # an adapter may stand around it
        states, _ = self.inner[0].run(inputs)
        return states.mean(1, keepdim=True), None


@lru_cache(maxsize=16)
def image_encoder(spec: str) -> Any:
    """The encoder of images of this name and options, made once."""
    from chiasm.encoders.catalogue import make_encoder

    return make_encoder(spec, "image")


def split_encoder(text: str) -> tuple[str, dict[str, str]]:
    """The options before `encoder=`, and the image encoder behind it with options of its own."""
    own, found, inner = text.partition("encoder=")
    if found and own and not own.endswith(","):
        raise ValueError("encoder= stands last, after a comma")
    return own.rstrip(","), {"encoder": inner} if found else {}


def pooled(tokens: Tokens) -> np.ndarray:
    """`(n, D)`: the mean of each image's real tokens."""
    weights = tokens.mask[..., None].to(tokens.values.dtype)
    means = (tokens.values * weights).sum(1) / weights.sum(1)
    return np.asarray(means.numpy())
