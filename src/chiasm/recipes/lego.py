"""MM-Lego (ICLR 2025, arXiv 2405.19950): `lego-merge` without joint training, `lego-fuse` with a little of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from chiasm.artifact import storable
from chiasm.cohort import Cohort
from chiasm.encoders import pack
from chiasm.fusion.lego import LegoFuse, Mode
from chiasm.fusion.lego_block import pool
from chiasm.heads.response import Response
from chiasm.merging import LATENT_METHODS, linear_mean, merge_latents, merge_states, spherical_mean
from chiasm.protocols import Citation, Encoder
from chiasm.recipes.base import recipe_name, require_encoders
from chiasm.recipes.lego_blocks import LegoSizes, restored_block, restored_head, train_blocks
from chiasm.recipes.model import FittedModel, describe_target
from chiasm.recipes.neural import build, fit_network, parameter_count, restore, seeded, state_of, trainable
from chiasm.tokens import PackedTokens
from chiasm.training import Network, TrainOptions, predict_link
from chiasm.training.batches import presence, reading_batches, take, total_lengths

PAPER = Citation(
    "Multimodal Lego: Model Merging and Fine-Tuning Across Topologies and Modalities",
    "ICLR",
    2025,
    "https://arxiv.org/abs/2405.19950",
)
HEAD_METHODS = {"slerp": spherical_mean, "linear": linear_mean}


@storable("lego-merge")
@dataclass(frozen=True)
class LegoMergePredictor:
    """Blocks as they were trained, merged at prediction over the modalities a patient has."""

    encoders: dict[str, Encoder]
    shapes: dict[str, tuple[int, int]]
    sizes: LegoSizes
    method: str
    head_method: str
    kind: str
    outputs: int
    centre: float
    scale: float
    blocks: dict[str, dict[str, np.ndarray]]
    heads: dict[str, dict[str, np.ndarray]]
    trained_parameters: int

    def link(self, cohort: Cohort) -> np.ndarray:
        """`(B, K)` float64 in the cohort's sorted row order."""
        return self.link_of(pack(cohort, self.encoders))

    def link_of(self, tokens: dict[str, PackedTokens]) -> np.ndarray:
        """The link of packed tokens; a patient's latents and heads are merged over what is present."""
        names = sorted(self.encoders)
        present = presence(tokens, names)
        blocks = {name: restored_block(self.sizes, self.shapes[name], self.blocks[name]).eval() for name in names}
        states = [{key: torch.from_numpy(value) for key, value in self.heads[name].items()} for name in names]
        heads = {}
        out = np.zeros((len(present), self.outputs))
        with torch.inference_mode():
            for batch in reading_batches(total_lengths(tokens), 256):
                own, here = take(tokens, batch), torch.from_numpy(present[batch])
                latents = [blocks[name](own[name], here[:, m]) for m, name in enumerate(names)]
                embedding = pool(merge_latents(latents, here.float(), self.method))  # (B, D)
                for pattern in torch.unique(here, dim=0):
                    rows = (here == pattern).all(1)
                    key = tuple(pattern.tolist())
                    if key not in heads:
                        merged = merge_states(
                            [states[m] for m in range(len(names)) if key[m]],
                            [1.0] * sum(key),
                            HEAD_METHODS[self.head_method],
                        )
                        heads[key] = restored_head(
                            self.sizes.latent_width, self.outputs, self.kind, {k: v.numpy() for k, v in merged.items()}
                        )
                    out[batch[rows.numpy()]] = heads[key](embedding[rows]).double().numpy()
        return out * self.scale + self.centre


@storable("lego-fuse")
@dataclass(frozen=True)
class LegoFusePredictor:
    """Blocks stacked or woven and fine-tuned together."""

    encoders: dict[str, Encoder]
    shapes: dict[str, tuple[int, int]]
    sizes: LegoSizes
    mode: str
    kind: str
    outputs: int
    centre: float
    scale: float
    state: dict[str, np.ndarray]
    trained_parameters: int

    def link(self, cohort: Cohort) -> np.ndarray:
        """`(B, K)` float64 in the cohort's sorted row order."""
        mode: Mode = self.mode  # type: ignore[assignment]  # checked by the recipe
        fusion = build(
            lambda: LegoFuse({name: self.sizes.block(*shape) for name, shape in self.shapes.items()}, mode), 0
        )
        network = Network(fusion, restored_head(self.sizes.latent_width, self.outputs, self.kind, self._head))
        restore(network, self.state)
        tokens = pack(cohort, self.encoders)
        return predict_link(network, tokens, presence(tokens, sorted(self.encoders))) * self.scale + self.centre

    @property
    def _head(self) -> dict[str, np.ndarray]:
        return {key.removeprefix("head."): value for key, value in self.state.items() if key.startswith("head.")}


