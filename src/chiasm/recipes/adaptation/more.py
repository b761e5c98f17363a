"""`more`: low-rank updates of one encoder learned by aligning its modality with the others (MoRE, arXiv 2410.16239)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import ClassVar, cast

import torch
from torch import Tensor

from chiasm.artifact import storable
from chiasm.cohort import Cohort, Unsupported
from chiasm.compute.isolation import seeded
from chiasm.encoders.adaptable import InputsAsTheyAre, Trunk
from chiasm.fitting.base import Training
from chiasm.fitting.card import NOT_ADAPTED
from chiasm.fitting.language import languages
from chiasm.fitting.model import FittedModel
from chiasm.fitting.neural import NetworkPredictor, Prepared, Shapes, build, check_size, new_head
from chiasm.fitting.row import Row
from chiasm.fusion.aligned import AlignedModalities
from chiasm.heads.response import Response
from chiasm.objectives.contrastive import pairwise
from chiasm.protocols import Fused, Predictor
from chiasm.recipes.adaptation import ROWS
from chiasm.recipes.adaptation.adapted_fusion import Adaptation, AdaptedFusion, made_widths
from chiasm.recipes.adaptation.lora import LoRARecipe
from chiasm.recipes.adaptation.trunks import with_network
from chiasm.recipes.alignment.aligned import AlignedRecipe
from chiasm.tokens import Tokens
from chiasm.training import Network


class AdaptedVectors(AdaptedFusion):
    """Adapted networks in front of an `AlignedModalities`, with the vectors and questions of the latter."""

    @property
    def aligned(self) -> AlignedModalities:
        """The fusion behind the networks."""
        return cast(AlignedModalities, self.fusion)

    @property
    def needs_all(self) -> bool:
        """True if a question needs every modality but the one that is asked for; here never."""
        return self.aligned.needs_all

    def vectors(self, tokens: Mapping[str, Tokens], present: Tensor) -> Tensor:
        """Return the unit vectors `(B, M, D)` of inputs and tokens, zeros for an absent modality."""
        return self.aligned.vectors(self.made(tokens, present), present)

    def question(self, vectors: Tensor, given: Tensor, among: int) -> Tensor:
        """Return the vectors `(B, D)` that ask for one modality, as `AlignedModalities.question`."""
        return self.aligned.question(vectors, given, among)

    def scale(self) -> Tensor:
        """Return the scale of the logits, a scalar."""
        return self.aligned.scale()


@storable("more")
@dataclass(frozen=True)
class MoreDesign:
    """Width of the vectors, the temperature at the start, and the adapted encoder with its change, by modality."""

    latent_width: int
    temperature: float
    trunks: dict[str, InputsAsTheyAre]
    adaptations: dict[str, Adaptation]

    def __post_init__(self) -> None:
        check_size("latent_width", self.latent_width)

    def fusion(self, shapes: Shapes, dropout: float = 0.0) -> AdaptedVectors:
        """Create a fresh fusion, with the network at its encoder's weights."""
        return self.around({name: own.trunk() for name, own in self.trunks.items()}, shapes, dropout)

    def around(self, trunks: Mapping[str, Trunk], shapes: Shapes, dropout: float = 0.0) -> AdaptedVectors:
        """Create a fresh fusion of these networks."""
        widths = made_widths(self.trunks, shapes)
        aligned = AlignedModalities(widths, self.latent_width, dropout, temperature=self.temperature)
        return AdaptedVectors(trunks, self.adaptations, aligned, widths)


