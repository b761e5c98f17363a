"""What each modality of one patient brings to the prediction: exact Shapley shares beside a training patient's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from chiasm.cohort import Cohort
from chiasm.fitting.model import FittedModel
from chiasm.models.explain.reference import reference_of
from chiasm.models.explain.shares import MOST_MODALITIES, modality_shares
from chiasm.serving.answers import Answer, each_ready, plain
from chiasm.serving.faults import refused
from chiasm.serving.loaded import Loaded
from chiasm.serving.patients import Patient

UNKNOWN = "what a modality that is not there would change is not known"


@dataclass(frozen=True)
class AsChecked:
    """A model that predicts patients who have been checked already."""

    model: FittedModel

    @property
    def trained_parameters(self) -> int:
        return self.model.trained_parameters

    def predict(self, cohort: Any) -> pd.DataFrame:
        return self.model.predict_ready(cohort)

    def save(self, path: Path | str) -> None:
        self.model.save(path)


def require_explains(loaded: Loaded) -> None:
    """Refuse a model whose predictions cannot be split.

    Raises:
        Refused: 422, too many modalities, or the model keeps nothing to compare a patient with.
    """
    if loaded.chooses:
        what = "a choice is among options of each patient's own, which no other patient has: nothing stands beside them"
        raise refused(422, "not-explained", what)
    if len(loaded.reads) > MOST_MODALITIES:
        what = f"{len(loaded.reads)} modalities have too many subsets: at most {MOST_MODALITIES} can be explained"
        raise refused(422, "not-explained", what)
    if reference_of(loaded.model) is None:
        what = (
            "the model does not keep what its training patients had on average, as of an earlier release: fit it again"
        )
        raise refused(422, "not-explained", what)


def explained(loaded: Loaded, patients: Sequence[Patient], sources: Mapping[str, Path], scratch: Path) -> list[Answer]:
    """Split each patient's prediction among the modalities that he has, or say why not."""
    return each_ready(partial(_explained, loaded), loaded, patients, sources, scratch)


def _explained(loaded: Loaded, cohort: Cohort, patients: Sequence[Patient]) -> list[dict[str, Any]]:
    reference = reference_of(loaded.model)
    assert reference is not None  # `require_explains` refused otherwise
    base, words = reference
    names = [name for name in cohort.modalities if name in loaded.reads]
    model = AsChecked(loaded.model)
    whole = model.predict(cohort)
    shares = modality_shares(model, cohort, names, whole=whole, base=base)
    of = {str(key): frame for key, frame in shares.groupby("patient", sort=False)}
    outputs = [name for name in whole.columns if name != "pattern"]
    found = []
    for patient, key, told in zip(patients, map(str, whole.index), whole.to_dict("records"), strict=True):
        pattern = str(told["pattern"])
        parts = pattern.split("+") if pattern else []
        found.append(
            {
                "pattern": pattern,
                "base_is": words,
                "outputs": [_output(name, of.get(key), told[name], base[name]) for name in outputs],
                "missing": [name for name in loaded.reads if name not in parts],
                "of_missing": UNKNOWN,
                "notes": [*patient.notes, *loaded.notes],
            }
        )
    return found


def _output(name: str, shares: pd.DataFrame | None, whole: float, base: float) -> dict[str, Any]:
    (numbers,) = plain(pd.DataFrame({"prediction": [whole], "base": [base]}))
    own = {} if shares is None else shares[shares["output"] == name].set_index("modality")["share"].to_dict()
    (split,) = plain(pd.DataFrame([own])) if own else ({},)
    return {"output": name, **numbers, "shares": split}
