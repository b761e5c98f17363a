"""`noise-mask`: policy-gradient noise masks (arXiv 2406.14568), image masks learned to improve training."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from chiasm.adapters import BetaMaskPolicy
from chiasm.cohort import Cohort, Unsupported
from chiasm.compute.isolation import seeded
from chiasm.encoders.adaptable import InputsAsTheyAre, Trunk
from chiasm.encoders.image.monai import MonaiNetwork
from chiasm.encoders.text.huggingface import HuggingFace
from chiasm.fitting.base import Training
from chiasm.fitting.neural import Prepared, build, finish, new_head
from chiasm.fitting.row import Row
from chiasm.heads.response import Response
from chiasm.protocols import Predictor
from chiasm.recipes.adaptation import ROWS
from chiasm.recipes.adaptation.adapted import Adaptation, AdaptedRecipe, adapted_fusion
from chiasm.recipes.adaptation.lora import LoRARecipe
from chiasm.training import Network, Phase
from chiasm.training.masked_images import POLICIES, MaskedFusion, MaskReward

PIXELS = (HuggingFace, MonaiNetwork)


@dataclass(frozen=True)
class NoiseMask(AdaptedRecipe):
    """Train with image masks drawn by a policy, then drop the policy and train on without masks.

    Args:
        rank, alpha: rank and scale of LoRA at every map of the image networks; `rank=0` trains the whole networks.
        mask_epochs: maximum number of epochs with masks, followed by at most `epochs` without.
        grid: number of mask cells along each side.
        blur: standard deviation of the mask's blur, in pixels.
    """

    rank: int = 8
    alpha: float = 16.0
    mask_epochs: int = 10
    grid: int = 4
    blur: float = 1.0

    row: ClassVar[Row] = ROWS["noise-mask"]

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rank < 0 or self.mask_epochs < 1:
            raise ValueError("rank is 0 or more, and mask_epochs 1 or more")
        BetaMaskPolicy(1, (self.grid, self.grid), blur=self.blur)

    def adapted(self, cohort: Cohort) -> dict[str, InputsAsTheyAre]:
        """Return the image modalities whose network reads whole images as pixels, which can be masked."""
        found = super().adapted(cohort)
        return {name: own for name, own in found.items() if own.kind == "image" and isinstance(own.encoder(), PIXELS)}

    def supports(self, cohort: Cohort) -> None:
        """Raise `Unsupported` if the target is not a classification, or no image encoder is a network."""
        if cohort.target is not None and cohort.target.kind != "classification":
            raise Unsupported("the reward of a mask is the cross entropy of a class: take a classification target")
        super().supports(cohort)
        if not self.adapted(cohort.with_modalities(self.modalities(cohort))):
            raise Unsupported("masks are for images whose encoder is a network that reads pixels: hf:folder, or monai")

    def adaptation(self, trunk: Trunk) -> Adaptation:
        """Adapt every map as `lora` does, or train every weight if the rank is 0."""
        if not self.rank:
            return Adaptation(full=True)
        return LoRARecipe(rank=self.rank, alpha=self.alpha, where="all").adaptation(trunk)

    def phases(self, data: Prepared) -> tuple[Phase, ...]:
        """Return the phase with masks, and the one without, in which the policies rest."""
        masks = replace(self.training_options, epochs=self.mask_epochs)
        return (
            Phase(masks, MaskReward(), name="masked"),
            Phase(self.training_options, trainable=lambda name: not name.startswith(POLICIES), name="plain"),
        )

    def learn(self, training: Training) -> tuple[Predictor, Response]:
        """Train both phases; the policies are dropped afterwards."""
        data, design, trunks = self.prepared(training)
        fusion = build(
            lambda: adapted_fusion(design, trunks, data.shapes, self.dropout), seeded(training.seed, "fusion")
        )
        shapes: dict[str, Any] = {name: trunk.shape for name, trunk in trunks.items()}
        masked = build(lambda: MaskedFusion(fusion, shapes, self.grid, self.blur), seeded(training.seed, "policy"))
        head = new_head(training, self.latent_width, seeded(training.seed, "head"))
        self.run(training, data, Network(masked, head), self.phases(data))
        return finish(training, data, Network(fusion, head), design)
