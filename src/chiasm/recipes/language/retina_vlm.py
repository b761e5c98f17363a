"""`retina-vlm`: RetinaVLM (npj Digital Medicine 2025, arXiv 2407.08410), what tables say, then the question."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chiasm.cohort import Cohort, Unsupported
from chiasm.cohort.kinds import TABLE
from chiasm.fitting.base import Training
from chiasm.fitting.row import Row
from chiasm.heads.response import Response
from chiasm.language.curriculum import ADAPTER, CONNECTOR, LANGUAGE, Stage
from chiasm.language.facts import Facts, facts_of
from chiasm.language.language_model import LanguageModel
from chiasm.language.predictor import ConnectedPredictor
from chiasm.language.unread import or_prior
from chiasm.protocols import Predictor
from chiasm.recipes.language import ROWS
from chiasm.recipes.language.connected import ConnectedRecipe, Questions


@dataclass(frozen=True)
class RetinaVlm(ConnectedRecipe):
    """A specialist's curriculum: questions made of the cohort's tables, then the cohort's own.

    Tables teach and are never read: a patient is asked for what stands in them, and only the other modalities answer.
    So of who has tables alone the prior of the training set is said, and his pattern names none.

    Args:
        connector: "linear", as in the paper.
        tune: "none", as in the paper; else the language model is changed in the second stage.
        columns: most columns of each table that are asked for, the first by name.
    """

    connector: str = "linear"
    tune: str = "none"
    columns: int = 16

    row: ClassVar[Row] = ROWS["retina-vlm"]
    has_prior: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.columns < 1:
            raise ValueError(f"columns={self.columns} asks for nothing: one or more are asked for")

    def supports(self, cohort: Cohort) -> None:
        """Raise `Unsupported` also without a table to teach from, or without anything else to look at."""
        super().supports(cohort)
        if not self.modality and not self.tables(cohort):
            raise Unsupported(
                "is taught by a table of facts about each patient, and the cohort has none: take llava-med"
            )

    def tables(self, cohort: Cohort) -> tuple[str, ...]:
        """Return the modalities that teach: tables; none where one modality alone is read."""
        own = () if self.modality else cohort.modalities
        return tuple(name for name in own if cohort.kinds[name] == TABLE and name not in cohort.encodings)

    def modalities(self, cohort: Cohort) -> tuple[str, ...]:
        """Return the modalities that are read: all that are no tables, as soft tokens or words."""
        tables = self.tables(cohort)
        return tuple(name for name in super().modalities(cohort) if name not in tables)

    def completed(
        self, whole: Training, training: Training, predictor: Predictor, response: Response
    ) -> tuple[Predictor, Response]:
        """Extend the model to patients in whom it reads nothing, by the prior."""
        assert isinstance(predictor, ConnectedPredictor)
        return or_prior(whole, predictor, response, self.modalities(whole.cohort)), response

    def stages(self, asked: Questions, language: LanguageModel, soft: int) -> list[Stage]:
        """Teach what stands in tables, then the question."""
        own = Stage(
            "specialist", (CONNECTOR, ADAPTER, LANGUAGE), asked.examples(language, soft),
            self.options(self.learning_rate if self.tune == "none" else self.tuned_rate),
        )  # fmt: skip
        facts = self.facts(asked.cohort)
        if facts is None:
            return [own]
        first = asked.about(facts, language, soft)
        return [Stage("tables", (CONNECTOR,), first, self.options(self.learning_rate, 0.5)), own]

    def facts(self, cohort: Cohort) -> Facts | None:
        """Return the questions that the tables answer; None where there are none."""
        found = []
        for name in self.tables(cohort):
            frame = cohort.raw(name)
            found.append(facts_of(frame[sorted(frame.columns)[: self.columns]], cohort.rows_of(name)))
        if not sum(len(own.rows) for own in found):
            return None
        return Facts(
            np.concatenate([own.rows for own in found]), [text for own in found for text in own.questions],
            [text for own in found for text in own.answers], np.concatenate([own.right for own in found]),
        )  # fmt: skip
