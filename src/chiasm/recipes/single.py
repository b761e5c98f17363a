"""`single:<modality>`: one modality alone, the line that every fusion must clear."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from chiasm.cohort import Cohort, Unsupported
from chiasm.heads.response import Response
from chiasm.protocols import Citation
from chiasm.recipes.base import require_encoders
from chiasm.recipes.model import FittedModel, describe_target
from chiasm.recipes.neural import trainable
from chiasm.recipes.unimodal import fit_unimodal

RIDGE = Citation(
    "Ridge Regression: Biased Estimation for Nonorthogonal Problems",
    "Technometrics",
    1970,
    "https://doi.org/10.1080/00401706.1970.10488634",
)


@dataclass(frozen=True)
class Single:
    """Ridge regression, logistic or Cox, on one modality; a patient who lacks it gets the prior of the training set."""

    modality: str

    id: ClassVar[str] = "single"
    family: ClassVar[str] = "single"
    needs: ClassVar[str] = "the modality it names"
    paper: ClassVar[Citation] = RIDGE

    @property
    def name(self) -> str:
        return f"single:{self.modality}"

    def supports(self, cohort: Cohort) -> None:
        if self.modality not in cohort.modalities:
            raise Unsupported(f"the cohort has no modality '{self.modality}': it has {', '.join(cohort.modalities)}")
        require_encoders(cohort.with_modalities([self.modality]))

    def fit(self, cohort: Cohort, *, seed: int, checkpoint: Path | None = None, device: str = "cpu") -> FittedModel:
        """Fit on the patients who have the modality."""
        cohort = trainable(cohort)
        assert cohort.outcome is not None and cohort.target is not None
        model, out_of_fold = fit_unimodal(cohort, self.modality, seed=seed)
        rows = cohort.rows_of(self.modality)
        response = Response.fit(cohort.target, out_of_fold[rows], cohort.outcome.take(rows), calibrate=False)
        kinds = {self.modality: cohort.kinds[self.modality]}
        return FittedModel(self.name, kinds, model, response, describe_target(cohort), has_prior=True)
