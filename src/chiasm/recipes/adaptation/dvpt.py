"""`dvpt`: dynamic visual prompt tuning (arXiv 2307.09787), learned queries that attend to each sample's tokens."""

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
    """DVPT at every block f: `f(x) + gate * up(...)`; queries gather sample-specific content and add it to the tokens.

    Args:
        prompts: number of queries.
        width: width of the bottleneck path.
        share: number of blocks that share one path.
        attend: False omits the queries, as the released code does.
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
        """Adapt every block."""
        if self.attend and trunk.pads:
            raise ValueError("its inputs are padded, and the queries would read what stands there: take attend=false")
        adapter = DynamicPrompt(self.prompts, self.width, self.share, self.attend)
        return Adaptation(adapter, blocks(trunk.network))
