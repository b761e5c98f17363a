"""Common base of the methods on task vectors: their shared options, and the merge of the models."""

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
    """Merge `theta_0 + scale tau`, with `tau` the sum of the sparsified task vectors, or of those that agree on a sign.

    Args:
        density: the share of each vector that is kept; each method defines which entries.
        scale: factor of the merged vector.
        normalize: scale the weights to sum to one.
    """

    density: float = 1.0
    scale: float = 1.0
    normalize: bool = True

    id: ClassVar[str]
    paper: ClassVar[Citation]
    needs_base: ClassVar[bool] = True
    elects: ClassVar[bool] = False
    """True if a sign is elected for each entry, as in TIES."""

    def __post_init__(self) -> None:
        require_share("density", self.density)
        require_finite("scale", self.scale)

    @property
    def reach(self) -> float:
        """Fraction by which batch-norm statistics move from the base to the mean."""
        return self.scale

    @abstractmethod
    def thinned(self, vector: State) -> dict[str, Tensor]:
        """Sparsify one task vector: return its kept entries, with zeros elsewhere."""

    def __call__(self, states: Sequence[State], weights: Sequence[float], base: State) -> dict[str, Tensor]:
        """Merge states given in double precision with their base."""
        vectors = [self.thinned(task_vector(state, base)) for state in states]
        together = agreed if self.elects else summed
        return added(base, together(vectors, weights, self.normalize), self.scale)
