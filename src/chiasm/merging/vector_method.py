"""What the methods on task vectors share: their options, and the way from the models to the merged one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from chiasm.citation import Citation
from chiasm.merging.option_checks import require_finite, require_share
from chiasm.merging.task_vectors import added, agreed, summed, task_vector

State = Mapping[str, Tensor]


@dataclass(frozen=True)
class VectorMethod(ABC):
    """`theta_0 + scale tau`, with `tau` the sum of the thinned task vectors, or of those that agree on a sign.

    Args:
        density: the share of each vector that is kept; which entries, each method says.
        scale: of the merged vector.
        normalize: scale the weights to sum one.
    """

    density: float = 1.0
    scale: float = 1.0
    normalize: bool = True

    id: ClassVar[str]
    paper: ClassVar[Citation]
    needs_base: ClassVar[bool] = True
    elects: ClassVar[bool] = False
    """Whether a sign is elected for each entry, as TIES does."""

    def __post_init__(self) -> None:
        require_share("density", self.density)
        require_finite("scale", self.scale)

    @property
    def reach(self) -> float:
        """How far statistics move from the base to the mean."""
        return self.scale

    @abstractmethod
    def thinned(self, vector: State) -> dict[str, Tensor]:
        """What is kept of one task vector, zero elsewhere."""

    def __call__(self, states: Sequence[State], weights: Sequence[float], base: State) -> dict[str, Tensor]:
        """States in double precision."""
        vectors = [self.thinned(task_vector(state, base)) for state in states]
        together = agreed if self.elects else summed
        return added(base, together(vectors, weights, self.normalize), self.scale)
