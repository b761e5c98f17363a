"""`linear` and `slerp` as methods: each tensor by itself, without a base."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from chiasm.merging.states import tensor_by_tensor
from chiasm.merging.tensors import linear_mean, spherical_mean
from chiasm.protocols import Citation

State = Mapping[str, Tensor]


@dataclass(frozen=True)
class Linear:
    """The uniform soup, or with weights the linear mean: `sum_i w_i theta_i / sum_i w_i`."""

    id: ClassVar[str] = "linear"
    needs_base: ClassVar[bool] = False
    reach: ClassVar[float] = 1.0
    paper: ClassVar[Citation] = Citation(
        "Model soups: averaging weights of multiple fine-tuned models improves accuracy without increasing inference "
        "time", "ICML", 2022, "https://arxiv.org/abs/2203.05482",
    )  # fmt: skip

    def __call__(self, states: Sequence[State], weights: Sequence[float], base: State) -> dict[str, Tensor]:
        """The mean of states in double precision."""
        return tensor_by_tensor(linear_mean, states, weights, base)


@dataclass(frozen=True)
class Slerp:
    """Directions are averaged on the sphere and norms linearly; more than two by the generalised mean."""

    id: ClassVar[str] = "slerp"
    needs_base: ClassVar[bool] = False
    reach: ClassVar[float] = 1.0
    paper: ClassVar[Citation] = Citation(
        "Animating rotation with quaternion curves", "SIGGRAPH", 1985, "https://doi.org/10.1145/325165.325242"
    )

    def __call__(self, states: Sequence[State], weights: Sequence[float], base: State) -> dict[str, Tensor]:
        """The spherical mean of states in double precision."""
        return tensor_by_tensor(spherical_mean, states, weights, base)
