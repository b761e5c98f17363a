"""Image encoder from timm networks with weights from a file: the class token, and the patches or their mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar, Self, cast

import numpy as np
import torch

from chiasm.artifact import storable
from chiasm.cohort import Unsupported
from chiasm.encoders.batches import Floats, in_order
from chiasm.encoders.frozen import identity_of
from chiasm.encoders.image.pixels import prepared
from chiasm.encoders.weights import fill, frozen, hash_of, read_weights, seeded, weights_file
from chiasm.readers.reading import Image
from chiasm.tokens import Tokens

LEVELS = ("pooled", "token")
HEADS = ("head.", "head_dist.", "fc.", "classifier.")


class NamedNetwork:
    """Common base of encoders whose network a package builds by name and whose weights the user supplies in a file."""

    id: ClassVar[str]
    weights: str
    fitted_on_cohort: ClassVar[bool] = False
    batch: ClassVar[int] = 16

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Parse a specification such as `name,weights=file.safetensors`, followed by further options."""
        from chiasm.encoders.catalogue import options

        name, _, rest = text.partition(",")
        return cls(**{"name": name, **options(cls, cls.id, rest)})

    @property
    def identity(self) -> str:
        return identity_of(replace(cast(Any, self), weights=""), hash_of((weights_file(self.weights),)))

    def fit(self, raw: Any, patients: Sequence[str] = ()) -> Self:
        """Return this encoder unchanged: there is nothing to fit."""
        return self


@storable("encoder-timm")
@dataclass(frozen=True)
class TimmModel(NamedNetwork):
    """Image encoder with the last features of a timm network; size, mean and deviation come from its configuration.

    Nothing is downloaded, because timm does not pin revisions. Images run through the network one at a time.

    Args:
        name: timm's name of the network: `timm:vit_small_patch16_224,weights=file.safetensors`.
        weights: a safetensors file of its state, or a folder that holds only this one; it may include a classifier.
        level: `pooled`: the class token, if there is one, and the mean of the patches; `token`: the class token and
            every patch.
        high: value of white in the images.

    Raises:
        Unsupported: at first use: timm does not import, or the name or the weights are missing.
    """

    name: str
    weights: str = ""
    level: str = "pooled"
    high: float = 255.0

    id: ClassVar[str] = "timm"
    version: ClassVar[str] = "1"

    def __post_init__(self) -> None:
        if self.level not in LEVELS or self.high <= 0:
            raise ValueError("level is pooled or token, and high above 0")

    @property
    def width(self) -> int:
        return int(self._network.num_features)

    @property
    def slots(self) -> int:
        return len(self._one(Image(np.zeros((1, 8, 8), np.float32), ("grey",))))

    def encode(self, raw: Sequence[Image]) -> Tokens:
        """Encode images to tokens `(n, T, width)`. Raises ValueError for an image brighter than `high`."""
        parts = [self._one(image) for image in raw]
        return in_order(parts, self.width, len(parts[0]) if parts else self.slots)

    def _one(self, image: Image) -> Floats:
        network = self._network
        channels, height, width = network.pretrained_cfg["input_size"]
        mean, deviation = (torch.tensor(network.pretrained_cfg[key])[:, None, None] for key in ("mean", "std"))
        mode = "bicubic" if network.pretrained_cfg.get("interpolation") == "bicubic" else "bilinear"
        pixels = prepared(image.values, channels, (height, width), mode=mode, high=self.high)
        pixels = (pixels - mean) / deviation
        with torch.no_grad():
            states = network.forward_features(pixels[None])[0]
        special = 0
        if states.ndim == 3:  # (D, h, w), or (h, w, D) of a Swin transformer
            states = states.movedim(0, 2) if len(states) == network.num_features else states
            states = states.flatten(0, 1)
        else:
            special = int(getattr(network, "num_prefix_tokens", 0))
        places = states[special:] if self.level == "token" else states[special:].mean(0, keepdim=True)
        return np.ascontiguousarray(torch.cat([states[: min(special, 1)], places]).numpy())

    @property
    def _network(self) -> Any:
        file = weights_file(self.weights)
        return _loaded(self.name, file, hash_of((file,)))


@lru_cache(maxsize=2)
def _loaded(name: str, file: Any, stamp: str) -> Any:
    timm = imported("timm", "timm")
    if ":" in name or not timm.is_model(name):
        raise Unsupported("timm has no network of this name, and none is fetched from a hub: see timm.list_models()")
    with seeded(0):
        network = timm.create_model(name, pretrained=False, num_classes=0)
    fill(network, read_weights(file), HEADS)
    return frozen(network)


def imported(package: str, extra: str) -> Any:
    """Import an optional package by name.

    Raises:
        Unsupported: it is not installed or does not import, as with a torchvision built for another torch.
    """
    from importlib import import_module

    try:
        return import_module(package)
    except Exception as error:  # torchvision raises RuntimeError and AttributeError when it was built for another torch
        raise Unsupported(
            f'{package} does not import here ({type(error).__name__}): pip install "chiasm[{extra}]" and the '
            "torchvision of the installed torch, or take a network from transformers, which needs none: hf:folder"
        ) from None
