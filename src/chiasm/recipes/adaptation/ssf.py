"""SSF (NeurIPS 2022, arXiv 2210.08823): a scale and a shift for every channel of every layer of an encoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, cast

from torch import nn

from chiasm.adapters import ScaleShift
from chiasm.adapters.sites import MAPS, NORMS, layers
from chiasm.encoders.adaptable import Trunk
from chiasm.fitting.base import choice
from chiasm.fitting.row import Row
from chiasm.recipes.adaptation import ROWS
from chiasm.recipes.adaptation.adapted import Adaptation, AdaptedRecipe

STARTS = ("identity", "paper")


@dataclass(frozen=True)
class ScaleShiftRecipe(AdaptedRecipe):
    """`gamma * f(x) + beta` after every linear map, convolution, attention projection and norm.

    Args:
        start: "identity", or "paper": drawn round the identity with a deviation of 0.02.
    """

    start: str = "identity"

    row: ClassVar[Row] = ROWS["ssf"]

    def __post_init__(self) -> None:
        super().__post_init__()
        choice("start", self.start, STARTS)

    def adaptation(self, trunk: Trunk) -> Adaptation:
        """At every layer with channels."""
        unknown = sorted({type(own).__name__ for own in trunk.network.modules() if _unknown(own)})
        if unknown:
            raise ValueError(f"its {unknown[0]} is a map that scale and shift do not know: they would leave it out")
        start = cast(Literal["identity", "paper"], self.start)
        return Adaptation(ScaleShift(start=start), layers(trunk.network))


def _unknown(module: nn.Module) -> bool:
    """Whether a module maps by a matrix of its own and is no layer that is known; an embedding maps nothing."""
    weight = module._parameters.get("weight")
    return weight is not None and weight.dim() > 1 and not isinstance(module, (*MAPS, *NORMS, nn.Embedding))
