"""MM-Lego blocks: one per modality, each trained alone from a shared initialisation."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from typing import Protocol, cast

import numpy as np
import torch
from torch import nn

from chiasm.artifact import storable
from chiasm.cohort import CohortError, Unsupported, fold_ids
from chiasm.compute.isolation import seeded
from chiasm.compute.memo import remember
from chiasm.fitting.base import Training, choice
from chiasm.fitting.neural import (
    Prepared,
    build,
    check_sizes,
    fit_network,
    new_head,
    parameter_count,
    prepared_once,
    state_of,
)
from chiasm.fusion.lego_block import DOMAINS, Domain, LegoBlock, pool
from chiasm.heads.head import Head
from chiasm.merging import linear_mean, merge_states, spherical_mean
from chiasm.merging.patch import content_of
from chiasm.merging.transport import matched_rows
from chiasm.protocols import Fused
from chiasm.tokens import Tokens
from chiasm.training import Network, Phase, TrainOptions

HEAD_METHODS = {"slerp": spherical_mean, "linear": linear_mean, "ot": linear_mean}
"""Method for merging heads, by name; `ot` first matches the latent units, see `matched_widths`."""
State = dict[str, np.ndarray]


@storable("lego-sizes")
@dataclass(frozen=True)
class LegoSizes:
    """Sizes of every block: L latents of width D, `depth` iterations, attention heads, and the latents' domain."""

    latents: int = 16
    latent_width: int = 32
    depth: int = 2
    heads: int = 4
    domain: str = "signal"

    def __post_init__(self) -> None:
        check_sizes(self.latents, self.latent_width, self.depth, self.heads)

    def block(self, width: int, slots: int, dropout: float = 0.0) -> LegoBlock:
        """Create a fresh block for tokens of this width and number of slots."""
        return LegoBlock(
            width, slots, latents=self.latents, latent_width=self.latent_width, depth=self.depth, heads=self.heads,
            dropout=dropout, domain=cast(Domain, self.domain),
        )  # fmt: skip


class BlockOptions(Protocol):
    """Options that `lego-merge` and `lego-fuse` share: sizes of the blocks and their training."""

    @property
    def sizes(self) -> LegoSizes: ...

    @property
    def block_options(self) -> TrainOptions: ...

    @property
    def dropout(self) -> float: ...


class Alone(nn.Module):
    """A single block used as the fusion module of one modality."""

    def __init__(self, block: LegoBlock) -> None:
        super().__init__()
        self.block = block

    def forward(self, tokens: dict[str, Tokens], present: torch.Tensor) -> Fused:
        (own,) = tokens.values()
        return Fused(pool(self.block(own, present[:, 0])))


@dataclass(frozen=True)
class Blocks:
    """Trained blocks and heads, one per modality, sorted by name, with their training data.

    `start` is a hash of the latents and the head from which all blocks were initialised.
    """

    data: Prepared
    blocks: dict[str, State]
    heads: dict[str, State]
    trained_parameters: int
    start: str


def train_blocks(
    training: Training, options: BlockOptions, name: str = "", held_out: np.ndarray | None = None
) -> Blocks:
    """Train one block per modality on the patients who have it.

    All blocks start from the same latents and the same head (one seed), so that they remain comparable when they are
    averaged; nothing else is shared, and no patient needs two modalities.

    Args:
        name: name of this run among several with the same initialisation.
        held_out: `(B,)` bool, patients used for early stopping; None: the usual fifth.
    """
    whom = b"" if held_out is None else held_out.tobytes()
    own = (options.sizes, options.block_options, options.dropout, name, whom)
    key = ("lego-blocks", *own, training.seed, training.device, training.offset_digest)
    return remember(training.cohort.fingerprint, key, lambda: _train(training, options, name, held_out))


