"""The model of another package's recipe that was tuned, with what the search tried."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from chiasm.fitting.tuning.record import Tuning
from chiasm.protocols import Model, modalities_of


@dataclass(frozen=True)
class TunedModel:
    """A model with the search that picked its options; it predicts and is saved as it would be without."""

    model: Model
    tuning: Tuning

    @property
    def trained_parameters(self) -> int:
        return self.model.trained_parameters

    @property
    def modalities(self) -> set[str]:
        """The modalities that the model says it uses; none if it says nothing."""
        return modalities_of(self.model)

    def predict(self, cohort: Any) -> pd.DataFrame:
        """Predict one row a patient, as the model does."""
        return self.model.predict(cohort)

    def save(self, path: Path | str) -> None:
        """Write the model without its search."""
        self.model.save(path)
