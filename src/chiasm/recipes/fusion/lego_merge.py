"""`lego-merge`: blocks trained alone and merged without joint training (MM-Lego, arXiv 2405.19950)."""

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
from chiasm.fitting.row import Row
from chiasm.fitting.trained_recipe import LatentOptions, TrainedRecipe
from chiasm.fusion.lego_block import pool
from chiasm.heads.head import Head, Level, output_width
from chiasm.heads.response import Response
from chiasm.merging import MERGES, merge_latents
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
from chiasm.training import TrainOptions
from chiasm.training.batches import presence, reading_batches, take, total_lengths


@storable("lego-merge")
@dataclass(frozen=True)
class LegoMergePredictor:
    """Separately trained blocks, merged at prediction over the modalities a patient has.

    Args:
        encoders, shapes, blocks, heads: one per modality.
        sizes: sizes of every block.
        method, head_method: how latents and heads are merged.
        centre, scale: undo the standardisation of a regression target.
        start: hash of the latents and the head from which all blocks were initialised.
        weights: weights of the modalities in the merge; empty: equal.
    """

    encoders: dict[str, Encoder]
    shapes: dict[str, tuple[int, int]]
    sizes: LegoSizes
    method: str
    head_method: str
    kind: str
    centre: Level
    scale: Level
    blocks: dict[str, dict[str, np.ndarray]]
    heads: dict[str, dict[str, np.ndarray]]
    trained_parameters: int
    start: str = ""
    weights: dict[str, float] = field(default_factory=dict)

    def link(self, cohort: Cohort) -> np.ndarray:
        """Return the link `(B, K)`, float64, in the cohort's sorted row order."""
        return self.link_of(pack(cohort, self.encoders))

    def link_of(self, tokens: Mapping[str, Packed]) -> np.ndarray:
        """Compute the link of packed tokens; latents and heads are merged over each patient's present modalities.

        Computed in double precision, because the mean direction of nearly cancelling phases amplifies rounding errors.
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
        """Return the weighted mean `(B, K)` of each block's own logits; over all blocks if a patient has none."""
        weights = torch.where(weights.sum(1, keepdim=True) > 0, weights, 1.0)
        said = [
            merged_head([self.heads[name]], self.sizes.latent_width, self.kind, "linear").double()(pool(own))
            for name, own in zip(sorted(self.encoders), latents, strict=True)
        ]
        mean = torch.einsum("bm,mbk->bk", weights / weights.sum(1, keepdim=True), torch.stack(said))
        return np.asarray(mean.numpy())


@dataclass(frozen=True)
class LegoMerge(TrainedRecipe, LatentOptions):
    """Blocks trained alone; latents are averaged over the modalities present, and heads merged on the sphere.

    Args:
        modality: the one modality to read, with the prior for patients without it; empty: all.
        latents, latent_width, depth, heads: sizes of the blocks.
        domain: domain of the latents: signal, rfft, fft or complex. The paper's configuration is
            `domain=fft,method=harmonic`.
        dropout, epochs, patience, batch, learning_rate, weight_decay: training options of each block.
        method: how latents are merged: mean, harmonic, geometric or product; `logits` instead averages the predictions
            of the single blocks, the ensemble that merging has to match.
        head_method: how heads are merged: slerp, linear or ot.
        soup: number of runs per block whose weights are averaged, each stopped early on another part of the patients.
        blocks: modalities to train blocks for, as in `rna` or `cnv+rna`; empty: all. A single named block is allowed:
            `chiasm merge` combines blocks trained in different places.
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
        choice("method", self.method, (*MERGES, "logits"))
        if not 1 <= self.soup <= 20:
            raise ValueError(f"soup={self.soup}: one training of each block, or up to 20")
        if self.blocks and self.modality:
            raise ValueError("blocks and modality both name what is read: give one of them")

    @property
    def sizes(self) -> LegoSizes:
        """Sizes of every block."""
        return LegoSizes(self.latents, self.latent_width, self.depth, self.heads, self.domain)

    @property
    def block_options(self) -> TrainOptions:
        """Training options of each block."""
        return self.training_options

    @property
    def reads_presence(self) -> bool:
        """True with several blocks; a patient who lacks the only block is refused or gets the prior."""
        return not self.modality and "+" in (self.blocks or "+")

    def supports(self, cohort: Cohort) -> None:
        """Raise `Unsupported` if a target, modality or encoder is missing; two modalities are needed unless named."""
        require_matching(self.head_method)
        require(self.read(cohort), 1 if self.blocks or self.modality else self.least_modalities)
        if self.started is not None:
            self.started.supports(self.read(cohort))

    def reading(self, modality: str) -> LegoMerge:
        """Return this recipe with the block of one modality alone."""
        return replace(self, blocks="", modality=modality)

    def modalities(self, cohort: Cohort) -> tuple[str, ...]:
        """Return the modalities that have a block."""
        named = self._blocks()
        return tuple(name for name in super().modalities(cohort) if name in named or not named)

    def read(self, cohort: Cohort) -> Cohort:
        """Restrict the cohort to the modalities that have a block.

        Raises:
            Unsupported: the cohort lacks a named modality.
        """
        named = self._blocks()
        lacking = [name for name in named if name not in cohort.modalities]
        if lacking:
            raise Unsupported(f"the cohort has no modality '{lacking[0]}': it has {', '.join(cohort.modalities)}")
        return cohort.with_modalities(named) if named else super().read(cohort)

    def fit(self, cohort: Cohort, *, seed: int, checkpoint: Path | None = None, device: str = "cpu") -> FittedModel:
        """Fit as other recipes, on the patients with at least one modality that has a block."""
        own = self.read(cohort) if self.blocks else cohort
        return super().fit(own, seed=seed, checkpoint=checkpoint, device=device)

    def _blocks(self) -> list[str]:
        return sorted(filter(None, self.blocks.split("+")))

    def learn(self, training: Training) -> tuple[Predictor, Response]:
        """Train the blocks, which are merged without training; calibrate on the patients used for early stopping."""
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
            links[rows] = self.predictor(training, run).link_of(tokens) + run.data.started(rows)
        response = Response.fit(training.target, links, training.outcome, calibrate=True, folds=folds)
        return self.predictor(training, soup_of(runs)), response

    def predictor(self, training: Training, trained: Blocks) -> LegoMergePredictor:
        """Return the predictor that merges these blocks as the options specify."""
        data = trained.data
        return LegoMergePredictor(
            data.encoders, data.shapes, self.sizes, self.method, self.head_method, training.target.kind, data.origin,
            data.scale, trained.blocks, trained.heads, trained.trained_parameters, trained.start,
        )  # fmt: skip
