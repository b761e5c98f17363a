"""Merging methods `linear` and `slerp`: means of each tensor separately, without a base."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from chiasm.citation import Citation
from chiasm.merging.states import tensor_by_tensor
from chiasm.merging.tensors import linear_mean, spherical_mean

State = Mapping[str, Tensor]


@dataclass(frozen=True)
class Mean:
    """Common base of methods that average each tensor separately, by the function `mean`."""

    id: ClassVar[str]
    paper: ClassVar[Citation]
    mean: ClassVar[staticmethod[..., Tensor]]
    needs_base: ClassVar[bool] = False
    reach: ClassVar[float] = 1.0

    def __call__(self, states: Sequence[State], weights: Sequence[float], base: State) -> dict[str, Tensor]:
        """Merge states given in double precision; the base is not used."""
        return tensor_by_tensor(self.mean, states, weights, base)


@dataclass(frozen=True)
class Linear(Mean):
    """Linear mean of models, `sum_i w_i theta_i / sum_i w_i`; with equal weights, the uniform soup."""

    id: ClassVar[str] = "linear"
    mean: ClassVar[staticmethod[..., Tensor]] = staticmethod(linear_mean)
    paper: ClassVar[Citation] = Citation(
        "Model soups: averaging weights of multiple fine-tuned models improves accuracy without increasing inference "
        "time", "ICML", 2022, "https://arxiv.org/abs/2203.05482",
    )  # fmt: skip


@dataclass(frozen=True)
class Slerp(Mean):
    """Spherical mean of models: directions averaged on the sphere, norms linearly; generalised to more than two."""

    id: ClassVar[str] = "slerp"
    mean: ClassVar[staticmethod[..., Tensor]] = staticmethod(spherical_mean)
    paper: ClassVar[Citation] = Citation(
        "Animating rotation with quaternion curves", "SIGGRAPH", 1985, "https://doi.org/10.1145/325165.325242"
    )
