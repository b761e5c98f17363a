"""DARE: drop random entries of each task vector and rescale the rest (arXiv 2311.03099), alone or before TIES."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from chiasm.merging.masks import random
from chiasm.merging.option_checks import require_finite, require_share
from chiasm.merging.task_vectors import added, agreed, summed, task_vector
from chiasm.protocols import Citation

State = Mapping[str, Tensor]


@dataclass(frozen=True)
class Dare:
    """`theta_0 + scale sum_i w_i m_i tau_i / density`, `m_i` of independent Bernoulli entries; unbiased over seeds.

    Args:
        density: the probability that an entry is kept, the paper's `1 - p`.
        scale: of the merged vector.
        normalize: scale the weights to sum one.
        seed: of the masks; see `masks.random`.
    """

    density: float = 0.5
    scale: float = 1.0
    normalize: bool = True
    seed: int = 0

    id: ClassVar[str] = "dare"
    needs_base: ClassVar[bool] = True
    paper: ClassVar[Citation] = Citation(
        "Language Models are Super Mario: Absorbing Abilities from Homologous Models as a Free Lunch", "ICML", 2024,
        "https://arxiv.org/abs/2311.03099",
    )  # fmt: skip

    def __post_init__(self) -> None:
        require_share("density", self.density)
        require_finite("scale", self.scale)

    @property
    def reach(self) -> float:
        """How far statistics move from the base to the mean."""
        return self.scale

    def dropped(self, state: State, base: State) -> dict[str, Tensor]:
        """`m tau / density` of one model."""
        vector = random(task_vector(state, base), self.density, self.seed)
        return {key: value / self.density for key, value in vector.items()}

    def __call__(self, states: Sequence[State], weights: Sequence[float], base: State) -> dict[str, Tensor]:
        """States in double precision."""
        vectors = [self.dropped(state, base) for state in states]
        return added(base, summed(vectors, weights, self.normalize), self.scale)


@dataclass(frozen=True)
class DareTies(Dare):
    """DARE's masks and factor, then the sign election of TIES."""

    id: ClassVar[str] = "dare-ties"

    def __call__(self, states: Sequence[State], weights: Sequence[float], base: State) -> dict[str, Tensor]:
        """States in double precision."""
        vectors = [self.dropped(state, base) for state in states]
        return added(base, agreed(vectors, weights, self.normalize), self.scale)
