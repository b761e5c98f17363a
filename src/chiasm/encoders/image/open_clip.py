"""Image encoder from open_clip with weights from a file: one vector per image, in the space shared with text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import torch

from chiasm.artifact import storable
from chiasm.cohort import Unsupported
from chiasm.encoders.batches import Floats, in_order
from chiasm.encoders.image.pixels import prepared
from chiasm.encoders.image.timm import NamedNetwork, imported
from chiasm.encoders.weights import fill, frozen, hash_of, read_weights, seeded, weights_file
from chiasm.readers.reading import Image
from chiasm.tokens import Tokens


@storable("encoder-open-clip")
@dataclass(frozen=True)
class OpenClip(NamedNetwork):
    """Image encoder with open_clip's `encode_image`, one unit vector per image; size, mean and deviation of the tower.

    Nothing is downloaded: names on a hub are refused. Text is not supported, because open_clip's tokenizers silently
    truncate a note after 77 pieces; `hf:folder,tower=text` reads all of it. Images run through one at a time.

    Args:
        name: open_clip's name of the model: `open-clip:ViT-B-16,weights=file.safetensors`.
        weights: a safetensors file of the whole model, or a folder that holds only this one.
        high: value of white in the images.

    Raises:
        Unsupported: at first use: open_clip does not import, or the name or the weights are missing.
    """

    name: str
    weights: str = ""
    high: float = 255.0

    id: ClassVar[str] = "open-clip"
    version: ClassVar[str] = "1"
    slots: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.high <= 0:
            raise ValueError("high is above 0")

    @property
    def width(self) -> int:
        return int(self._one(Image(np.zeros((1, 8, 8), np.float32), ("grey",))).shape[1])

    def encode(self, raw: Sequence[Image]) -> Tokens:
        """Encode images to tokens `(n, 1, width)`. Raises ValueError for an image brighter than `high`."""
        parts = [self._one(image) for image in raw]
        return in_order(parts, parts[0].shape[1] if parts else self.width, 1)

    def _one(self, image: Image) -> Floats:
        file = weights_file(self.weights)
        model = _loaded(self.name, file, hash_of((file,)))
        size = model.visual.image_size
        height, width = (size, size) if isinstance(size, int) else size
        mean, deviation = (torch.tensor(v)[:, None, None] for v in (model.visual.image_mean, model.visual.image_std))
        pixels = prepared(image.values, 3, (height, width), mode="bicubic", high=self.high)
        pixels = (pixels - mean) / deviation
        with torch.no_grad():
            return np.asarray(model.encode_image(pixels[None], normalize=True).numpy(), np.float32)


@lru_cache(maxsize=1)
def _loaded(name: str, file: Any, stamp: str) -> Any:
    open_clip = imported("open_clip", "open-clip")
    if name not in open_clip.list_models():
        raise Unsupported("open_clip has no model of this name, and none is fetched from a hub: see its list_models()")
    with seeded(0):
        model = open_clip.create_model(name, pretrained=None)
    fill(model, read_weights(file))
    return frozen(model)
