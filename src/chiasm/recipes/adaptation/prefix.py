"""`prefix`: prefix tuning (ACL 2021, arXiv 2101.00190), learned keys and values in every layer of a text model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from chiasm.adapters import Prefix
from chiasm.encoders.adaptable import Trunk
from chiasm.encoders.text.causal import cache_name
from chiasm.fitting.row import Row
from chiasm.recipes.adaptation import ROWS
from chiasm.recipes.adaptation.adapted import Adaptation, AdaptedRecipe


@dataclass(frozen=True)
class PrefixRecipe(AdaptedRecipe):
    """Prefix tuning: every token also attends to `tokens` learned keys and values in each layer.

    Args:
        tokens: number of learned keys and values per layer.
    """

    tokens: int = 8

    row: ClassVar[Row] = ROWS["prefix"]

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.tokens < 1:
            raise ValueError(f"tokens={self.tokens} must be 1 or more")

    def adaptation(self, trunk: Trunk) -> Adaptation:
        """Adapt the whole network; raise `ValueError` if it does not accept a key/value cache."""
        if cache_name(trunk.network) is None:
            raise ValueError("it takes no keys and values from before: prefixes need a text model such as BERT")
        return Adaptation(Prefix(self.tokens, "features"), ("",))
