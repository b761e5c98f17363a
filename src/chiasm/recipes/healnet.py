"""HEALNet (NeurIPS 2024, arXiv 2311.09115): one latent that reads every present modality in turn."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from chiasm.artifact import storable
from chiasm.cohort import Cohort
from chiasm.encoders import pack
from chiasm.fusion.healnet import HealNet
from chiasm.heads.head import Head
from chiasm.heads.response import Response
from chiasm.protocols import Citation, Encoder
from chiasm.recipes.base import recipe_name, require_encoders
from chiasm.recipes.model import FittedModel, describe_target
from chiasm.recipes.neural import (
    build,
    fit_network,
    new_head,
    parameter_count,
    prepare,
    restore,
    seeded,
    state_of,
    trainable,
)
from chiasm.training import Network, TrainOptions, predict_link
from chiasm.training.batches import presence


@storable("healnet")
@dataclass(frozen=True)
class HealNetPredictor:
    """A trained HEALNet with its encoders; `shapes` and the sizes rebuild the network that `state` fills."""

    encoders: dict[str, Encoder]
    shapes: dict[str, tuple[int, int]]
    sizes: dict[str, int]
    kind: str
    outputs: int
    centre: float
    scale: float
    state: dict[str, np.ndarray]
    trained_parameters: int

    def link(self, cohort: Cohort) -> np.ndarray:
        """`(B, K)` float64 in the cohort's sorted row order."""
        fusion = build(lambda: healnet(self.shapes, self.sizes, 0.0), 0)
        network = Network(fusion, build(lambda: Head(self.sizes["latent_width"], self.outputs, self.kind), 0))
        restore(network, self.state)
        tokens = pack(cohort, self.encoders)
        return predict_link(network, tokens, presence(tokens, sorted(self.encoders))) * self.scale + self.centre


@dataclass(frozen=True)
class HealNetRecipe:
    """HEALNet. The paper's loss is a discrete-time likelihood; ours is the target's own (Cox for survival).

    Args:
        latents, latent_width, depth, heads, tied: of the fusion.
        dropout, epochs, patience, batch, learning_rate, weight_decay, modality_dropout: of the training.
    """

    latents: int = 16
    latent_width: int = 32
    depth: int = 2
    heads: int = 4
    tied: bool = False
    dropout: float = 0.2
    epochs: int = 40
    patience: int = 8
    batch: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    modality_dropout: float = 0.1

    id: ClassVar[str] = "healnet"
    family: ClassVar[str] = "fusion"
    needs: ClassVar[str] = "two modalities or more"
    paper: ClassVar[Citation] = Citation(
        "HEALNet: Multimodal Fusion for Heterogeneous Biomedical Data",
        "NeurIPS",
        2024,
        "https://arxiv.org/abs/2311.09115",
    )

    @property
    def name(self) -> str:
        return recipe_name(self)

    def supports(self, cohort: Cohort) -> None:
        require_encoders(cohort, modalities=2)

    def fit(self, cohort: Cohort, *, seed: int, checkpoint: Path | None = None, device: str = "cpu") -> FittedModel:
        """Train on the cohort's patients; a fifth of them decide when to stop and calibrate."""
        cohort = trainable(cohort)
        data = prepare(cohort, seed)
        sizes = {
            "latents": self.latents, "latent_width": self.latent_width, "depth": self.depth,
            "heads": self.heads, "tied": int(self.tied),
        }  # fmt: skip
        head = new_head(cohort, self.latent_width, seeded(seed, "head"))
        network = Network(build(lambda: healnet(data.shapes, sizes, self.dropout), seeded(seed, "fusion")), head)
        options = TrainOptions(
            self.epochs, self.patience, self.batch, self.learning_rate, self.weight_decay, self.modality_dropout
        )
        file = checkpoint / "healnet.safetensors" if checkpoint is not None else None
        fit_network(network, data, options, seed=seeded(seed, "train"), checkpoint=file, device=device)
        link = predict_link(network, data.tokens, data.present) * data.scale + data.centre
        assert cohort.target is not None
        response = Response.fit(cohort.target, link[data.held_out], data.outcome.take(data.held_out), calibrate=True)
        predictor = HealNetPredictor(
            data.encoders, data.shapes, sizes, cohort.target.kind, link.shape[1], data.centre, data.scale,
            state_of(network), parameter_count(network),
        )  # fmt: skip
        return FittedModel(self.name, dict(cohort.kinds), predictor, response, describe_target(cohort))


def healnet(shapes: dict[str, tuple[int, int]], sizes: dict[str, int], dropout: float) -> HealNet:
    """The fusion that these sizes describe."""
    return HealNet(
        shapes, latents=sizes["latents"], latent_width=sizes["latent_width"], depth=sizes["depth"],
        heads=sizes["heads"], tied=bool(sizes["tied"]), dropout=dropout,
    )  # fmt: skip
