"""The fitted model that every built-in recipe returns: a predictor with the response that maps its link to output."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from chiasm.artifact import save, storable
from chiasm.cohort import Cohort, Encoding, Unsupported
from chiasm.encoding.preparing import encode_for
from chiasm.heads.response import Response
from chiasm.protocols import Predictor, reads_inputs


@storable("model")
@dataclass(frozen=True)
class FittedModel:
    """A fitted recipe.

    Args:
        recipe: name of the recipe with its options.
        modalities: modality to kind, as at fit.
        predictor: the fitted predictor, which gives the link.
        response: maps the link to the columns of a prediction.
        target: description of the target (kind, column, unit) for readers of the model folder.
        has_prior: True if a patient with none of the modalities gets the training-set prior rather than an error.
        scarce: modalities that too few training patients had to learn from; a patient with only these is predicted as
            one with no observed modality.
        encodings: modality to the encoding that turned its files, cells or events into the model's input.
    """

    recipe: str
    modalities: dict[str, str]
    predictor: Predictor
    response: Response
    target: dict[str, Any]
    has_prior: bool = False
    scarce: tuple[str, ...] = ()
    encodings: dict[str, Encoding] = field(default_factory=dict)

    @property
    def trained_parameters(self) -> int:
        return self.predictor.trained_parameters

    @property
    def reads_inputs(self) -> bool:
        """True if an encoder's network was changed, so that the model needs its inputs instead of stored tokens."""
        return reads_inputs(self.predictor)

    def predict(self, cohort: Cohort) -> pd.DataFrame:
        """Predict one row per patient, in the cohort's row order, indexed by id: `pattern`, then the prediction.

        What is not encoded yet is encoded as at fit; sources that cannot be read count as absent, and a warning says
        how many kinds there are.

        Raises:
            Unsupported: a patient has none of the model's modalities (unless `has_prior`), a modality is of another
                kind than at fit, or its encoder's weights have changed.
        """
        found = encode_for(self, cohort)
        if found.problems:
            warnings.warn(f"{len(found.problems)} kinds of broken sources count as absent", stacklevel=2)
        cohort = found.cohort
        known = cohort.with_modalities([name for name in cohort.modalities if name in self.modalities])
        accepted = [name for name in cohort.modalities if name in self.modalities or name in self.scarce]
        lacking = int((~cohort.with_modalities(accepted).present.any(1)).sum()) if accepted else len(known)
        if lacking and not self.has_prior:
            raise Unsupported(
                f"{lacking} of {len(known)} patients have none of {sorted(self.modalities)}: leave them out, a "
                "model that has seen nothing of a patient has nothing to say"
            )
        frame = self.response.frame(self.predictor.link(known))
        texts, own = known.patterns()
        frame.insert(0, "pattern", texts.astype(object)[own])  # one string per pattern, not one per patient
        frame.index = pd.Index(known.ids, name="patient", dtype=object)
        return frame.iloc[known.order]

    def save(self, path: Path | str) -> None:
        """Write the model folder: safetensors and JSON."""
        save(path, self)
