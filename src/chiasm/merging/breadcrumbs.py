"""Model Breadcrumbs: add task vectors without their outliers and their small entries (arXiv 2312.06795)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from chiasm.citation import Citation
from chiasm.merging.masks import GRANULARITIES, below_largest, kept
from chiasm.merging.option_checks import require_one_of, require_share
from chiasm.merging.vector_method import VectorMethod


@dataclass(frozen=True)
class Breadcrumbs(VectorMethod):
    """Breadcrumbs merge `theta_0 + scale sum_i w_i m_i tau_i` with masks `m_i`.

    A mask drops the largest entries, a share `outliers`, and keeps the next largest, a share `density`; both are shares
    of all entries. The paper's setting is `scale=0.4,normalize=false`: its sum has weights one.

    Args:
        density: the share kept, the paper's beta; `density + outliers` is at most one.
        outliers: the share of largest magnitude that is dropped, the paper's gamma.
        scale: factor of the merged vector, the paper's alpha.
        normalize: scale the weights to sum to one.
        granularity: unit of the shares: tensor (the paper's text), row (its code, along the last axis), or model.
    """

    density: float = 0.2
    outliers: float = 0.1
    granularity: str = "tensor"

    id: ClassVar[str] = "breadcrumbs"
    paper: ClassVar[Citation] = Citation(
        "Model Breadcrumbs: Scaling Multi-Task Model Merging with Sparse Masks", "ECCV", 2024,
        "https://arxiv.org/abs/2312.06795",
    )  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        require_share("outliers", self.outliers, zero=True)
        require_one_of("granularity", self.granularity, GRANULARITIES)
        if self.density + self.outliers > 1 + 1e-9:
            raise ValueError(
                f"density {self.density:g} and outliers {self.outliers:g} are more than all entries: lower one"
            )

    def thinned(self, vector: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Keep the largest entries after dropping the outliers."""
        return kept(vector, below_largest(self.outliers, self.density), self.granularity)
