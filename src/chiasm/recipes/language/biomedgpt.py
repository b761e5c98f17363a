"""`biomedgpt`: BioMedGPT (arXiv 2308.09442), molecules and proteins adapted to a language model that stays as it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from chiasm.cohort import Cohort, Unsupported
from chiasm.cohort.kinds import as_read, kind_of_source
from chiasm.fitting.row import Row
from chiasm.language.curriculum import CONNECTOR, TOWER, Stage
from chiasm.language.language_model import LanguageModel
from chiasm.recipes.language import ROWS
from chiasm.recipes.language.connected import ConnectedRecipe, Questions

SEQUENCES = ("molecule", "protein", "dna")


@dataclass(frozen=True)
class BioMedGpt(ConnectedRecipe):
    """One stage: a linear connector and a layer upon each encoder; the language model is never changed.

    Args:
        connector: "linear", as in the paper.
        tune: "none": there is no other way.
    """

    connector: str = "linear"
    tune: str = "none"

    row: ClassVar[Row] = ROWS["biomedgpt"]

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.tune != "none":
            raise ValueError(f"tune={self.tune}: biomedgpt leaves the language model as it is, llava-med changes it")

    @property
    def tower(self) -> bool:
        return True

    def supports(self, cohort: Cohort) -> None:
        """Raise `Unsupported` also where nothing is a molecule, a protein or DNA."""
        super().supports(cohort)
        kinds = {as_read(kind_of_source(cohort, name)) for name in cohort.modalities}
        if not self.modality and not kinds & set(SEQUENCES):
            raise Unsupported("reads molecules, proteins or DNA, and the cohort has none: take llava-med")

    def stages(self, asked: Questions, language: LanguageModel, soft: int) -> list[Stage]:
        """Adapt the encoders to the language model."""
        return [Stage("adapt", (CONNECTOR, TOWER), asked.examples(language, soft), self.options(self.learning_rate))]
