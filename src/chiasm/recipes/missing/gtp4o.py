"""`gtp4o`: GTP-4o (ECCV 2024, arXiv 2407.05540), a graph of modalities; absent nodes are computed from the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from chiasm.fitting.row import Row
from chiasm.recipes.missing import ROWS
from chiasm.recipes.missing.stand_ins import StandInRecipe


@dataclass(frozen=True)
class GTP4oRecipe(StandInRecipe):
    """Attention with a relation for each pair of modalities; those present say what stands for an absent one.

    Args: those of `StandInRecipe`.
    """

    missing: str = "graph"

    row: ClassVar[Row] = ROWS["gtp4o"]
    needs_pairs: ClassVar[bool] = True

    @property
    def typed(self) -> bool:
        """True: each pair of modalities has a relation."""
        return True
