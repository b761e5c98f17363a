"""DARE: drop random entries of each task vector and rescale the rest (arXiv 2311.03099), alone or before TIES."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from chiasm.citation import Citation
from chiasm.merging.masks import random
from chiasm.merging.vector_method import VectorMethod


@dataclass(frozen=True)
class Dare(VectorMethod):
    """DARE merge `theta_0 + scale sum_i w_i m_i tau_i / density` with Bernoulli masks `m_i`; unbiased over seeds.

    Args:
        density: the probability that an entry is kept, the paper's `1 - p`.
        scale: factor of the merged vector.
        normalize: scale the weights to sum to one.
        seed: seed of the masks; see `masks.random`.
    """

    density: float = 0.5
    seed: int = 0

    id: ClassVar[str] = "dare"
    paper: ClassVar[Citation] = Citation(
        "Language Models are Super Mario: Absorbing Abilities from Homologous Models as a Free Lunch", "ICML", 2024,
        "https://arxiv.org/abs/2311.03099",
    )  # fmt: skip

    def thinned(self, vector: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Drop random entries and rescale the others: `m tau / density`."""
        return {key: value / self.density for key, value in random(vector, self.density, self.seed).items()}


@dataclass(frozen=True)
class DareTies(Dare):
    """DARE merge followed by the sign election of TIES."""

    id: ClassVar[str] = "dare-ties"
    elects: ClassVar[bool] = True
