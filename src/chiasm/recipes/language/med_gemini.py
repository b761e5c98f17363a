"""`med-gemini`: Med-Gemini (arXiv 2405.03162), slices of volumes in their order, and polygenic scores as a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from chiasm.cohort import Cohort
from chiasm.encoders import fit_encoders
from chiasm.encoders.table.picture import VectorPicture
from chiasm.fitting.row import Row
from chiasm.language.curriculum import ADAPTER, CONNECTOR, LANGUAGE, Stage
from chiasm.language.language_model import LanguageModel
from chiasm.protocols import Encoder
from chiasm.recipes.language import ROWS
from chiasm.recipes.language.connected import ConnectedRecipe, Questions

VECTORS = ("omics",)
"""Kinds of modality that are long vectors of numbers."""


@dataclass(frozen=True)
class MedGemini(ConnectedRecipe):
    """One stage, in which connector and language model learn together; blocks of numbers are drawn as pictures.

    A volume encoded by `slices` gives a token for each slice, which stand in the prompt in their order like the frames
    of a film.

    Args:
        patch: pixels of a patch's side in the picture of a vector.
    """

    patch: int = 2

    row: ClassVar[Row] = ROWS["med-gemini"]

    def __post_init__(self) -> None:
        super().__post_init__()
        VectorPicture(self.patch)  # refuses an impossible one

    def encoders(self, cohort: Cohort) -> dict[str, Encoder]:
        """Fit the encoders; a block of numbers is drawn."""
        drawn = {name: VectorPicture(self.patch) for name in cohort.modalities if cohort.kinds[name] in VECTORS}
        return fit_encoders(cohort, drawn)

    def stages(self, asked: Questions, language: LanguageModel, soft: int) -> list[Stage]:
        """Train connector and language model together."""
        examples = asked.examples(language, soft)
        return [Stage("instruct", (CONNECTOR, ADAPTER, LANGUAGE), examples, self.options(self.learning_rate))]
