"""`llava-med`: LLaVA-Med (NeurIPS 2023, arXiv 2306.00890), a connector first, then the language model with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from chiasm.fitting.row import Row
from chiasm.language.curriculum import ADAPTER, CONNECTOR, LANGUAGE, Stage
from chiasm.language.language_model import LanguageModel
from chiasm.recipes.language import ROWS
from chiasm.recipes.language.connected import ConnectedRecipe, Questions


@dataclass(frozen=True)
class LlavaMed(ConnectedRecipe):
    """Two stages: the connector alone, then the connector and the language model; the encoder stays frozen."""

    row: ClassVar[Row] = ROWS["llava-med"]

    def stages(self, asked: Questions, language: LanguageModel, soft: int) -> list[Stage]:
        """Align, then instruct, on the same questions."""
        examples = asked.examples(language, soft)
        return [
            Stage("align", (CONNECTOR,), examples, self.options(self.learning_rate)),
            Stage("instruct", (CONNECTOR, ADAPTER, LANGUAGE), examples, self.options(self.tuned_rate, 0.5)),
        ]
