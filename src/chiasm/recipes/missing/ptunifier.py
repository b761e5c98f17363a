"""`ptunifier`: PTUnifier (ICCV 2023, arXiv 2302.08958), in which prompts from a pool stand for an absent modality."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from chiasm.fitting.row import Row
from chiasm.recipes.missing import ROWS
from chiasm.recipes.missing.stand_ins import StandInRecipe


@dataclass(frozen=True)
class PTUnifierRecipe(StandInRecipe):
    """Transformer in which prompts that resemble what a patient has stand for what he lacks.

    Args: those of `StandInRecipe`.
    """

    missing: str = "pool"

    row: ClassVar[Row] = ROWS["ptunifier"]
