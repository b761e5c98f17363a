"""Public functions to fit and load a model."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from chiasm import artifact
from chiasm.api.encoding import engine_of, prepare
from chiasm.api.sources import Source, lent, opened_sources, with_sources
from chiasm.cohort import Cohort
from chiasm.cohort.opened import Given, as_cohort
from chiasm.encoding.preparing import PreparedCohort, warn_of_findings
from chiasm.fitting.model import FittedModel
from chiasm.fitting.reference import reference_of
from chiasm.protocols import Model, borrows
from chiasm.recipes import registry
from chiasm.targets import kind_of


def fit(
    cohort: Given | PreparedCohort,
    recipe: str | Any,
    *,
    seed: int = 0,
    device: str = "cpu",
    checkpoint: Path | str | None = None,
    engine: str = "local",
    sources: Iterable[Source] = (),
    summary: bool = True,
    keep_similar: int = 0,
) -> Model:
    """Fit one recipe on every patient of the cohort whose outcome is known.

    Args:
        cohort: a cohort, or the path of a manifest, which is checked and encoded first, or what `prepare` made of one.
        recipe: a name with its options, or a recipe object.
        checkpoint: a folder for checkpoints, from which an interrupted fit resumes.
        engine: "local", or "ray" to encode and fit on the cluster that `RAY_ADDRESS` names, on a GPU of it where the
            device is "cuda"; the folder of checkpoints must be reachable from there.
        sources: source cohorts for a recipe that borrows, or the paths of their manifests, beside those that the
            cohort's manifest names.

        keep_similar: keep groups of so many training patients or more, and their outcomes in bands, by which
            `similar_in_training` says whom a patient is like; 0 keeps none, and five are the fewest.
        summary: keep counts and bins of the training patients in the model, with which `monitor` compares later ones.

    Raises:
        CohortError: `check_cohort` finds errors.
        Unsupported: the recipe cannot be fitted on this cohort, or the engine lacks; or a source cohort has another
            target, or nothing that both share.
        LeakageError: a patient of the cohort stands in a source cohort too.
        ValueError: there is no such engine, the seed is below 0, or there are too few patients for the groups.
    """
    ready, asked = cohort, list(sources)
    lends = bool(asked) or borrows(registry.named(recipe))
    if not isinstance(ready, PreparedCohort):
        opened = as_cohort(ready)
        lenders = opened_sources(opened, asked) if lends else []  # what is refused is refused before any compute
        ready = lent(prepare(opened, [recipe], engine=engine), lenders, engine=engine)
        warn_of_findings(ready.checked)
        if ready.unread:
            what = f"{ready.refused:,} sources cannot be read and count as absent"
            warnings.warn(f"{what}: chiasm.encode(cohort).problems lists them", stacklevel=2)
    elif lends:
        ready = with_sources(ready, asked, engine=engine)
    if keep_similar:
        from chiasm.fitting.similar_groups import require_groups
        from chiasm.models.similar_patients import people_of

        require_groups(ready.cohort.target, len(people_of(ready.cohort)), keep_similar)
    (chosen,) = registry.resolve([recipe], ready.cohort)
    work = OneFit(ready.cohort, seed, Path(checkpoint) if checkpoint else None, device)
    (model,) = [fitted(work, chosen)] if engine == "local" else engine_of(engine)(fitted, work, [chosen], 1)
    if summary and isinstance(model, FittedModel):
        model = replace(model, reference=reference_of(learned_from(ready.cohort, model)))
    if keep_similar and isinstance(model, FittedModel):
        from chiasm.models.similar_patients import with_similar

        model = with_similar(model, ready.cohort, keep_similar, seed)
    return model


def learned_from(cohort: Cohort, model: FittedModel) -> Cohort:
    """Return the patients whom a model was fitted on, with the modalities that it reads."""
    own = cohort.with_modalities([name for name in cohort.modalities if name in model.modalities])
    rows = np.asarray(own.present.any(1))
    return own.subset(rows if own.outcome is None else rows & own.outcome.known).with_target(None, None)


@dataclass(frozen=True)
class OneFit:
    """What a fit needs beside its recipe, wherever it runs."""

    cohort: Cohort
    seed: int
    checkpoint: Path | None
    device: str


def fitted(work: OneFit, recipe: Any) -> Model:
    """Fit the recipe."""
    model: Model = recipe.fit(work.cohort, seed=work.seed, checkpoint=work.checkpoint, device=work.device)
    return model


def load_model(path: Path | str, trusted: Sequence[artifact.Given] | None = None) -> Model:
    """Read a model folder. Nothing in it is executed.

    Args:
        trusted: public keys (PEM files, folders of them, or their texts as bytes), one of which has to have signed the
            folder; None: it need not be signed, and only damage is found.

    Raises:
        ArtifactError: the folder is not a model, is damaged, or was changed; or no trusted key signed it.
        ValueError: a trusted key is no public key of Ed25519.
    """
    model = artifact.load(path, bring=registry.bring, trusted=trusted)
    if not isinstance(model, Model):
        raise artifact.ArtifactError(f"'{Path(path).name}' holds a part of a model, not a model")
    return model


def packed(model: Model, predictions: pd.DataFrame) -> pd.DataFrame:
    """Return predictions as they are written for others: those of channels as one column of lists, `response`."""
    return kind_of(model.response.kind).packed(predictions) if isinstance(model, FittedModel) else predictions


def write_predictions(predictions: pd.DataFrame, out: Path, model: Model | None = None) -> None:
    """Write predictions to a .csv or .parquet file, whole or not at all, readable by its owner alone.

    Those of a `model` of a response are written as one column of lists.
    """
    predictions = predictions if model is None else packed(model, predictions)
    with artifact.whole_file(out) as staging:
        predictions.to_parquet(staging) if out.suffix == ".parquet" else predictions.to_csv(staging)
