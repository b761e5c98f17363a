"""Public functions to fit and load a model."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from chiasm import artifact
from chiasm.api.encoding import encode
from chiasm.cohort import Cohort
from chiasm.encoding.checking import require_sound
from chiasm.protocols import Model
from chiasm.recipes import registry


def fit(
    cohort: Cohort, recipe: str | Any, *, seed: int = 0, device: str = "cpu", checkpoint: Path | str | None = None
) -> Model:
    """Fit one recipe on every patient of the cohort whose outcome is known.

    Args:
        recipe: a name with its options, or a recipe object.
        checkpoint: a folder for checkpoints, from which an interrupted fit resumes.
    """
    require_sound(cohort)
    cohort = encoded(cohort, [recipe])
    (chosen,) = registry.resolve([recipe], cohort)
    model: Model = chosen.fit(cohort, seed=seed, checkpoint=Path(checkpoint) if checkpoint else None, device=device)
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


def encoded(cohort: Cohort, recipes: Sequence[Any], *, engine: str = "local", jobs: int | None = None) -> Cohort:
    """Encode a cohort for these recipes; warn of the number of sources that could not be read."""
    found = encode(cohort, inputs=registry.read_inputs(recipes), engine=engine, jobs=jobs)
    if found.problems:
        refused = sum(count.refused for count in found.counts.values())
        message = f"{refused:,} sources cannot be read and count as absent: chiasm.encode(cohort).problems lists them"
        warnings.warn(message, stacklevel=3)
    return found.cohort
