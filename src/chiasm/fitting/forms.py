"""One-modality forms for third-party recipes: the same recipe, fitted on one modality alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from chiasm.cohort import Cohort, Unsupported
from chiasm.fitting.chosen import said_by_options_alone
from chiasm.fitting.sides import form_name, settings_of
from chiasm.protocols import TellsSearch, search_of


@dataclass(frozen=True)
class Form:
    """A recipe fitted on one modality and the patients who have it; others get the training-set prior."""

    recipe: Any
    modality: str

    @property
    def name(self) -> str:
        return form_name(self.recipe.name, self.modality)

    @property
    def family(self) -> str:
        return str(self.recipe.family)

    @property
    def paper(self) -> Any:
        return self.recipe.paper

    @property
    def settings(self) -> int:
        """Number of settings that the recipe tries by inner selection; 1 if it does not say."""
        return settings_of(self.recipe)

    @property
    def reads_presence(self) -> bool:
        """Always False: every patient that the recipe sees has the one modality."""
        return False

    def modalities(self, cohort: Cohort) -> tuple[str, ...]:
        return (self.modality,)

    def alone(self, cohort: Cohort) -> tuple[str, ...]:
        """Return no names: this is a one-modality form already."""
        return ()

    def supports(self, cohort: Cohort) -> None:
        """Raise `Unsupported` if the cohort lacks the modality or the recipe does not accept it alone."""
        if self.modality not in cohort.modalities:
            raise Unsupported(f"the cohort has no modality '{self.modality}': it has {', '.join(cohort.modalities)}")
        self.recipe.supports(self._seen(cohort))

    def fit(self, cohort: Cohort, *, seed: int, checkpoint: Path | None = None, device: str = "cpu") -> FormModel:
        """Fit the recipe on the patients who have the modality."""
        model = self.recipe.fit(self._seen(cohort), seed=seed, checkpoint=checkpoint, device=device)
        return FormModel(model, self.modality, cohort)

    def _seen(self, cohort: Cohort) -> Cohort:
        return cohort.with_modalities([self.modality]).subset(cohort.rows_of(self.modality))


@dataclass(frozen=True)
class FormModel:
    """A fitted form, made for a trial; it cannot be saved: to save, fit the recipe on a cohort of this modality."""

    model: Any
    modality: str
    train: Cohort

    @property
    def trained_parameters(self) -> int:
        return int(self.model.trained_parameters)

    @property
    def tuning(self) -> TellsSearch | None:
        """The search that picked the recipe's options; None without one."""
        return search_of(self.model)

    def predict(self, cohort: Cohort) -> pd.DataFrame:
        """Predict with the model for patients who have the modality, and by the training-set prior for the others.

        Of a choice that is what each patient's own options alone say.
        """
        assert self.train.target is not None and self.train.outcome is not None  # it was fitted on them
        target, outcome = self.train.target, self.train.outcome
        rows = cohort.rows_of(self.modality) if self.modality in cohort.modalities else np.zeros(0, int)
        if not len(rows):
            rows_of_training = self.train.rows_of(self.modality)[:1]
            example = self.model.predict(self._seen(self.train.with_target(None, None), rows_of_training))
        else:
            example = self.model.predict(self._seen(cohort, rows))
        if target.has_options:
            whole = said_by_options_alone(self.train, cohort)
            columns = list(whole.columns)
        else:
            columns, times = target.link_columns(example, target.names), list(target.horizon_columns(example))
            whole = target.prior_frame(outcome, len(cohort), target.names, times).reindex(columns=columns)
        whole.index = pd.Index(cohort.ids, name="patient", dtype=object)
        if len(rows):
            whole.loc[list(cohort.ids[rows]), columns] = example.loc[list(cohort.ids[rows]), columns]
        whole.insert(0, "pattern", cohort.pattern().astype(object))
        return whole.iloc[cohort.order]

    def save(self, path: Path | str) -> None:
        """Refuse to save: a form exists only within a trial.

        Raises:
            Unsupported: always; the message says what to do instead.
        """
        raise Unsupported(
            "a one-modality form is made for a trial: fit the recipe on a cohort of this modality instead"
        )

    def _seen(self, cohort: Cohort, rows: np.ndarray) -> Cohort:
        return cohort.with_modalities([self.modality]).subset(rows)
