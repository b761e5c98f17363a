"""TIES: trim each task vector, elect a sign for each entry, average those that agree (arXiv 2306.01708)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from chiasm.merging.masks import GRANULARITIES, kept, largest
from chiasm.merging.option_checks import require_finite, require_one_of, require_share
from chiasm.merging.task_vectors import added, agreed, task_vector
from chiasm.protocols import Citation

State = Mapping[str, Tensor]


@dataclass(frozen=True)
class Ties:
    """`theta_0 + scale tau`, `tau` the mean of the trimmed vectors whose sign has most mass, entry by entry.

    `gamma = sgn(sum_i w_i trim(tau_i))`, `tau = sum_{i: sgn = gamma} w_i tau_i / sum_{i: sgn = gamma} w_i`. Where the
    mass cancels, `sgn(0) = 0` elects nobody, as the paper's formula says; peft and mergekit take the positive ones.

    Args:
        density: the share of each vector that is kept, of largest size; the paper's 0.2.
        scale: of the merged vector, the paper's lambda.
        normalize: divide by the weights of those that agree.
        granularity: of what the density is a share: tensor (as peft and mergekit), row, or model (the paper's code).
    """

    density: float = 0.2
    scale: float = 1.0
    normalize: bool = True
    granularity: str = "tensor"

    id: ClassVar[str] = "ties"
    needs_base: ClassVar[bool] = True
    paper: ClassVar[Citation] = Citation(
        "TIES-Merging: Resolving Interference When Merging Models", "NeurIPS", 2023, "https://arxiv.org/abs/2306.01708"
    )

    def __post_init__(self) -> None:
        require_share("density", self.density)
        require_finite("scale", self.scale)
        require_one_of("granularity", self.granularity, GRANULARITIES)

    @property
    def reach(self) -> float:
        """How far statistics move from the base to the mean."""
        return self.scale

    def __call__(self, states: Sequence[State], weights: Sequence[float], base: State) -> dict[str, Tensor]:
        """States in double precision."""
        vectors = [kept(task_vector(state, base), largest(self.density), self.granularity) for state in states]
        return added(base, agreed(vectors, weights, self.normalize), self.scale)
