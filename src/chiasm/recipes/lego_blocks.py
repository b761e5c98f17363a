"""Training the blocks of MM-Lego: each modality alone, from one shared start, never with another modality."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from chiasm.artifact import storable
from chiasm.cohort import Cohort
from chiasm.fusion.lego_block import Domain, LegoBlock, pool
from chiasm.heads.head import Head
from chiasm.protocols import Fused
from chiasm.recipes.neural import Prepared, build, fit_network, new_head, parameter_count, prepare, seeded, state_of
from chiasm.tokens import Tokens
from chiasm.training import Network, TrainOptions
from chiasm.training.memo import remember


@storable("lego-sizes")
@dataclass(frozen=True)
class LegoSizes:
    """The shape of every block: L latents of width D, `depth` iterations, attention heads, and the latents' domain."""

    latents: int = 16
    latent_width: int = 32
    depth: int = 2
    heads: int = 4
    domain: str = "signal"

    def block(self, width: int, slots: int, dropout: float = 0.0) -> LegoBlock:
        """A fresh block for tokens of this width and number of slots."""
        domain: Domain = self.domain  # type: ignore[assignment]  # checked by the recipe
        return LegoBlock(
            width, slots, latents=self.latents, latent_width=self.latent_width, depth=self.depth, heads=self.heads,
            dropout=dropout, domain=domain,
        )  # fmt: skip


class Alone(nn.Module):
    """A block as the fusion of its one modality."""

    def __init__(self, block: LegoBlock) -> None:
        super().__init__()
        self.block = block

    def forward(self, tokens: dict[str, Tokens], present: torch.Tensor) -> Fused:
        (own,) = tokens.values()
        return Fused(pool(self.block(own, present[:, 0])))


@dataclass(frozen=True)
class Blocks:
    """Blocks and heads, one a modality, in the order of their names, with the data they were trained on."""

    data: Prepared
    blocks: dict[str, dict[str, np.ndarray]]
    heads: dict[str, dict[str, np.ndarray]]
    trained_parameters: int


def train_blocks(
    cohort: Cohort,
    sizes: LegoSizes,
    options: TrainOptions,
    dropout: float,
    *,
    seed: int,
    checkpoint: Path | None,
    device: str,
) -> Blocks:
    """Train one block a modality on the patients who have it.

    All blocks start from the same latents and the same head (one seed), so that what they learn stays comparable when
    it is averaged; nothing else is shared, and no patient needs two modalities.
    """

    def make() -> Blocks:
        data = prepare(cohort, seed)
        blocks, heads, count = {}, {}, 0
        for column, name in enumerate(cohort.modalities):
            width, slots = data.shapes[name]
            block = build(partial(sizes.block, width, slots, dropout), seeded(seed, name))
            with torch.no_grad():
                block.latent.copy_(build(lambda: sizes.block(1, 1), seeded(seed, "shared")).latent)
            network = Network(Alone(block), new_head(cohort, sizes.latent_width, seeded(seed, "shared")))
            rows = np.flatnonzero(data.present[:, column])
            file = checkpoint / f"block-{column}.safetensors" if checkpoint is not None else None
            fit_network(
                network,
                data,
                options,
                seed=seeded(seed, name),
                checkpoint=file,
                device=device,
                rows=rows,
                column=column,
            )
            blocks[name], heads[name] = state_of(block), state_of(network.head)
            count += parameter_count(network)
        return Blocks(data, blocks, heads, count)

    return remember(cohort.fingerprint, ("lego-blocks", sizes, options, dropout, seed, device), make)


def restored_block(
    sizes: LegoSizes, shape: tuple[int, int], state: dict[str, np.ndarray], dropout: float = 0.0
) -> LegoBlock:
    """A block with a stored state."""
    block = build(lambda: sizes.block(*shape, dropout), 0)
    block.load_state_dict({key: torch.from_numpy(np.array(value)) for key, value in state.items()})
    return block


def restored_head(width: int, outputs: int, kind: str, state: dict[str, np.ndarray]) -> Head:
    """A head with a stored state."""
    head = build(lambda: Head(width, outputs, kind), 0)
    head.load_state_dict({key: torch.from_numpy(np.array(value)) for key, value in state.items()})
    return head
