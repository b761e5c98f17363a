"""A scikit-learn estimator or pipeline as a recipe: fitted and judged on the same folds as every other."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from chiasm.citation import Citation
from chiasm.cohort import Cohort, Unsupported
from chiasm.cohort.kinds import TABLE, has_form
from chiasm.compute.isolation import own_randomness
from chiasm.errors import count, nearest
from chiasm.fitting.base import require, trainable
from chiasm.recipes.baselines.pipeline_model import PipelineModel, answer_of, named_columns, side_by_side

PAPER = Citation(
    "Scikit-learn: Machine Learning in Python", "Journal of Machine Learning Research", 2011,
    "https://jmlr.org/papers/v12/pedregosa11a.html",
)  # fmt: skip
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,60}")


@dataclass(frozen=True)
class Pipeline:
    """Recipe of a scikit-learn estimator on the columns of tables and omics blocks; made by `from_sklearn`.

    The estimator is cloned for each fit and given one frame: a row for each training patient, the columns of its
    modalities side by side, NaN where a patient lacks a modality or a value. A column keeps its name, but is called
    `modality:column` where two modalities have one of that name. What it is asked for depends on the target:
    `predict_proba` for classes and labels, `predict` for a number, and for survival scikit-survival's structured
    outcome, `predict` as the risk and `predict_survival_function` where there is one. A patient without any of its
    modalities is predicted as the training patients' mean.

    Args:
        estimator: not fitted; it is not changed.
        name: name in the trial.
        only: modalities that it reads; empty for all.
        described: the estimator with its parameters as text, by which a trial is known again.
    """

    estimator: Any = field(repr=False)
    name: str
    only: tuple[str, ...] = ()
    described: str = ""

    family = "baseline"
    paper = PAPER
    reads_presence = True  # what fills a missing value shows that it was missing

    def __post_init__(self) -> None:
        if not all(hasattr(self.estimator, own) for own in ("fit", "get_params", "predict")):
            raise TypeError(
                f"{type(self.estimator).__name__} is no estimator of scikit-learn: it needs fit, predict and get_params"
            )
        if isinstance(self.estimator, type):
            raise TypeError(f"{self.estimator.__name__} is a class: give an object of it, as in LogisticRegression()")
        if not NAME.fullmatch(self.name):
            raise ValueError(f"{self.name!r} cannot name a recipe: use letters, digits, _ . and -")

    def modalities(self, cohort: Cohort) -> tuple[str, ...]:
        """Return the modalities that it reads of a cohort."""
        return tuple(sorted(set(self.only) & set(cohort.modalities))) if self.only else cohort.modalities

    def on(self, modality: str) -> Pipeline:
        """Return the recipe that reads this modality alone."""
        return replace(self, only=(modality,))

    def supports(self, cohort: Cohort) -> None:
        """Raise `Unsupported` unless all its modalities are columns and the estimator predicts this kind of target."""
        require(cohort, 1)
        lacking = [name for name in self.only if name not in cohort.modalities]
        if lacking:
            raise Unsupported(f"the cohort has no modality '{lacking[0]}': it has {', '.join(cohort.modalities)}")
        others = [name for name in self.modalities(cohort) if not has_form(cohort.kinds[name], TABLE)]
        if others:
            raise Unsupported(
                f"'{others[0]}' is no table but {cohort.kinds[others[0]]}, which a pipeline of scikit-learn cannot "
                "read: name tables and omics blocks as its modalities"
            )
        target = cohort.target
        assert target is not None  # `require` has seen it
        if target.has_texts:
            raise Unsupported("an estimator of scikit-learn says no text: fit a recipe of chiasm, as late-fusion")
        if target.has_options:
            raise Unsupported(
                "an estimator of scikit-learn knows no options of each patient's own: fit a recipe of chiasm, as "
                "late-fusion"
            )
        if target.has_causes:
            raise Unsupported(
                "an estimator of scikit-learn predicts one event and not competing risks: fit a recipe of chiasm, or "
                'take kind = "survival" with the event of any cause'
            )
        if (target.has_classes or target.has_labels) and not hasattr(self.estimator, "predict_proba"):
            raise Unsupported(
                f"{type(self.estimator).__name__} has no predict_proba, and a {target.kind} target needs "
                "probabilities: wrap it in sklearn.calibration.CalibratedClassifierCV, or take a classifier"
            )
        known = {name for own in named_columns(cohort, self.modalities(cohort)).values() for name in own.values()}
        for column in asked_for(self.estimator):
            if column not in known:
                like = nearest(column, sorted(known))
                hint = f"did you mean '{like}'?" if like else "give it the columns of these modalities"
                raise Unsupported(f"the pipeline asks for a column '{column}' that its modalities lack: {hint}")

    def fit(self, cohort: Cohort, *, seed: int, checkpoint: Path | None = None, device: str = "cpu") -> PipelineModel:
        """Fit a clone of the estimator on all patients with a known outcome and one of its modalities.

        Every `random_state` that is None becomes `seed`.

        Raises:
            Unsupported: the estimator refuses the frame; its own message is the cause, and may quote a patient.
        """
        from sklearn.base import clone  # type: ignore[import-untyped]
        from sklearn.exceptions import DataConversionWarning  # type: ignore[import-untyped]

        if seed < 0:
            raise ValueError(f"the seed is {seed}, and must be 0 or more")
        training = trainable(cohort.with_modalities(list(self.modalities(cohort))), seed, checkpoint, device)
        seen = training.cohort
        columns = named_columns(cohort, self.modalities(cohort))  # the same in a fold that lacks a modality
        frame = side_by_side(seen, columns)
        estimator = clone(self.estimator)
        unset = [key for key, value in estimator.get_params().items() if key.endswith("random_state") and value is None]
        if unset:
            estimator.set_params(**dict.fromkeys(unset, seed))
        answer = answer_of(training.target, training.outcome)
        with own_randomness(seed), warnings.catch_warnings():
            warnings.simplefilter("ignore", DataConversionWarning)  # of one label, which is a column here
            try:
                estimator.fit(frame, answer)
            except (ValueError, TypeError) as error:
                raise Unsupported(f"{type(estimator).__name__} cannot be fitted: {why(frame)}") from error
        model = PipelineModel(
            self.name, {name: seen.kinds[name] for name in seen.modalities}, estimator, training.target,
            training.outcome, columns,
        )  # fmt: skip
        if not training.target.has_times:
            return model
        said = model.said(frame)
        return replace(model, usual_risk=float(said["risk"].mean()), answers=tuple(said.columns))


def asked_for(estimator: Any) -> Iterator[str]:
    """Yield the columns that the column transformers of an estimator name."""
    for key, value in estimator.get_params().items():
        if key == "transformers" or key.endswith("__transformers"):
            for _, _, columns in value:
                named = [columns] if isinstance(columns, str) else columns
                yield from (
                    name for name in (named if isinstance(named, list | tuple) else ()) if isinstance(name, str)
                )


def why(frame: pd.DataFrame) -> str:
    """Say where the reason stands, and what of a frame an estimator may not bear, by counts and names of columns."""
    words = [str(name) for name in frame.columns if frame[name].dtype == object]
    gaps = int(frame.isna().any().sum())
    said = [f"missing values in {count(gaps, 'column')}, which an imputer fills"] if gaps else []
    said += [f"words, as in '{words[0]}', which an encoder of categories turns to numbers"] if words else []
    has = f"; the frame has {' and '.join(said)}" if said else ""
    return f"the error from which this one was raised has the reason{has}"
