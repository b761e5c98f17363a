"""`gmai-vl`: GMAI-VL (arXiv 2411.14522), a connector, then the encoder's last layers with it, then everything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from chiasm.fitting.row import Row
from chiasm.language.curriculum import ADAPTER, CONNECTOR, LANGUAGE, TOWER, Stage
from chiasm.language.language_model import LanguageModel
from chiasm.recipes.language import ROWS
from chiasm.recipes.language.connected import ConnectedRecipe, Questions


@dataclass(frozen=True)
class GmaiVl(ConnectedRecipe):
    """Three stages: the connector, the connector and a layer upon the encoder, and these with the language model."""

    row: ClassVar[Row] = ROWS["gmai-vl"]

    @property
    def tower(self) -> bool:
        return True

    def stages(self, asked: Questions, language: LanguageModel, soft: int) -> list[Stage]:
        """Align shallowly, then deeply, then instruct, on the same questions."""
        examples = asked.examples(language, soft)
        return [
            Stage("shallow", (CONNECTOR,), examples, self.options(self.learning_rate, 0.5)),
            Stage("deep", (CONNECTOR, TOWER), examples, self.options(self.learning_rate, 0.5)),
            Stage("instruct", (CONNECTOR, TOWER, ADAPTER, LANGUAGE), examples, self.options(self.tuned_rate, 0.5)),
        ]
