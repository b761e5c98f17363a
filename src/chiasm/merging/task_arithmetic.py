"""Task arithmetic: add the weighted task vectors of all models to the base (Ilharco et al., arXiv 2212.04089)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from chiasm.citation import Citation
from chiasm.merging.masks import GRANULARITIES, kept, largest
from chiasm.merging.option_checks import require_one_of
from chiasm.merging.vector_method import VectorMethod


@dataclass(frozen=True)
class TaskArithmetic(VectorMethod):
    """Task-arithmetic merge `theta_0 + scale sum_i w_i tau_i`, with `tau_i = theta_i - theta_0`.

    With `normalize` the weights are scaled to sum to one, so that a model merged with itself is unchanged; the paper's
    sum is `scale=0.4,normalize=false`, and a negative scale unlearns. With one model it is WiSE-FT at `alpha = scale`.

    Args:
        density: the share of each vector's entries, of largest magnitude, that is kept; peft's `magnitude_prune`.
        scale: factor of the merged vector.
        normalize: scale the weights to sum to one.
        granularity: unit of the density: tensor, row or model.
    """

    granularity: str = "tensor"

    id: ClassVar[str] = "task-arithmetic"
    paper: ClassVar[Citation] = Citation(
        "Editing Models with Task Arithmetic", "ICLR", 2023, "https://arxiv.org/abs/2212.04089"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        require_one_of("granularity", self.granularity, GRANULARITIES)

    def thinned(self, vector: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Keep the largest entries."""
        return kept(vector, largest(self.density), self.granularity)
