"""Public functions to fit and load a model."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pandas as pd

from chiasm import artifact
from chiasm.api.encoding import prepare
from chiasm.cohort import Cohort
from chiasm.encoding.preparing import PreparedCohort, warn_of_findings
from chiasm.protocols import Model
from chiasm.recipes import registry


def fit(
    cohort: Cohort | PreparedCohort,
    recipe: str | Any,
    *,
    seed: int = 0,
    device: str = "cpu",
    checkpoint: Path | str | None = None,
) -> Model:
    """Fit one recipe on every patient of the cohort whose outcome is known.

    Args:
        cohort: a cohort, which is checked and encoded first, or what `prepare` made of one.
        recipe: a name with its options, or a recipe object.
        checkpoint: a folder for checkpoints, from which an interrupted fit resumes.
    """
    ready = cohort
    if not isinstance(ready, PreparedCohort):
        ready = prepare(ready, [recipe])
        warn_of_findings(ready.checked)
        if ready.unread:
            what = f"{ready.refused:,} sources cannot be read and count as absent"
            warnings.warn(f"{what}: chiasm.encode(cohort).problems lists them", stacklevel=2)
    (chosen,) = registry.resolve([recipe], ready.cohort)
    model: Model = chosen.fit(
        ready.cohort, seed=seed, checkpoint=Path(checkpoint) if checkpoint else None, device=device
    )
    return model


def load_model(path: Path | str) -> Model:
    """Read a model folder. Nothing in it is executed.

    Raises:
        ArtifactError: the folder is not a model, is damaged, or was changed.
    """
    model = artifact.load(path, bring=registry.bring)
    if not isinstance(model, Model):
        raise artifact.ArtifactError(f"'{Path(path).name}' holds a part of a model, not a model")
    return model


def write_predictions(predictions: pd.DataFrame, out: Path) -> None:
    """Write predictions to a .csv or .parquet file, whole or not at all, readable by its owner alone."""
    with artifact.whole_file(out) as staging:
        predictions.to_parquet(staging) if out.suffix == ".parquet" else predictions.to_csv(staging)
