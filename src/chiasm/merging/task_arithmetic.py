"""Task arithmetic: what each model learned since the base, added up (Ilharco et al., arXiv 2212.04089)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from chiasm.merging.masks import GRANULARITIES, kept, largest
from chiasm.merging.option_checks import require_finite, require_one_of, require_share
from chiasm.merging.task_vectors import added, summed, task_vector
from chiasm.protocols import Citation

State = Mapping[str, Tensor]


@dataclass(frozen=True)
class TaskArithmetic:
    """`theta_0 + scale sum_i w_i tau_i`, with `tau_i = theta_i - theta_0`.

    With `normalize` the weights are scaled to sum one, so that a model merged with itself is itself; the paper's sum is
    `scale=0.4,normalize=false`, and a negative scale forgets. With one model it is WiSE-FT at `alpha = scale`.

    Args:
        scale: of the merged vector.
        normalize: scale the weights to sum one.
        density: of each vector, the share of largest size that is added; peft calls this `magnitude_prune`.
        granularity: of what the density is a share: tensor, row or model.
    """

    scale: float = 1.0
    normalize: bool = True
    density: float = 1.0
    granularity: str = "tensor"

    id: ClassVar[str] = "task-arithmetic"
    needs_base: ClassVar[bool] = True
    paper: ClassVar[Citation] = Citation(
        "Editing Models with Task Arithmetic", "ICLR", 2023, "https://arxiv.org/abs/2212.04089"
    )

    def __post_init__(self) -> None:
        require_finite("scale", self.scale)
        require_share("density", self.density)
        require_one_of("granularity", self.granularity, GRANULARITIES)

    @property
    def reach(self) -> float:
        """How far statistics move from the base to the mean."""
        return self.scale

    def __call__(self, states: Sequence[State], weights: Sequence[float], base: State) -> dict[str, Tensor]:
        """States in double precision."""
        vectors = [kept(task_vector(state, base), largest(self.density), self.granularity) for state in states]
        return added(base, summed(vectors, weights, self.normalize), self.scale)
