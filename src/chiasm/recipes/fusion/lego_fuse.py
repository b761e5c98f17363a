"""`lego-fuse`: blocks trained alone, then stacked or woven and fine-tuned together briefly (arXiv 2405.19950)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, cast

import torch

from chiasm.artifact import storable
from chiasm.cohort import Cohort
from chiasm.fitting.base import Training, choice
from chiasm.fitting.neural import Design, NetworkPredictor, Prepared, Shapes, build, finish, held_out_nll, state_of
from chiasm.fitting.row import Row
from chiasm.fitting.source_network import Start
from chiasm.fitting.trained_recipe import LatentOptions
from chiasm.fitting.warm_recipe import WarmRecipe
from chiasm.fitting.warm_start import Candidate
from chiasm.fusion.lego import LegoFuse, Mode
from chiasm.heads.response import Response
from chiasm.protocols import Predictor
from chiasm.recipes.fusion import ROWS
from chiasm.recipes.fusion.lego_blocks import (
    Blocks,
    LegoSizes,
    State,
    check_options,
    in_order,
    matched_widths,
    merged_head,
    require_matching,
    restored_block,
    train_blocks,
)
from chiasm.training import Network, Phase, TrainOptions

PATIENCE = 8  # epochs of fine-tuning without improvement
MERGE: Mode = "merge"


@storable("lego-fuse")
@dataclass(frozen=True)
class LegoFuseDesign:
    """Sizes of the blocks, and the order in which the latent passes through them; `merge`: nothing is passed on."""

    sizes: LegoSizes
    mode: str

    @property
    def latent_width(self) -> int:
        return self.sizes.latent_width

    def fusion(self, shapes: Shapes, dropout: float = 0.0) -> LegoFuse:
        """Create a fresh fusion module from new blocks."""
        blocks = {name: self.sizes.block(*shape, dropout) for name, shape in shapes.items()}
        return LegoFuse(blocks, cast(Mode, self.mode))


@dataclass(frozen=True)
class LegoFuseRecipe(WarmRecipe, LatentOptions):
    """One latent passed through all trained blocks, with a merged head, fine-tuned for a few epochs.

    What the merge had is not lost: the fine-tuned network, its start, or the merge of the blocks by the mean of their
    latents is kept, whichever does best on the patients used for early stopping.

    Args:
        latents, latent_width, depth, heads, domain: sizes and latent domain of the blocks.
        dropout, epochs, patience, batch, learning_rate, weight_decay: training options of each block.
        modality_dropout: probability that a modality is dropped in a fine-tuning step.
        head_method: how the initial head is merged: slerp, linear or ot.
        mode: stack (block after block) or weave (iteration after iteration).
        fuse_epochs, fuse_learning_rate: options of the fine-tuning, which keeps its best epoch.
    """

    domain: str = "signal"
    head_method: str = "slerp"
    mode: str = "stack"
    fuse_epochs: int = 25
    fuse_learning_rate: float = 1e-3

    row: ClassVar[Row] = ROWS["lego-fuse"]

    def __post_init__(self) -> None:
        super().__post_init__()
        check_options(self.domain, self.head_method)
        choice("mode", self.mode, ("stack", "weave"))

    @property
    def sizes(self) -> LegoSizes:
        """Sizes of every block."""
        return LegoSizes(self.latents, self.latent_width, self.depth, self.heads, self.domain)

    @property
    def block_options(self) -> TrainOptions:
        """Training options of each block, which reads one modality."""
        return replace(self.training_options, modality_dropout=0.0)

    def supports(self, cohort: Cohort) -> None:
        """Raise `Unsupported` also if `head_method=ot` lacks its package."""
        require_matching(self.head_method)
        super().supports(cohort)

    def design(self) -> LegoFuseDesign:
        """Return the sizes of the blocks and their order."""
        return LegoFuseDesign(self.sizes, self.mode)

    def fits_source(self, network: NetworkPredictor) -> bool:
        """True if a fused network has blocks of these sizes, and passes its latent on in this order.

        With one block there or here the order says nothing. One that kept the merge of its blocks fits too.
        """
        design = network.design
        if not isinstance(design, LegoFuseDesign) or design.sizes != self.sizes:
            return False
        return bool(self.modality) or len(network.shapes) == 1 or design.mode in (self.mode, MERGE)

    def reading(self, modality: str) -> LegoFuseRecipe:
        """Return this recipe on one modality; with a single block, stacking and weaving coincide."""
        return replace(self, modality=modality, mode="stack")

    def phases(self, data: Prepared) -> tuple[Phase, ...]:
        """Return the fine-tuning of all blocks together."""
        options = TrainOptions(
            self.fuse_epochs, PATIENCE, self.batch, self.fuse_learning_rate, self.weight_decay, self.modality_dropout
        )
        return (Phase(options, name="fuse"),)

    def learn(self, training: Training) -> tuple[Predictor, Response]:
        """Train the blocks, or reuse those that `lego-merge` trained on these patients; fine-tune, and keep the best.

        The fine-tuned network, its start and the merge of the blocks are compared on the patients used for early
        stopping, by the likelihood with the best slope; where nobody is held out, the fine-tuned network is kept.
        With `warm` the best of them is compared with the best network of each source.
        """
        trained = train_blocks(training, self)
        data, network = trained.data, self.network(training, trained, self.mode)
        self.run(training, data, network, self.phases(data))
        fused = Candidate(network, data, self.design(), math.nan)
        if not data.held_out.any():
            return self.chosen(training, fused, []) if self.warm else finish(training, data, network, self.design())
        ways = {
            "fused": fused,
            "start": replace(fused, network=self.network(training, trained, self.mode)),
            "merge": Candidate(
                self.network(training, trained, MERGE), data, LegoFuseDesign(self.sizes, MERGE), math.nan
            ),
        }
        kind = training.target.kind
        losses = {name: held_out_nll(own.network, data, kind) for name, own in ways.items()}
        best = ways[name := best_of(losses)]
        notes = {f"nll_{name}": loss for name, loss in losses.items() if math.isfinite(loss)}
        if not self.warm:
            return finish(training, data, best.network, best.design, notes)
        fresh = replace(best, loss=losses[name])
        return self.chosen(training, fresh, self.begun_on(training, trained), notes)

    def begun(self, training: Training, data: Prepared, design: Design) -> list[Candidate]:
        """Fine-tune the blocks of each source; see `begun_on`."""
        return self.begun_on(training, train_blocks(training, self))

    def begun_on(self, training: Training, trained: Blocks) -> list[Candidate]:
        """Put what each source knows into the blocks that were trained on the cohort, and fine-tune them.

        Of a source too its start is compared with what the fine-tuning made of it, and the better one comes back. A
        source that is a merge of several blocks remains one.
        """
        found = []
        for start in self.starts(training.cohort):
            theirs = start.network
            mode = MERGE if theirs.design.mode == MERGE and len(theirs.shapes) > 1 and not self.modality else self.mode
            design, data = LegoFuseDesign(self.sizes, mode), start.prepared(trained.data)
            known = replace(trained, data=data, blocks=self._blocks_on(data, trained))

            def made(start: Start = start, known: Blocks = known, design: LegoFuseDesign = design) -> Candidate:
                network = self.network(training, known, design.mode)
                copied = start.copied_into(network, training, known.data, design)
                return Candidate(network, known.data, design, math.nan, copied, start.source)

            fused, begun = made(), made()
            self.run(training, data, fused.network, self.phases(data), start.stage)
            both = {"fused": fused, "start": begun}
            losses = {name: held_out_nll(own.network, data, training.target.kind) for name, own in both.items()}
            found.append(replace(both[name := best_of(losses)], loss=losses[name]))
        return found

    def _blocks_on(self, data: Prepared, trained: Blocks) -> dict[str, State]:
        """Return the trained blocks, and a fresh one where the source's encoder reads the modality: its block comes."""
        found = {}
        for name, state in trained.blocks.items():
            if data.encoders[name] is not trained.data.encoders[name]:
                shape, latent = data.shapes[name], state["latent"]
                state = {**state_of(build(partial(self.sizes.block, *shape, self.dropout), 0)), "latent": latent}
            found[name] = state
        return found

    def network(self, training: Training, trained: Blocks, mode: str) -> Network:
        """Put trained blocks together, with their merged head: the start of the fine-tuning, or with `merge` the merge.

        With `head_method=ot` the widths of each block are brought into the order of the first one's.
        """
        orders = matched_widths(trained.heads) if self.head_method == "ot" else {}
        blocks, heads = {}, []
        for name, state in trained.blocks.items():
            blocks[name] = restored_block(self.sizes, trained.data.shapes[name], state, self.dropout)
            if orders:
                blocks[name].reorder(torch.from_numpy(orders[name]))
            heads.append(in_order(trained.heads[name], orders[name]) if orders else trained.heads[name])
        head = merged_head(heads, self.latent_width, training.target.kind, self.head_method)
        return Network(LegoFuse(blocks, cast(Mode, mode)), head)


def best_of(losses: Mapping[str, float]) -> str:
    """Return the name with the smallest loss, on ties the first; one that is not a number is the largest."""
    return min(losses, key=lambda name: math.inf if math.isnan(losses[name]) else losses[name])
