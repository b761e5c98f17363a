"""`dispro`: DisPro (CVPR 2025, arXiv 2503.01653), placeholders that learn from the prompts of their modality."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from chiasm.fitting.row import Row
from chiasm.recipes.missing import ROWS
from chiasm.recipes.missing.stand_ins import StandInRecipe


@dataclass(frozen=True)
class DisProRecipe(StandInRecipe):
    """Transformer in which placeholders stand for an absent modality, and learn from its prompts what it says.

    Args: those of `StandInRecipe`.
    """

    missing: str = "distilled"

    row: ClassVar[Row] = ROWS["dispro"]
