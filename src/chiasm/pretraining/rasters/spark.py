"""`spark`: hidden patches are told from those that are seen by a convolutional network, which reads these alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from chiasm.encoders.raster.config import RasterConfig
from chiasm.encoders.raster.conv_net import ConvNet
from chiasm.encoders.raster.network import RasterNetwork
from chiasm.encoders.raster.patch_transformer import patches
from chiasm.encoders.raster.sparse import sparse_convolutions
from chiasm.pretraining.rasters.draws import uniform
from chiasm.pretraining.rasters.learner import Learner
from chiasm.pretraining.rasters.mae import own_scale

WIDTH = 32  # of the decoder, at every resolution


class SparseReconstruction(Learner):
    """Masked modelling of a convolutional network: the mean squared error of hidden patches, each scaled by itself.

    Hidden places are zero at every depth (`sparse_convolutions`), so that none is told from its own numbers. The map of
    each stage is then filled with one vector of its own where it is hidden, and a light U-Net goes from the coarsest to
    the finest, whose places tell their numbers.

    Args:
        share: of the places of the coarsest map that is hidden; one at least is hidden, and one seen.

    Source: Tian et al., SparK, ICLR 2023, arXiv:2301.03580. Deviations: a decoder of one convolution a stage, 32 wide,
    that ends at the resolution of the finest stage.
    """

    network: ConvNet

    def __init__(self, network: ConvNet, share: float) -> None:
        super().__init__()
        config = network.config
        self.network = network
        self.seen = min(max(1, round(config.places * (1 - share))), config.places - 1)
        widths = [config.width * (1 << k) // config.halvings for k in range(config.depth)]
        self.hidden = nn.ParameterList(torch.randn(width) * 0.02 for width in widths)
        self.enter = nn.ModuleList(_convolution(config, width, WIDTH, 1) for width in widths)
        self.mix = nn.ModuleList(
            nn.Sequential(_convolution(config, WIDTH, WIDTH, 3), nn.GroupNorm(1, WIDTH), nn.ReLU()) for _ in widths
        )
        self.cell = config.patch // config.halvings
        self.tell = _convolution(config, WIDTH, config.channels * self.cell**config.axes, 1)

    def forward(
        self, views: tuple[Tensor, ...], beside: Mapping[str, Tensor], generator: torch.Generator | None
    ) -> Tensor:
        """Hide places, read the rest, and compare what is told of the hidden ones."""
        (x,) = views
        config = self.network.config
        order = uniform(len(x), config.places, generator=generator).argsort(1).to(x.device)
        active = torch.zeros_like(order, dtype=torch.bool).scatter(1, order[:, : self.seen], True)
        told = patches(self.told(self.maps(x, active), active), config)  # (B, N, P)
        wrong = (told - own_scale(patches(x, config))).square().mean(2)
        return wrong[~active].mean()

    def guess(self, views: tuple[Tensor, ...]) -> float:
        """Return the loss of one who tells each patch by its mean: the share of patches of more than one colour."""
        return float(own_scale(patches(views[0], self.network.config)).square().mean())

    def maps(self, x: Tensor, active: Tensor) -> list[Tensor]:
        """Return the map of each stage, the finest first, zero where it is hidden; `active` is `(B, N)` bool."""
        grid = active.reshape(-1, *self.network.config.grid)
        with sparse_convolutions(self.network, grid) as masked:
            return [masked(own) for own in self.network.stages(masked(x))]

    def told(self, maps: list[Tensor], active: Tensor) -> Tensor:
        """Return what is told of whole rasters `(B, C, *space)` from the maps of the places that are seen."""
        config = self.network.config
        grid = active.reshape(-1, *config.grid)
        state: Tensor | None = None
        for own, hidden, enter, mix in reversed(list(zip(maps, self.hidden, self.enter, self.mix, strict=True))):
            mask = grid
            for axis in range(1, config.axes + 1):
                mask = mask.repeat_interleave(own.shape[axis + 1] // grid.shape[axis], axis)
            filled = torch.where(mask[:, None], own, hidden.reshape(-1, *[1] * config.axes))
            entered = enter(filled)
            if state is not None:
                for axis in range(2, config.axes + 2):
                    state = state.repeat_interleave(2, axis)
                entered = entered + state
            state = mix(entered)
        return assembled(self.tell(state), config)


def assembled(cells: Tensor, config: RasterConfig) -> Tensor:
    """Lay cells `(B, C s^axes, *finest)`, each of s numbers along each axis, out as rasters `(B, C, *space)`."""
    side = config.size // cells.shape[2]
    apart = cells.reshape(len(cells), config.channels, *[side] * config.axes, *cells.shape[2:])
    order = [0, 1, *(place for axis in range(config.axes) for place in (2 + config.axes + axis, 2 + axis))]
    return apart.permute(order).reshape(len(cells), *config.shape)


def _convolution(config: RasterConfig, before: int, after: int, length: int) -> nn.Module:
    made: Any = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[config.axes - 1]
    module: nn.Module = made(before, after, length, padding=length // 2)
    return module


def build(network: RasterNetwork, options: Any, generator: torch.Generator) -> SparseReconstruction:
    """Make the learner; its decoder is drawn from torch's global generator, which the caller seeds."""
    assert isinstance(network, ConvNet)
    return SparseReconstruction(network, options.drawn_share)