@dataclass(frozen=True)
class _LegoOptions:
    """The blocks: their sizes and their training, the same for merging and fusing."""

    latents: int = 16
    latent_width: int = 32
    depth: int = 2
    heads: int = 4
    domain: str = "signal"
    dropout: float = 0.2
    epochs: int = 40
    patience: int = 8
    batch: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    head_method: str = "slerp"

    family: ClassVar[str] = "merge"
    paper: ClassVar[Citation] = PAPER

    def __post_init__(self) -> None:
        _choice("domain", self.domain, ("signal", "rfft", "complex"))
        _choice("head_method", self.head_method, tuple(HEAD_METHODS))

    @property
    def name(self) -> str:
        return recipe_name(self)

    @property
    def sizes(self) -> LegoSizes:
        return LegoSizes(self.latents, self.latent_width, self.depth, self.heads, self.domain)

    @property
    def training(self) -> TrainOptions:
        return TrainOptions(self.epochs, self.patience, self.batch, self.learning_rate, self.weight_decay)

    def supports(self, cohort: Cohort) -> None:
        require_encoders(cohort, modalities=2)


@dataclass(frozen=True)
class LegoMerge(_LegoOptions):
    """Blocks trained alone, their latents averaged over the modalities present, their heads merged on the sphere.

    Args:
        method: how latents are merged: mean, harmonic or geometric.
        head_method: how heads are merged: slerp or linear.
        domain: of the latents; the paper's configuration is `domain=rfft,method=harmonic`.
    """

    method: str = "mean"

    id: ClassVar[str] = "lego-merge"
    needs: ClassVar[str] = "two modalities or more; no patient needs both"

    def __post_init__(self) -> None:
        super().__post_init__()
        _choice("method", self.method, tuple(LATENT_METHODS))

    def fit(self, cohort: Cohort, *, seed: int, checkpoint: Path | None = None, device: str = "cpu") -> FittedModel:
        """Train the blocks; merging them trains nothing. The fifth that stopped the blocks early calibrates."""
        cohort = trainable(cohort)
        trained = train_blocks(
            cohort, self.sizes, self.training, self.dropout, seed=seed, checkpoint=checkpoint, device=device
        )
        data, target = trained.data, cohort.target
        assert target is not None
        predictor = LegoMergePredictor(
            data.encoders, data.shapes, self.sizes, self.method, self.head_method, target.kind,
            len(next(iter(trained.heads.values()))["linear.bias"]), data.centre, data.scale, trained.blocks,
            trained.heads, trained.trained_parameters,
        )  # fmt: skip
        link = predictor.link_of(data.tokens)
        response = Response.fit(target, link[data.held_out], data.outcome.take(data.held_out), calibrate=True)
        return FittedModel(self.name, dict(cohort.kinds), predictor, response, describe_target(cohort))


@dataclass(frozen=True)
class LegoFuseRecipe(_LegoOptions):
    """One latent passed through the blocks, started from the merged blocks and head, fine-tuned a few epochs.

    Args:
        mode: stack (block after block) or weave (iteration after iteration).
        fuse_epochs, fuse_learning_rate: of the fine-tuning.
        modality_dropout: chance that a modality is left out of a fine-tuning step.
    """

    mode: str = "stack"
    fuse_epochs: int = 15
    fuse_learning_rate: float = 1e-3
    modality_dropout: float = 0.1

    id: ClassVar[str] = "lego-fuse"
    family: ClassVar[str] = "fusion"
    needs: ClassVar[str] = "two modalities or more, some patients with both"

    def __post_init__(self) -> None:
        super().__post_init__()
        _choice("mode", self.mode, ("stack", "weave"))

    def fit(self, cohort: Cohort, *, seed: int, checkpoint: Path | None = None, device: str = "cpu") -> FittedModel:
        """Train the blocks, or take those that `lego-merge` trained on these patients; then fine-tune."""
        cohort = trainable(cohort)
        trained = train_blocks(
            cohort, self.sizes, self.training, self.dropout, seed=seed, checkpoint=checkpoint, device=device
        )
        data, target = trained.data, cohort.target
        assert target is not None
        blocks = {
            name: restored_block(self.sizes, data.shapes[name], state, self.dropout)
            for name, state in trained.blocks.items()
        }
        states = [{key: torch.from_numpy(value) for key, value in head.items()} for head in trained.heads.values()]
        merged = merge_states(states, [1.0] * len(states), HEAD_METHODS[self.head_method])
        outputs = len(merged["linear.bias"])
        head = restored_head(
            self.latent_width, outputs, target.kind, {key: value.numpy() for key, value in merged.items()}
        )
        mode: Mode = self.mode  # type: ignore[assignment]  # checked in __post_init__
        network = Network(LegoFuse(blocks, mode), head)
        options = TrainOptions(
            self.fuse_epochs,
            self.fuse_epochs,
            self.batch,
            self.fuse_learning_rate,
            self.weight_decay,
            self.modality_dropout,
        )
        file = checkpoint / "fuse.safetensors" if checkpoint is not None else None
        fit_network(network, data, options, seed=seeded(seed, "fuse"), checkpoint=file, device=device)
        link = predict_link(network, data.tokens, data.present) * data.scale + data.centre
        response = Response.fit(target, link[data.held_out], data.outcome.take(data.held_out), calibrate=True)
        predictor = LegoFusePredictor(
            data.encoders, data.shapes, self.sizes, self.mode, target.kind, outputs, data.centre, data.scale,
            state_of(network), parameter_count(network),
        )  # fmt: skip
        return FittedModel(self.name, dict(cohort.kinds), predictor, response, describe_target(cohort))


def _choice(option: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"{option}={value!r} is not known: choose one of {', '.join(known)}")
