"""DVPT (arXiv 2307.09787): learned queries that ask each sample's own tokens what to add to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from chiasm.adapters import DynamicPrompt
from chiasm.adapters.sites import blocks
from chiasm.encoders.adaptable import Trunk
from chiasm.fitting.row import Row
from chiasm.recipes.adaptation import ROWS
from chiasm.recipes.adaptation.adapted import Adaptation, AdaptedRecipe


@dataclass(frozen=True)
class DynamicPromptRecipe(AdaptedRecipe):
    """`f(x) + gate * up(...)` at every block f: queries gather what is a sample's own and hand it back to its tokens.

    Args:
        prompts: how many queries.
        width: of the narrow path.
        share: blocks that share one path.
        attend: False leaves out the queries, as the released code does.
    """

    prompts: int = 10
    width: int = 20
    share: int = 3
    attend: bool = True

    row: ClassVar[Row] = ROWS["dvpt"]

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.prompts, self.width, self.share) < 1:
            raise ValueError("prompts, width and share must be 1 or more")

    def adaptation(self, trunk: Trunk) -> Adaptation:
        """At every block."""
        if self.attend and trunk.pads:
            raise ValueError("its inputs are padded, and the queries would read what stands there: take attend=false")
        adapter = DynamicPrompt(self.prompts, self.width, self.share, self.attend)
        return Adaptation(adapter, blocks(trunk.network))
