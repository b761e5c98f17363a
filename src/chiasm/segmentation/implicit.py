"""Label maps at any coordinates of an image: a field over the features of a trunk, drawn anew where it is unsure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from chiasm.encoders.raster.config import RasterConfig
from chiasm.heads.coordinate_field import CoordinateField, entropy, exceeded_by_the_top, places
from chiasm.segmentation.contrasts import mean_of, those_present
from chiasm.segmentation.drawing import DrawnMaps, map_losses
from chiasm.segmentation.frequencies import FrequencyAdapter
from chiasm.segmentation.patch_trunk import PatchTrunk
from chiasm.segmentation.unet import GatedTrunk

UNSURE = ("dropout", "entropy")
TIMES = 4  # dropout masks that are compared


class Implicit(nn.Module):
    """Logits of labels by a coarse field over features, and a fine one where the coarse is unsure.

        f = U-Net's features at full size + what frequencies the image has
        y(c) = fine(f, coarse's logits, c) where u(c) is among the top `share` of an image's pixels, else coarse(f, c)

    u is the variance over dropout masks or the entropy (`unsure`). The least u of the top ones is found on the image's
    own grid, whatever grid is drawn: so a place is told the same on any. Source: Wei and others, I-MedSAM (ECCV 2024,
    arXiv 2311.17081). Its released code leaves dropout off in evaluation, where the variance is then zero and the
    refined places are arbitrary; here the masks are drawn by a seed, in training and evaluation.

    Args:
        channels: contrast to its number of channels.
        axes: of the images, 2 or 3.
        labels: K.
        width, depth: as in `GatedTrunk`.
        hidden: width of the fields' hidden layers.
        bands: frequencies of coordinates.
        dropout: of the coarse field.
        share: of places that are drawn anew.
        unsure: `dropout` or `entropy`.
        narrow: width within the frequency adapter; 0: none.
        patches: of a transformer that is the trunk; None: a U-Net is.
        rank: of what is learned beside its attention.
    """

    def __init__(
        self,
        channels: Mapping[str, int],
        axes: int,
        labels: int,
        width: int,
        depth: int,
        *,
        hidden: int = 64,
        bands: int = 5,
        dropout: float = 0.2,
        share: float = 0.125,
        unsure: str = "dropout",
        narrow: int = 16,
        patches: RasterConfig | None = None,
        rank: int = 4,
    ) -> None:
        super().__init__()
        self.names, self.share, self.unsure = sorted(channels), share, unsure
        self.trunk: GatedTrunk | PatchTrunk
        if patches is None:
            self.trunk = GatedTrunk(channels, axes, width, depth)
        else:
            self.trunk = PatchTrunk(channels, patches, width, rank)
        self.frequencies = FrequencyAdapter(axes, width, narrow) if narrow else None
        self.coarse = CoordinateField(width, axes, labels + 1, hidden=hidden, bands=bands, dropout=dropout)
        self.fine = CoordinateField(width, axes, labels + 1, hidden=hidden, layers=3, bands=bands, beside=labels + 1)

    def features(self, images: Mapping[str, Tensor], present: Tensor) -> Tensor:
        """Return the features `(B, D, ...)` that the fields sample; arguments as for `forward`."""
        found = self.trunk.features(images, present)[0]
        if self.frequencies is None:
            return found
        parts = those_present(self.names, images, present)
        added = mean_of([(here.flatten(1), self.frequencies(image)) for _, here, image in parts])
        return found + added.view(*added.shape, *[1] * (found.ndim - 2))

    def doubts(self, features: Tensor, at: Tensor, coarse: Tensor) -> Tensor:
        """How unsure the coarse field is, `(B, N)`, at coordinates `(N, A)` where its logits are `(B, N, K + 1)`."""
        if self.unsure == "entropy":
            return entropy(coarse.detach())
        return self.coarse.spread(features, at, TIMES)

    def refined(self, features: Tensor, at: Tensor, coarse: Tensor, anew: Tensor) -> Tensor:
        """Logits `(B, N, K + 1)`, those of the coarse field but where `anew` `(B, N)` asks the fine one."""
        drawn = []
        for row, own in enumerate(anew):
            chosen = own.nonzero()[:, 0]
            fine = self.fine(features[row : row + 1], at[chosen], beside=coarse[row : row + 1, chosen])
            drawn.append(coarse[row].index_copy(0, chosen, fine[0]))
        return torch.stack(drawn)

    def both(self, images: Mapping[str, Tensor], present: Tensor, shape: Sequence[int] = ()) -> tuple[Tensor, Tensor]:
        """Return logits `(B, K + 1, *shape)` over the images' field of view, and those of the coarse field alone.

        Args:
            shape: of the grid that is drawn; empty: the images' own.
        """
        features = self.features(images, present)
        at = places(features.shape[2:]).to(features)
        coarse: Tensor = self.coarse(features, at)
        doubts = self.doubts(features, at, coarse)
        exceeded = exceeded_by_the_top(doubts, self.share)
        if shape:
            at = places(shape).to(features)
            coarse = self.coarse(features, at)
            doubts = self.doubts(features, at, coarse)
        told = self.refined(features, at, coarse, (doubts > exceeded) & (doubts > 0))
        sides = (len(features), -1, *(shape or features.shape[2:]))
        return told.transpose(1, 2).reshape(sides), coarse.transpose(1, 2).reshape(sides)

    def forward(self, images: Mapping[str, Tensor], present: Tensor) -> Tensor:
        """Return logits `(B, K + 1, ...)`, the first of no label.

        Args:
            images: contrast to `(B, C, ...)`; where it is absent whatever stands there is not read.
            present: `(B, M)` bool, contrasts sorted by name, at least one for each image.
        """
        return self.both(images, present)[0]


class CoarseAndFine(DrawnMaps):
    """Objective of an `Implicit` network: the losses of what it draws, and those of its coarse field alone."""

    def drawn_losses(
        self, network: nn.Module, images: Mapping[str, Tensor], present: Tensor, codes: Tensor
    ) -> dict[str, Tensor]:
        """The terms of the loss of windows by name, those of the coarse field apart."""
        assert isinstance(network, Implicit)  # as built
        logits, coarse = network.both(images, present)
        apart = {f"coarse {name}": own for name, own in map_losses(coarse, codes).items()}
        return {**map_losses(logits, codes), **apart}
