"""`lego-merge`: blocks trained alone and merged, without any joint training (MM-Lego, arXiv 2405.19950)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from chiasm.artifact import storable
from chiasm.cohort import Cohort, Unsupported
from chiasm.encoders import pack
from chiasm.fitting.base import Training, choice, require
from chiasm.fitting.model import FittedModel
from chiasm.fitting.neural import calibrated
from chiasm.fitting.neural_recipe import NeuralRecipe
from chiasm.fitting.row import Row
from chiasm.fusion.lego_block import pool
from chiasm.heads.head import Head, output_width
from chiasm.heads.response import Response
from chiasm.merging import LATENT_METHODS, merge_latents
from chiasm.protocols import Encoder, Predictor
from chiasm.recipes.fusion import ROWS
from chiasm.recipes.fusion.lego_blocks import (
    Blocks,
    LegoSizes,
    check_options,
    in_order,
    matched_widths,
    merged_head,
    require_matching,
    restored_block,
    soup_folds,
    soup_of,
    train_blocks,
)
from chiasm.tokens import Packed, Tokens
from chiasm.training.batches import presence, reading_batches, take, total_lengths


@storable("lego-merge")
@dataclass(frozen=True)
class LegoMergePredictor:
    """Blocks as they were trained, merged at prediction over the modalities a patient has.

    Args:
        encoders, shapes, blocks, heads: one a modality.
        sizes: of every block.
        method, head_method: how latents and heads are merged.
        centre, scale: undo the standardising of a number.
        start: a hash of the latents and the head that all blocks started from.
        weights: of the modalities in the merge; empty: equal.
    """

    encoders: dict[str, Encoder]
    shapes: dict[str, tuple[int, int]]
    sizes: LegoSizes
    method: str
    head_method: str
    kind: str
    centre: float
    scale: float
    blocks: dict[str, dict[str, np.ndarray]]
    heads: dict[str, dict[str, np.ndarray]]
    trained_parameters: int
    start: str = ""
    weights: dict[str, float] = field(default_factory=dict)

    def link(self, cohort: Cohort) -> np.ndarray:
        """`(B, K)` float64 in the cohort's sorted row order."""
        return self.link_of(pack(cohort, self.encoders))

    def link_of(self, tokens: Mapping[str, Packed]) -> np.ndarray:
        """The link of packed tokens; a patient's latents and heads are merged over what is present.

        In double precision: where phases nearly cancel, their mean direction would show the rounding of the batch.
        """
        names = sorted(self.encoders)
        present = presence(tokens, names)
        blocks = {
            name: restored_block(self.sizes, self.shapes[name], self.blocks[name]).double().eval() for name in names
        }
        heads: dict[tuple[bool, ...], Head] = {}
        share = torch.tensor([self.weights.get(name, 1.0) for name in names], dtype=torch.float64)
        orders = matched_widths(self.heads) if self.head_method == "ot" else {}
        own_heads = {name: in_order(head, orders[name]) if orders else head for name, head in self.heads.items()}
        out = np.zeros((len(present), len(self.heads[names[0]]["linear.bias"])))
        with torch.inference_mode():
            for batch in reading_batches(total_lengths(tokens), 256):
                own, here = take(tokens, batch), torch.from_numpy(present[batch])
                latents = [
                    blocks[name](Tokens(own[name].values.double(), own[name].mask), here[:, m])
                    for m, name in enumerate(names)
                ]
                if orders:
                    latents = [own[..., orders[name]] for name, own in zip(names, latents, strict=True)]
                if self.method == "logits":
                    out[batch] = self.mean_logits(latents, here * share)
                    continue
                embedding = pool(merge_latents(latents, here * share, self.method))  # (B, D)
                for pattern in torch.unique(here, dim=0):
                    rows = (here == pattern).all(1)
                    key = tuple(pattern.tolist())
                    if key not in heads:
                        used = [m for m, given in enumerate(key) if given or not any(key)]
                        heads[key] = merged_head(
                            [own_heads[names[m]] for m in used], self.sizes.latent_width, self.kind, self.head_method,
                            share[used].tolist(),
                        ).double()  # fmt: skip
                    out[batch[rows.numpy()]] = heads[key](embedding[rows]).numpy()
        return out * self.scale + self.centre

    def mean_logits(self, latents: Sequence[Tensor], weights: Tensor) -> np.ndarray:
        """`(B, K)`, the weighted mean of what each block's own head says; of all blocks where a patient has none."""
        weights = torch.where(weights.sum(1, keepdim=True) > 0, weights, 1.0)
        said = [
            merged_head([self.heads[name]], self.sizes.latent_width, self.kind, "linear").double()(pool(own))
            for name, own in zip(sorted(self.encoders), latents, strict=True)
        ]
        mean = torch.einsum("bm,mbk->bk", weights / weights.sum(1, keepdim=True), torch.stack(said))
        return np.asarray(mean.numpy())


