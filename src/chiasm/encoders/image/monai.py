"""Encoder of images and volumes from frozen MONAI networks: one token per position of the last feature map."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from chiasm.artifact import storable
from chiasm.cohort import Unsupported
from chiasm.encoders.adaptable import Trunk
from chiasm.encoders.batches import in_order
from chiasm.encoders.frozen import hash_state, identity_of
from chiasm.encoders.image.pixels import prepared, standardised
from chiasm.encoders.weights import fill, frozen, hash_of, read_weights, seeded, weights_file
from chiasm.readers.reading import Image, Volume
from chiasm.readers.registry import missing
from chiasm.tokens import Tokens

# name -> width of the last feature map, and its stride in pixels
NETWORKS: dict[str, tuple[int, int]] = {
    "DenseNet121": (1024, 32),
    "ResNet18": (512, 16),
    "ResNet50": (2048, 16),
    "ViT": (768, 16),
}
HEADS = ("fc.", "class_layers.", "classification_head.", "cls_token")
TRUNK = ("conv1", "bn1", "act", "maxpool", "layer1", "layer2", "layer3", "layer4")


@storable("encoder-monai")
@dataclass(frozen=True)
class MonaiNetwork:
    """Encoder with the last feature map of a MONAI network before the classifier; its positions are in row order.

    Values in HU are clipped to the window; all are resized to `size` along every axis and scaled to mean 0 and
    deviation 1 per image or volume. Inputs run through the network one at a time.

    Args:
        network: DenseNet121, ResNet18, ResNet50 or ViT, as MONAI builds them.
        weights: a safetensors file of its state, or a folder that holds only this one; it may include a classifier.
        random: use untrained initial weights from `seed` instead, as a baseline for pretrained ones.
        dims: 3 for volumes, 2 for images.
        size: side in pixels or voxels, a multiple of 32.
        channels: number of input channels of the network.
        low, high: the window in HU.

    Raises:
        Unsupported: neither weights nor random; at first use: MONAI is not installed, or the weights are pickled.
        ValueError: the weights are of another network.
    """

    network: str = "ResNet18"
    weights: str = ""
    random: bool = False
    dims: int = 3
    size: int = 64
    channels: int = 1
    low: float = -1000.0
    high: float = 1000.0
    seed: int = 0

    id: ClassVar[str] = "monai"
    version: ClassVar[str] = "1"
    fitted_on_cohort: ClassVar[bool] = False
    batch: ClassVar[int] = 4

    def __post_init__(self) -> None:
        if self.network not in NETWORKS:
            raise ValueError(f"network is {', '.join(NETWORKS)}")
        if self.dims not in (2, 3) or self.size < 32 or self.size % 32 or self.channels < 1 or not self.low < self.high:
            raise ValueError("dims is 2 or 3, size a multiple of 32, channels 1 or more, and low below high")
        if not self.weights and not self.random:
            raise Unsupported(
                "a MONAI network needs weights: weights=file.safetensors, or random=true for one that knows nothing"
            )

    @property
    def width(self) -> int:
        return NETWORKS[self.network][0]

    @property
    def slots(self) -> int:
        return int((self.size // NETWORKS[self.network][1]) ** self.dims)

    @property
    def identity(self) -> str:
        return identity_of(replace(self, weights="", random=True), self._stamp or _network(self, "")[1])

    def fit(self, raw: Any, patients: Sequence[str] = ()) -> Self:
        return self

    def encode(self, raw: Sequence[Image | Volume]) -> Tokens:
        """Encode images or volumes to tokens `(n, (size / stride)^dims, width)`.

        Raises:
            ValueError: a network for volumes got images, or the other way round.
        """
        trunk, parts = PixelTrunk(_network(self, self._stamp)[0], self.network, self._shape), []
        for value in raw:
            with torch.no_grad():
                parts.append(np.ascontiguousarray(trunk.run(self._pixels(value))[0][0].numpy()))
        return in_order(parts, self.width, self.slots)

    def inputs(self, raw: Sequence[Image | Volume]) -> Tokens:
        """Return flat network inputs `(n, 1, channels x size^dims)`."""
        parts = [self._pixels(value).numpy() for value in raw]
        return in_order(parts, self.channels * self.size**self.dims, 1)

    def trunk(self) -> Trunk:
        """Return a copy of the network up to its last feature map."""
        return PixelTrunk(copy.deepcopy(_network(self, self._stamp)[0]), self.network, self._shape)

    def _pixels(self, value: Image | Volume) -> Tensor:
        """Prepare one image or volume as a flat row `(1, channels x size^dims)`."""
        if value.values.ndim != 1 + self.dims:
            raise ValueError(f"this network reads {'volumes' if self.dims == 3 else 'images'}: set dims=2 or dims=3")
        window = (self.low, self.high) if isinstance(value, Volume) and value.unit == "HU" else None
        pixels = prepared(value.values, self.channels, self.size, colour=self.dims == 2, window=window)
        return standardised(pixels).reshape(1, -1)

    @property
    def _shape(self) -> tuple[int, ...]:
        return (self.channels, *[self.size] * self.dims)

    @property
    def _stamp(self) -> str:
        return hash_of((weights_file(self.weights),)) if self.weights else ""


class PixelTrunk(Trunk):
    """Trunk that maps images or volumes of one size to the last feature map of a network, positions in row order.

    Args:
        name: name of the network in `NETWORKS`.
        shape: channels and sides of the input.
    """

    def __init__(self, network: Any, name: str, shape: tuple[int, ...]) -> None:
        super().__init__(network)
        self.name, self.shape = name, shape

    def run(self, inputs: Tensor) -> tuple[Tensor, Tensor | None]:
        """Map flat inputs `(N, P)` to tokens `(N, positions, width)`."""
        values, network = inputs.reshape(-1, *self.shape), self.network
        if self.name == "ViT":
            return network(values)[0], None
        if self.name == "DenseNet121":
            values = torch.relu(network.features(values))  # type: ignore[operator]
        else:
            for part in TRUNK:
                values = getattr(network, part)(values)
        return values.flatten(2).transpose(1, 2), None


@lru_cache(maxsize=2)
def _network(encoder: MonaiNetwork, stamp: str) -> tuple[Any, str]:
    """Build the frozen network; return it and the hash of its weights, "" if they come from a file."""
    try:
        from monai.networks import nets as known
    except ImportError:
        raise missing("monai", "imaging", "MONAI networks") from None
    state = read_weights(weights_file(encoder.weights)) if encoder.weights else {}
    nets: Any = known  # untyped, because MONAI exports by `import *`
    with seeded(encoder.seed):
        if encoder.network == "ViT":
            made = _transformer(nets.ViT, encoder)
        elif encoder.network == "DenseNet121":
            made = nets.DenseNet121(spatial_dims=encoder.dims, in_channels=encoder.channels, out_channels=2)
        else:
            make = nets.resnet18 if encoder.network == "ResNet18" else nets.resnet50
            shortcut = _shortcut(state)
            made = make(spatial_dims=encoder.dims, n_input_channels=encoder.channels, feed_forward=False, **shortcut)
    if encoder.weights:
        fill(made, state, HEADS)
    return frozen(made), "" if encoder.weights else hash_state(made.state_dict())


def _transformer(make: Any, encoder: MonaiNetwork) -> Any:
    sides = {"img_size": (encoder.size,) * encoder.dims, "patch_size": (16,) * encoder.dims}
    try:
        return make(encoder.channels, **sides, spatial_dims=encoder.dims)
    except ImportError:
        raise Unsupported("MONAI's ViT needs einops, which is not installed: pip install 'chiasm[imaging]'") from None


def _shortcut(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Infer the ResNet shortcut options from weights: shortcuts of type A have none, of type B they may have a bias."""
    if state and not any("downsample." in name for name in state):
        return {"shortcut_type": "A"}
    return {"bias_downsample": not state or any(name.endswith("downsample.0.bias") for name in state)}
