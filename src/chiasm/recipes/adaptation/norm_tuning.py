"""`norm-tuning`: tuning of only the scale and shift of every norm of an encoder (ICLR 2024, arXiv 2312.11420)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from chiasm.adapters import ScaleShift
from chiasm.adapters.sites import norms
from chiasm.encoders.adaptable import Trunk
from chiasm.fitting.row import Row
from chiasm.recipes.adaptation import ROWS
from chiasm.recipes.adaptation.adapted import Adaptation, AdaptedRecipe


@dataclass(frozen=True)
class NormTuningRecipe(AdaptedRecipe):
    """Norm tuning: `gamma' * n(x) + beta'` for every norm n, as peft's `NormTuning` learns for LayerNorms."""

    row: ClassVar[Row] = ROWS["norm-tuning"]

    def adaptation(self, trunk: Trunk) -> Adaptation:
        """Adapt every layer, group and batch norm."""
        found = norms(trunk.network)
        if not found:
            raise ValueError("it has no layer, group or batch norm with weights")
        return Adaptation(ScaleShift(), found)
