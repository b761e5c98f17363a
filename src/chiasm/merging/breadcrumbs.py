"""Model Breadcrumbs: of each task vector neither the outliers nor the small entries (arXiv 2312.06795)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from chiasm.merging.masks import GRANULARITIES, below_largest, kept
from chiasm.merging.option_checks import require_finite, require_one_of, require_share
from chiasm.merging.task_vectors import added, summed, task_vector
from chiasm.protocols import Citation

State = Mapping[str, Tensor]


@dataclass(frozen=True)
class Breadcrumbs:
    """`theta_0 + scale sum_i w_i m_i tau_i`, `m_i` zero on the largest `outliers` and on all but `density` of the rest.

    Both are shares of all entries. The paper's setting is `scale=0.4,normalize=false`: its sum has weights one.

    Args:
        density: the share that is kept, the paper's beta; `density + outliers` is at most one.
        outliers: the share of largest size that is set aside, the paper's gamma; 0 sets nothing aside.
        scale: of the merged vector, the paper's alpha.
        normalize: scale the weights to sum one.
        granularity: of what they are shares: tensor (the paper's text), row (its code, along the last axis), or model.
    """

    density: float = 0.2
    outliers: float = 0.1
    scale: float = 1.0
    normalize: bool = True
    granularity: str = "tensor"

    id: ClassVar[str] = "breadcrumbs"
    needs_base: ClassVar[bool] = True
    paper: ClassVar[Citation] = Citation(
        "Model Breadcrumbs: Scaling Multi-Task Model Merging with Sparse Masks", "ECCV", 2024,
        "https://arxiv.org/abs/2312.06795",
    )  # fmt: skip

    def __post_init__(self) -> None:
        require_share("density", self.density)
        require_share("outliers", self.outliers, zero=True)
        require_finite("scale", self.scale)
        require_one_of("granularity", self.granularity, GRANULARITIES)
        if self.density + self.outliers > 1 + 1e-9:
            raise ValueError(
                f"density {self.density:g} and outliers {self.outliers:g} are more than all entries: lower one"
            )

    @property
    def reach(self) -> float:
        """How far statistics move from the base to the mean."""
        return self.scale

    def __call__(self, states: Sequence[State], weights: Sequence[float], base: State) -> dict[str, Tensor]:
        """States in double precision."""
        mask = below_largest(self.outliers, self.density)
        vectors = [kept(task_vector(state, base), mask, self.granularity) for state in states]
        return added(base, summed(vectors, weights, self.normalize), self.scale)
