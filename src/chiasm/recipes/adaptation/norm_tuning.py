"""Tuned norms (ICLR 2024, arXiv 2312.11420): the scale and the shift of every norm of an encoder, and nothing else."""

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
    """`gamma' * n(x) + beta'` for every norm n: what peft's `NormTuning` learns on LayerNorms, for all norms."""

    row: ClassVar[Row] = ROWS["norm-tuning"]

    def adaptation(self, trunk: Trunk) -> Adaptation:
        """At every layer, group and batch norm."""
        found = norms(trunk.network)
        if not found:
            raise ValueError("it has no layer, group or batch norm with weights")
        return Adaptation(ScaleShift(), found)