@dataclass(frozen=True)
class LegoMerge(NeuralRecipe):
    """Blocks trained alone, their latents averaged over the modalities present, their heads merged on the sphere.

    Args:
        modality: to read alone, with a prior for who lacks it; all of them without a name.
        latents, latent_width, depth, heads: of the blocks.
        domain: of the latents: signal, rfft or complex. The paper's configuration is `domain=rfft,method=harmonic`.
        dropout, epochs, patience, batch, learning_rate, weight_decay: of the training of each block.
        method: how latents are merged: mean, harmonic or geometric; `logits` merges none, and is the mean of what the
            blocks predict by themselves, the ensemble that merging has to equal.
        head_method: how heads are merged: slerp, linear or ot.
        soup: how many trainings of each block, each stopped by another part of the patients, are averaged in weights.
        blocks: the modalities to train blocks of, as in `rna` or `cnv+rna`; empty: all. One is enough where it is
            named: `chiasm merge` puts blocks that were trained in different places together.
    """

    domain: str = "signal"
    head_method: str = "slerp"
    method: str = "mean"
    soup: int = 1
    blocks: str = ""

    row: ClassVar[Row] = ROWS["lego-merge"]

    def __post_init__(self) -> None:
        super().__post_init__()
        check_options(self.domain, self.head_method)
        choice("method", self.method, (*LATENT_METHODS, "logits"))
        if not 1 <= self.soup <= 20:
            raise ValueError(f"soup={self.soup}: one training of each block, or up to 20")
        if self.blocks and self.modality:
            raise ValueError("blocks and modality both name what is read: give one of them")

    @property
    def sizes(self) -> LegoSizes:
        """Of every block."""
        return LegoSizes(self.latents, self.latent_width, self.depth, self.heads, self.domain)

    @property
    def reads_presence(self) -> bool:
        """Of several blocks, as every network; a patient who lacks the only one is refused or gets the prior."""
        return not self.modality and "+" in (self.blocks or "+")

    def supports(self, cohort: Cohort) -> None:
        """Raise `Unsupported` where a modality, its encoder or a target is missing; without names two are needed."""
        require_matching(self.head_method)
        require(self.read(cohort), 1 if self.blocks or self.modality else self.least_modalities)

    def reading(self, modality: str) -> LegoMerge:
        """With the block of this modality alone."""
        return replace(self, blocks="", modality=modality)

    def modalities(self, cohort: Cohort) -> tuple[str, ...]:
        """Those of which there are blocks."""
        named = self._blocks()
        return tuple(name for name in super().modalities(cohort) if name in named or not named)

    def read(self, cohort: Cohort) -> Cohort:
        """The cohort with the modalities of which there are blocks."""
        named = self._blocks()
        lacking = [name for name in named if name not in cohort.modalities]
        if lacking:
            raise Unsupported(f"the cohort has no modality '{lacking[0]}': it has {', '.join(cohort.modalities)}")
        return cohort.with_modalities(named) if named else super().read(cohort)

    def fit(self, cohort: Cohort, *, seed: int, checkpoint: Path | None = None, device: str = "cpu") -> FittedModel:
        """As every recipe, on the patients who have a modality that a block is trained of."""
        own = self.read(cohort) if self.blocks else cohort
        return super().fit(own, seed=seed, checkpoint=checkpoint, device=device)

    def _blocks(self) -> list[str]:
        return sorted(filter(None, self.blocks.split("+")))

    def learn(self, training: Training) -> tuple[Predictor, Response]:
        """Train the blocks; merging them trains nothing. Those who stopped the blocks early calibrate."""
        folds = soup_folds(training, self.soup)
        if folds is None:
            trained = train_blocks(training, self)
            predictor = self.predictor(training, trained)
            return predictor, calibrated(training, trained.data, predictor.link_of)
        runs = [train_blocks(training, self, f"run-{k}-", folds == k) for k in range(folds.max() + 1)]
        links = np.zeros((len(folds), output_width(training.target)))
        for k, run in enumerate(runs):
            rows = np.flatnonzero(folds == k)
            tokens = {name: packed.subset(rows) for name, packed in run.data.tokens.items()}
            links[rows] = self.predictor(training, run).link_of(tokens)
        response = Response.fit(training.target, links, training.outcome, calibrate=True, folds=folds)
        return self.predictor(training, soup_of(runs)), response

    def predictor(self, training: Training, trained: Blocks) -> LegoMergePredictor:
        """The blocks, merged as the options say."""
        data = trained.data
        return LegoMergePredictor(
            data.encoders, data.shapes, self.sizes, self.method, self.head_method, training.target.kind, data.centre,
            data.scale, trained.blocks, trained.heads, trained.trained_parameters, trained.start,
        )  # fmt: skip
