"""`ssf`: SSF (NeurIPS 2022, arXiv 2210.08823), a scale and a shift for every channel of every encoder layer."""

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
    """Scale and shift, `gamma * f(x) + beta`, after every linear map, convolution, attention projection and norm.

    Args:
        start: initial values: "identity", or "paper": drawn around the identity with standard deviation 0.02.
    """

    start: str = "identity"

    row: ClassVar[Row] = ROWS["ssf"]

    def __post_init__(self) -> None:
        super().__post_init__()
        choice("start", self.start, STARTS)

    def adaptation(self, trunk: Trunk) -> Adaptation:
        """Adapt every layer with channels; raise `ValueError` if a module with weights is of an unknown type."""
        unknown = sorted({type(own).__name__ for own in trunk.network.modules() if _unknown(own)})
        if unknown:
            raise ValueError(f"its {unknown[0]} is a map that scale and shift do not know: they would leave it out")
        start = cast(Literal["identity", "paper"], self.start)
        return Adaptation(ScaleShift(start=start), layers(trunk.network))


def _unknown(module: nn.Module) -> bool:
    """True if a module has a weight matrix and is not of a known type; embeddings do not count."""
    weight = module._parameters.get("weight")
    return weight is not None and weight.dim() > 1 and not isinstance(module, (*MAPS, *NORMS, nn.Embedding))