def _train(training: Training, options: BlockOptions, run: str, held_out: np.ndarray | None) -> Blocks:
    data, sizes, seed = prepared_once(training), options.sizes, training.seed
    data = data if held_out is None else replace(data, held_out=held_out)
    blocks, heads, count = {}, {}, 0
    latent = build(lambda: sizes.block(1, 1), seeded(seed, "shared")).latent
    shared = new_head(training, sizes.latent_width, seeded(seed, "shared"))
    for column, name in enumerate(data.cohort.modalities):
        block = build(partial(sizes.block, *data.shapes[name], options.dropout), seeded(seed, name))
        with torch.no_grad():
            block.latent.copy_(latent)
        network = Network(Alone(block), copy.deepcopy(shared))
        fit_network(
            network, data.reading(name), (Phase(options.block_options, name=run + name),), seed=seed,
            checkpoint=training.file(f"{run}block-{column}"), device=training.device,
            rows=np.flatnonzero(data.present[:, column]),
        )  # fmt: skip
        blocks[name], heads[name] = state_of(block), state_of(network.head)
        count += parameter_count(network)
    return Blocks(data, blocks, heads, count, content_of({"latent": latent, **shared.state_dict()}))


def soup_folds(training: Training, count: int) -> np.ndarray | None:
    """Assign each patient to the run that holds it out, `(B,)`; fewer than `count` runs if outcomes are rare.

    None for a single run.
    """
    for folds in range(count, 1, -1):
        try:
            return fold_ids(training.cohort, folds, seed=seeded(training.seed, "soup"))
        except CohortError:
            continue
    return None


def soup_of(runs: Sequence[Blocks]) -> Blocks:
    """Average the weights of several runs with the same initialisation (model soups, ICML 2022, arXiv 2203.05482)."""
    first = runs[0]
    blocks = {name: _mean_state([run.blocks[name] for run in runs]) for name in first.blocks}
    heads = {name: _mean_state([run.heads[name] for run in runs]) for name in first.heads}
    return replace(first, blocks=blocks, heads=heads)


def _mean_state(states: Sequence[State]) -> State:
    tensors = [{key: torch.from_numpy(np.array(value)) for key, value in state.items()} for state in states]
    merged = merge_states(tensors, [1.0] * len(tensors), linear_mean)
    return {key: value.numpy() for key, value in merged.items()}


def restored_block(sizes: LegoSizes, shape: tuple[int, int], state: State, dropout: float = 0.0) -> LegoBlock:
    """Rebuild a block from its stored state."""
    block = build(lambda: sizes.block(*shape, dropout), 0)
    block.load_state_dict({key: torch.from_numpy(np.array(value)) for key, value in state.items()})
    return block


def matched_widths(heads: Mapping[str, State]) -> dict[str, np.ndarray]:
    """Order the D inputs of each head to match those of the first head.

    Units are matched by optimal transport between the heads' weights for each input, the columns of `W` and the
    LayerNorm parameters, before they are averaged (Singh and Jaggi, NeurIPS 2020, weight-based). Intended for blocks
    with different initialisations, whose latents have no common order. Deviation: MM-Lego's code moves the rows of `W`
    and so mixes classes.
    """
    read = {
        name: torch.from_numpy(np.vstack([state["linear.weight"], state["norm.weight"], state["norm.bias"]]).T.copy())
        for name, state in heads.items()
    }
    anchor = read[min(read)]
    return {name: matched_rows(own, anchor).numpy() for name, own in read.items()}


def require_matching(head_method: str) -> None:
    """Refuse the method `ot` before any computation if POT is not installed.

    Raises:
        Unsupported: POT is missing; the message gives the pip command.
    """
    if head_method == "ot" and find_spec("ot") is None:
        raise Unsupported('matching widths by optimal transport needs POT: pip install "chiasm[transport]"')


def in_order(head: State, order: np.ndarray) -> State:
    """Reorder the D inputs of a head."""
    moved = {key: head[key][..., order] for key in ("norm.weight", "norm.bias", "linear.weight")}
    return {**head, **moved}


def merged_head(
    states: Sequence[State], width: int, kind: str, method: str, weights: Sequence[float] | None = None
) -> Head:
    """Merge heads into one, with equal weights unless given."""
    tensors = [{key: torch.from_numpy(np.array(value)) for key, value in state.items()} for state in states]
    merged = merge_states(tensors, [1.0] * len(tensors) if weights is None else weights, HEAD_METHODS[method])
    head = build(lambda: Head(width, len(merged["linear.bias"]), kind), 0)
    head.load_state_dict(merged)
    return head


def check_options(domain: str, head_method: str) -> None:
    """Raise `ValueError` for an unknown domain or head-merging method."""
    choice("domain", domain, DOMAINS)
    choice("head_method", head_method, tuple(HEAD_METHODS))
