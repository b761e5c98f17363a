"""`mirror`: modalities aligned, what each says alone retained, and their styles clustered (MIRROR, IEEE TMI 2025)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from chiasm.artifact import storable
from chiasm.fitting.neural import Prepared, Shapes, check_size
from chiasm.fitting.row import Row
from chiasm.fusion.mirror import Mirror, Style
from chiasm.objectives.contrastive import pairwise
from chiasm.objectives.prototypes import standard_divergence, symmetric_divergence
from chiasm.objectives.retention import hidden_tokens, masked_reconstruction
from chiasm.protocols import Fused
from chiasm.recipes.alignment import ROWS
from chiasm.recipes.alignment.aligned import AlignedRecipe

ALIGN, HIDDEN = 0.5, 0.75  # the paper's weight of the alignment, and share of the tokens that are hidden


@storable("mirror")
@dataclass(frozen=True)
class MirrorDesign:
    """Width of the vectors, the temperature at the start, the number of prototypes, and which terms are trained."""

    latent_width: int
    temperature: float
    prototypes: int
    retained: bool
    style: bool
    cluster: bool

    def __post_init__(self) -> None:
        check_size("latent_width", self.latent_width)
        check_size("prototypes", self.prototypes)

    def fusion(self, shapes: Shapes, dropout: float = 0.0) -> Mirror:
        """Create a fresh fusion module of this size."""
        return Mirror(
            shapes, self.latent_width, dropout, temperature=self.temperature, prototypes=self.prototypes,
            retained=self.retained, style=self.style, cluster=self.cluster,
        )  # fmt: skip


@dataclass(frozen=True)
class MirrorRecipe(AlignedRecipe):
    """CLIP's loss of the pairs, masked reconstruction of each modality's latents, and styles over common prototypes.

    Args:
        modality, latent_width, share, temperature, tune: as in `AlignedRecipe`.
        dropout, epochs, patience, batch, learning_rate, weight_decay, modality_dropout: as in `NetworkRecipe`.
        retention: weight of the reconstruction of a modality; 0: align alone.
        style, cluster: weights of the divergence of the styles from a standard normal, and between two modalities.
        detach: stop the gradient through the latents that are to be reconstructed.
        prototypes: K.
    """

    retention: float = 0.1
    style: float = 0.1
    cluster: float = 0.2
    detach: bool = True
    prototypes: int = 64

    row: ClassVar[Row] = ROWS["mirror"]

    def __post_init__(self) -> None:
        super().__post_init__()
        check_size("prototypes", self.prototypes)
        for name, weight in (("retention", self.retention), ("style", self.style), ("cluster", self.cluster)):
            if not 0.0 <= weight < math.inf:
                raise ValueError(f"{name}={weight} is not known: a weight is 0 or more, and finite")

    def design(self) -> MirrorDesign:
        """Return the sizes of the network."""
        weights = (self.retention, self.style, self.cluster)
        retained, style, cluster = (weight > 0 for weight in weights)
        return MirrorDesign(self.latent_width, self.temperature, self.prototypes, retained, style, cluster)

    def learners(self, data: Prepared) -> NDArray[np.bool_]:
        """Return the patients of the first phase: all who are trained on, where retention needs no second modality."""
        return np.asarray(~data.held_out) if self.retention else super().learners(data)

    def met(self, data: Prepared) -> NDArray[np.bool_]:
        """Return the modalities `(M,)` of which the first phase learns: with retention all that a learner has."""
        return np.asarray(data.present[self.learners(data)].any(0)) if self.retention else super().met(data)

    def idle(self, data: Prepared) -> tuple[str, ...]:
        """Return the names' beginnings also of styles that nobody has two modalities to compare, or nobody to learn."""
        idle = super().idle(data)
        if idle and self.style and self.learners(data).any():
            return (*idle, "style.decoder.", "style.prototypes")
        return (*idle, "style.") if idle else ()

    def loss(self, fusion: object, fused: Fused, present: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the terms of alignment, retention, style and clusters, each with its weight."""
        assert isinstance(fusion, Mirror)  # of `design`
        vectors = fused.extras["vectors"]
        terms = {"align": ALIGN * pairwise(vectors, present, fusion.scale())}
        if self.retention:
            terms["retention"] = self.retention * self.retained(fusion, fused, generator)
        if fusion.style is not None:
            style, cluster = styles(fusion.style, vectors, present, generator)
            terms |= {"style": self.style * style, "cluster": self.cluster * cluster}
        return terms

    def retained(self, fusion: Mirror, fused: Fused, generator: torch.Generator) -> Tensor:
        """Return the sum over the modalities of the masked reconstruction of their latents."""
        losses = []
        for m, name in enumerate(fusion.names):
            latents, mask = fused.latents[name], fused.extras[f"mask:{m}"]
            visible, hidden = hidden_tokens(mask, HIDDEN, generator)
            found = fusion.predicted(m, latents, visible)
            losses.append(masked_reconstruction(found, latents, hidden, detach=self.detach))
        return torch.stack(losses).sum()


def styles(style: Style, vectors: Tensor, present: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return two sums: of the styles' divergences over the modalities, and of the clusters' over the pairs of them.

    The second is zero without prototypes.
    """
    count = vectors.shape[1]
    told = [style(vectors[:, m]) for m in range(count)]
    own = [standard_divergence(told[m][0][present[:, m]], told[m][1][present[:, m]]) for m in range(count)]
    if not style.count:
        return torch.stack(own).sum(), vectors[:0].sum()
    near, pairs = [style.similar(mean, spread, generator) for mean, spread in told], []
    for a, b in combinations(range(count), 2):
        both = present[:, a] & present[:, b]
        pairs.append(symmetric_divergence(near[a][both], near[b][both]))
    return torch.stack(own).sum(), torch.stack(pairs).sum()