@dataclass(frozen=True)
class More(AlignedRecipe, LoRARecipe):
    """LoRA on one encoder and projectors of all modalities, trained by CLIP's loss of every pair, then the target.

    The first phase reads no target. The second trains what reads the vectors, and the network runs with its update as
    the first phase left it.

    Args:
        modality, latent_width, share, temperature, tune: as in `AlignedRecipe`; `tune` trains the update on the target
            too.
        rank, alpha, where: as in `LoRARecipe`.
        adapt: the modality whose network is adapted; empty: the only one that is text, or else the only one that has a
            network, of the whole cohort. The others enter by their tokens.
        dropout, epochs, patience, batch, learning_rate, weight_decay, modality_dropout: as in `NetworkRecipe`.
    """

    within: ClassVar[str] = "fusion.fusion."

    dropout: float = 0.1
    epochs: int = 20
    patience: int = 5
    batch: int = 32
    learning_rate: float = 1e-3
    modality_dropout: float = 0.0
    adapt: str = ""

    row: ClassVar[Row] = ROWS["more"]

    def to_adapt(self, cohort: Cohort) -> str:
        """Return the modality whose encoder is adapted; empty where it is not clear which."""
        found = with_network(cohort)
        words = [name for name in languages(cohort) if name in found]
        return self.adapt or next((own[0] for own in (words, found) if len(own) == 1), "")

    def adapted(self, cohort: Cohort) -> dict[str, InputsAsTheyAre]:
        """Return the one modality whose network runs in training; none where it is not clear which."""
        found, name = super().adapted(cohort), self.to_adapt(cohort)
        return {name: found[name]} if name in found else {}

    def supports(self, cohort: Cohort) -> None:
        """Raise `Unsupported` also if the modality to adapt has no network, or none is named and several have."""
        read = self.read(cohort)
        found = list(super().adapted(read))
        if found and not self.adapted(read):
            if not self.adapt:
                lacking = "several modalities have a network"
            elif self.adapt not in cohort.modalities:
                lacking = f"the cohort has no modality '{self.adapt}'"
            elif self.adapt not in read.modalities:
                lacking = f"'{self.adapt}' is not read by the form of '{self.modality}' alone"
            else:
                lacking = f"'{self.adapt}' has no network to adapt"
            raise Unsupported(f"{lacking}: name one of {', '.join(found)} as `adapt`, or use lora, which adapts all")
        super().supports(cohort)

    def fit(self, cohort: Cohort, *, seed: int, checkpoint: Path | None = None, device: str = "cpu") -> FittedModel:
        """Fit as `BaseRecipe.fit`; the modality to adapt is that of the whole cohort, also where hardly anybody has it.

        Where fewer than ten of the patients to learn from have it, no other is adapted in its place: none is, and the
        model's card says so.
        """
        name = self.to_adapt(self.read(cohort))
        if name == self.adapt:
            return super().fit(cohort, seed=seed, checkpoint=checkpoint, device=device)
        model = replace(self, adapt=name).fit(cohort, seed=seed, checkpoint=checkpoint, device=device)
        return replace(model, recipe=self.name)

    def learn(self, training: Training) -> tuple[Predictor, Response]:
        """Create the network, align, train on the target and calibrate."""
        data, found, trunks = self.prepared(training)
        design = MoreDesign(self.latent_width, self.temperature, found.trunks, found.adaptations)
        make = partial(design.around, trunks, data.shapes, self.dropout)
        head = new_head(training, self.latent_width, seeded(training.seed, "head"))
        network = Network(build(make, seeded(training.seed, "fusion")), head)
        predictor, response = self.trained(training, data, design, network)
        if found.trunks:
            return predictor, response
        assert isinstance(predictor, NetworkPredictor)  # what `finish` makes
        return replace(predictor, notes=predictor.notes | {NOT_ADAPTED: 1.0}), response

    def makers(self, data: Prepared, m: int) -> tuple[str, ...]:
        """Return the beginnings of names also of the update, for the modality that it is of."""
        own = super().makers(data, m)
        return (*own, "fusion.trained.") if data.cohort.modalities[m] in self.adapted(data.cohort) else own

    def loss(self, fusion: object, fused: Fused, present: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the sum of CLIP's losses over the pairs."""
        assert isinstance(fusion, AdaptedVectors)  # of `MoreDesign`
        return {"align": pairwise(fused.extras["vectors"], present, fusion.scale())}
