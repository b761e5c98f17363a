"""Full fine-tuning: every weight of an encoder that its tokens depend on. A reference for recipes that train less."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from chiasm.encoders.adaptable import Trunk
from chiasm.protocols import Citation
from chiasm.recipes.adapted import Adaptation, AdaptedRecipe


@dataclass(frozen=True)
class FullTuning(AdaptedRecipe):
    """All of the network is trained, with its dropout and, where it has them, its running statistics."""

    learning_rate: float = 1e-4

    id: ClassVar[str] = "full-tuning"
    paper: ClassVar[Citation] = Citation(
        "Universal Language Model Fine-tuning for Text Classification",
        "ACL",
        2018,
        "https://arxiv.org/abs/1801.06146",
    )

    def adaptation(self, trunk: Trunk) -> Adaptation:
        """Everything."""
        return Adaptation(full=True)
