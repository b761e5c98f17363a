"""Public function to validate a fitted model on another cohort."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from chiasm.api.encoding import prepare
from chiasm.api.models import load_model
from chiasm.cohort import Cohort, LeakageError, Problem, Unsupported
from chiasm.cohort.generated import require_real
from chiasm.cohort.opened import Given, as_cohort
from chiasm.encoding.checking import examine
from chiasm.encoding.preparing import PreparedCohort, warn_of_findings
from chiasm.errors import FindingWarning, count
from chiasm.evaluation.external import External, score_external, scored_patients
from chiasm.evaluation.summary import plain
from chiasm.evaluation.validation import SCHEMA, Validation, require_free, store_validation
from chiasm.fitting.model import FittedModel
from chiasm.fitting.source_model import SourceModel
from chiasm.models.same_target import FittedFor, as_at_the_fit, likely, listed, require_same_target, target_notes
from chiasm.models.unseen import unseen_told
from chiasm.protocols import Model, modalities_of

TOLERATED = (
    *("modality-of-nobody", "without-modality", "unknown-outcome", "single-class", "no-event"),
    *("fold-lacks-class", "fold-lacks-label", "never-tested", "without-fold", "unfit-source", "broken-source"),
)
"""Findings about training and its sources, or about patients whom a validation counts itself: what they leave is not
estimable."""


def validate(
    model: Model | Path | str,
    cohort: Given | PreparedCohort,
    *,
    out: Path | str | None = None,
    replace: bool = False,
    strict: bool = True,
    by: str | None = None,
    draws: int = 1000,
    seed: int = 0,
    checked: Sequence[Problem] | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Validation:
    """Score a fitted model on patients of another cohort: every metric with its interval, calibration, a page.

    The patients must be none that the model was fitted on. It keeps no identifier: a cohort is known again by the very
    scaling of its tables; a part of it, or one without tables, is not.

    Args:
        model: a model folder, or a fitted model.
        cohort: a cohort with the target that the model predicts, or the path of a manifest, which is checked and
            encoded first, or what `prepare` made of one for this model.
        out: the folder for `validation.json`, `predictions.parquet`, `outcomes.parquet` and `report.html`.
        replace: replace a validation that `out` holds.
        strict: refuse tables that lack columns of the fit; False reads these as missing values.
        by: "site" draws whole sites for the intervals; groups are always drawn as a whole.
        draws: number of bootstrap draws, 100 or more.
        seed: seed of the bootstrap.
        checked: the result of `check_cohort`, if the cohort was checked already.
        progress: called with (modality, finished, all) sources; None draws a bar in a terminal or notebook.

    Raises:
        CohortError: the check finds an error that stands in the way of scoring.
        Unsupported: no target, another kind of target, other classes or another unit; nobody to score; a modality of
            another kind than at the fit, or one that lacks columns.
        LeakageError: the model, or one that it learned from, was fitted on these very patients.
        TrialError: `out` holds something else, or a validation and `replace` is False.
    """
    folder = None if out is None else Path(out)
    if folder is not None:
        require_free(folder, replace=replace)
    fitted = model if isinstance(model, Model) else load_model(model)
    opened = cohort.cohort if isinstance(cohort, PreparedCohort) else as_cohort(cohort)
    require_real(opened)
    require_same_target(fitted, opened)
    require_shared_modality(fitted, opened)
    require_others(fitted, opened)
    if isinstance(cohort, PreparedCohort):
        ready = cohort
    else:
        ready = prepare_new(opened, fitted, checked, progress)
        warn_of_findings(ready.checked)
    external, notes = scored_by(fitted, ready.cohort, strict=strict, by=by, draws=draws, seed=seed)
    validation = Validation(document_of(fitted, opened, ready, external, notes, strict), external, _report)
    if folder is not None:
        store_validation(validation, folder)
    return validation


def prepare_new(
    cohort: Cohort,
    model: Model,
    checked: Sequence[Problem] | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> PreparedCohort:
    """Check and encode what a model reads of a cohort; what only training would need does not stop it."""
    used = cohort.with_modalities(read_by(model, cohort))
    if checked is None:
        checked = examine(used)[1]
    kept = [problem for problem in checked if problem.finding not in TOLERATED]
    return prepare(used, model=model, checked=kept, progress=progress)


def scored_by(
    model: Model,
    cohort: Cohort,
    *,
    name: str = "",
    strict: bool = True,
    by: str | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> tuple[External, list[str]]:
    """Score a model on the patients of an encoded cohort, and say what of them is unlike its training.

    Args:
        name: what the model is called where it does not say it itself.
        strict, by, draws, seed: as for `validate`.
    """
    whole = as_at_the_fit(model, cohort.with_modalities(read_by(model, cohort)))
    used, _ = scored_patients(whole)
    predicted, notes = told_by(model, used.with_target(None, None), strict)
    called = name or (model.recipe if isinstance(model, FittedFor) else type(model).__name__)
    side = "single" if len(used.modalities) == 1 else "combined"
    about = {called: {"side": side, "trained_parameters": model.trained_parameters}}
    return score_external(whole, {called: predicted}, by=by, draws=draws, seed=seed, described=about), notes


def told_by(model: Model, cohort: Cohort, strict: bool = True) -> tuple[pd.DataFrame, list[str]]:
    """Predict, and return what the model warns of: values far outside of training, levels that it does not know."""
    options: dict[str, Any] = {} if strict else {"strict": False}
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        predicted = model.predict(cohort, **options)
    notes = []
    for own in said:
        if issubclass(own.category, FindingWarning):
            notes += [f"{part[0].upper()}{part[1:]}." for part in re.split("; (?:and )?", str(own.message))]
        else:
            warnings.warn_explicit(own.message, own.category, own.filename, own.lineno)
    return predicted, [*unseen_told(model, predicted), *notes]


def read_by(model: Model, cohort: Cohort) -> list[str]:
    """Modalities of the cohort that a model reads; all of them for a model that names none."""
    named = modalities_of(model)
    return [name for name in cohort.modalities if not named or name in named]


def require_shared_modality(model: Model, cohort: Cohort) -> None:
    """Refuse a cohort that has none of a model's modalities.

    Raises:
        Unsupported: naming the nearest names in the cohort.
    """
    named = sorted(modalities_of(model))
    if named and not read_by(model, cohort):
        raise Unsupported(
            f"the cohort '{cohort.name}' has none of the model's modalities {listed(named)}, but "
            f"{listed(cohort.modalities)}{likely(named, cohort.modalities)}: name them as at the fit"
        )


def require_others(model: Model, cohort: Cohort) -> None:
    """Refuse the patients that a model learned from, whom its scaling tells: it would be scored on what it has seen.

    Raises:
        LeakageError: the scaling of one of its tables, or of a source that it learned from, is that of the cohort.
    """
    if isinstance(model, FittedModel) and SourceModel(cohort.name, model).learned_from(cohort):
        raise LeakageError(
            f"the model learned from these very patients ('{cohort.name}' has its scaling): validate it on others; "
            "`chiasm evaluate` scores a recipe on patients that it holds out"
        )


def unlike_told(model: Model, opened: Cohort, ready: PreparedCohort) -> list[str]:
    """Say how a cohort with outcomes is unlike what a model was fitted for: its target, modalities and sources."""
    lacking = sorted(modalities_of(model) - set(opened.modalities))
    unread = [f"{count(ready.refused, 'source')} could not be read and count as absent."] if ready.refused else []
    absent = [f"The cohort has no modality '{name}', which the model reads." for name in lacking]
    return [*target_notes(model, opened), *absent, *unread]


def document_of(
    model: Model, opened: Cohort, ready: PreparedCohort, external: External, notes: Sequence[str], strict: bool = True
) -> dict[str, Any]:
    """Describe a validation by counts and scores: no identifier and no value of a patient."""
    (row,), trial = external.trial.document["recipes"], external.trial
    said = unlike_told(model, opened, ready)
    told: dict[str, Any] = {"target": {}, "learned_from": {}, "horizons": []}
    if isinstance(model, FittedFor):
        told = {
            "target": dict(model.target),
            "learned_from": dict(model.learned_from),
            "horizons": list(model.response.times),
        }
    document: dict[str, Any] = plain(
        {
            "schema": SCHEMA,
            "model": {
                "recipe": row["name"],
                "trained_parameters": row["trained_parameters"],
                "modalities": sorted(modalities_of(model)),
                **told,
            },
            **{key: entry for key, entry in external.as_json().items() if key != "recipes"},
            "strict": strict,
            **{key: row[key] for key in ("metric", "mean", "low", "high", "metrics")},
            "patterns": external.patterns().drop(columns="recipe").to_dict("records"),
            **{key: trial.document[key] for key in ("decisions", "d_calibration")},
            **({"subgroups": trial.document["subgroups"]} if "subgroups" in trial.document else {}),
            "notes": [*said, *notes],
            "findings": [{**asdict(found.problem), "accepted": found.reason} for found in ready.findings],
            "fingerprint": opened.fingerprint,
            "versions": trial.document["versions"],
        }
    )
    return document


def _report(validation: Validation, path: Path) -> Path:
    from chiasm.report.validation import write_validation

    return write_validation(validation, path)
