"""What a fitted pipeline of scikit-learn sees of a cohort, and what it says as a prediction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from chiasm.cohort import Cohort, Outcome, Target, Unsupported
from chiasm.fitting.possible import require_possible
from chiasm.targets.survival import horizon_column

Columns = Mapping[str, Mapping[str, str]]
"""Modality to its columns, each with its name in the frame that the estimator sees."""


def named_columns(cohort: Cohort, modalities: tuple[str, ...]) -> dict[str, dict[str, str]]:
    """Name every column of these modalities: by its own name, or `modality:column` where two share one."""
    own = {name: [str(column) for column in cohort.sources[name].columns] for name in modalities}
    times = Counter(column for columns in own.values() for column in columns)
    return {
        name: {column: column if times[column] == 1 else f"{name}:{column}" for column in columns}
        for name, columns in own.items()
    }


def side_by_side(cohort: Cohort, columns: Columns) -> pd.DataFrame:
    """Put the modalities' columns beside each other, `(B, F)`; NaN where a patient lacks a modality or a value.

    Raises:
        Unsupported: a modality of the cohort lacks columns.
    """
    blocks = []
    for modality, named in columns.items():
        if modality not in cohort.modalities:
            blocks.append(pd.DataFrame(np.nan, index=cohort.ids, columns=list(named.values())))
            continue
        raw = cohort.raw(modality)
        lacking = [name for name in named if name not in raw.columns]
        if lacking:
            more = f" and {len(lacking) - 1:,} more" if len(lacking) > 1 else ""
            raise Unsupported(
                f"modality '{modality}' lacks column '{lacking[0]}'{more} of the fit: bring the columns of the fit"
            )
        blocks.append(raw[list(named)].set_axis(list(named.values()), axis=1).reindex(cohort.ids))
    return pd.concat(blocks, axis=1)


def answer_of(target: Target, outcome: Outcome) -> Any:
    """Convert the outcomes to what scikit-learn, or scikit-survival, is fitted to.

    Names of classes `(n,)`; 0 and 1 for labels `(n, K)`; numbers `(n,)`; or a structured array of event and time.

    Raises:
        Unsupported: a label is missing, which scikit-learn cannot be told.
    """
    if target.has_classes:
        return np.array(target.names, dtype=object)[outcome.value.astype(int)]
    if target.has_labels:
        if np.isnan(outcome.value).any():
            raise Unsupported("some labels are missing, and a pipeline of scikit-learn cannot learn from the others")
        return outcome.value.astype(int)
    if target.has_times:
        assert outcome.event is not None  # a target with times has events
        return np.array(
            list(zip(outcome.event, outcome.value, strict=True)), dtype=[("event", bool), ("time", np.float64)]
        )
    return outcome.value


@dataclass(frozen=True)
class PipelineModel:
    """A fitted pipeline, which lives as long as the program: only pickle could store it, and a pickle runs code."""

    recipe: str
    modalities: dict[str, str]
    estimator: Any = field(repr=False)
    target: Target = field(repr=False)
    outcome: Outcome = field(repr=False)
    columns: Columns = field(repr=False)
    usual_risk: float = 0.0
    answers: tuple[str, ...] = ("risk",)

    @property
    def trained_parameters(self) -> int:
        """Count of the numbers that the estimator and its parts learned: coefficients, thresholds and leaves.

        Histogram gradient boosting keeps its trees where nobody may look, and counts none.
        """
        return sum(array.size for array in learned(self.estimator, set()))

    def predict(self, cohort: Cohort) -> pd.DataFrame:
        """Predict one row per patient, in the cohort's row order; who has none of its modalities gets the prior.

        Raises:
            Unsupported: the cohort lacks columns of the fit.
            ImpossiblePrediction: a number is not finite, or a probability is outside 0 to 1.
        """
        seen = cohort.with_modalities([name for name in cohort.modalities if name in self.modalities])
        frame, here = side_by_side(seen, self.columns), np.flatnonzero(seen.present.any(1))
        found = self.said(frame.iloc[here]) if len(here) else None
        times = list(self.target.horizon_columns(pd.DataFrame(columns=list(self.answers))))
        whole = self.target.prior_frame(self.outcome, len(cohort), self.target.names, times)
        if self.target.has_times:
            whole["risk"] = self.usual_risk  # as the training patients have on average, whatever the risk's zero is
        if found is not None:
            whole = whole.reindex(columns=found.columns)
            whole.iloc[here] = found.to_numpy(np.float64)
        require_possible(whole, cohort.file_rows)
        whole.insert(0, "pattern", seen.pattern().astype(object))
        whole.index = pd.Index(cohort.ids, name="patient", dtype=object)
        return whole.iloc[cohort.order]

    def said(self, frame: pd.DataFrame) -> pd.DataFrame:
        """What the estimator says of the patients of a frame, as columns of a prediction.

        Raises:
            Unsupported: the estimator refuses the frame; its own message is the cause, and may quote a patient.
        """
        try:
            return self._columns_said(frame)
        except (ValueError, TypeError) as error:
            raise Unsupported(
                f"{type(self.estimator).__name__} cannot predict, for the reason of the error from which this one was "
                "raised; if an encoder met a level it has not seen, it needs handle_unknown='ignore'"
            ) from error

    def _columns_said(self, frame: pd.DataFrame) -> pd.DataFrame:
        target, estimator = self.target, self.estimator
        if target.has_classes:
            found = np.asarray(estimator.predict_proba(frame), np.float64)
            known = {str(name): found[:, k] for k, name in enumerate(estimator.classes_)}
            return pd.DataFrame({f"p_{name}": known.get(name, np.zeros(len(frame))) for name in target.names})
        if target.has_labels:
            return self._labels_said(estimator.predict_proba(frame))
        value = np.asarray(estimator.predict(frame), np.float64).reshape(len(frame))
        if not target.has_times:
            return pd.DataFrame({"prediction": value})
        last = innermost(estimator)
        rises = bool(getattr(last, "_predict_risk_score", True))  # scikit-survival: False where it predicts times
        columns = {"risk": value if rises else -value}
        curves = curves_of(estimator, last, frame)
        for time in target.times if curves is not None else ():
            columns[horizon_column(time)] = np.array([survival_at(curve, time) for curve in curves or ()])
        return pd.DataFrame(columns)

    def _labels_said(self, said: Any) -> pd.DataFrame:
        """Probability of each label from a list of `(n, classes)`, a label each, or from one array.

        An array has a column for each label; of a single label it has one for absence and one for presence.
        """
        names, classes = self.target.names, getattr(innermost(self.estimator), "classes_", None)
        if not isinstance(said, list):
            found = np.asarray(said, np.float64)
            if len(names) == 1 and found.shape[1] == 2:
                found = found[:, 1:]
            return pd.DataFrame({f"p_{name}": found[:, k] for k, name in enumerate(names)})
        columns = {}
        for k, name in enumerate(names):
            own, levels = np.asarray(said[k], np.float64), [0, 1]
            if own.shape[1] == 1:  # a label that all training patients have, or none
                levels = [int(self.outcome.value[0, k])] if classes is None else [int(one) for one in classes[k]]
            columns[f"p_{name}"] = own[:, levels.index(1)] if 1 in levels else np.zeros(len(own))
        return pd.DataFrame(columns)

    def save(self, path: Path | str) -> None:
        """Refuse to save.

        Raises:
            Unsupported: always; the message says what to do instead.
        """
        raise Unsupported(
            "a pipeline of scikit-learn can be stored by pickle alone, and opening a pickle runs code: keep the script "
            "that fits it, or fit a recipe of chiasm"
        )


def survival_at(curve: Any, time: float) -> float:
    """Value of a step function at a time: 1 before its first step, its last value after the end."""
    place = int(np.searchsorted(curve.x, time, side="right")) - 1
    return 1.0 if place < 0 else float(np.clip(curve.y[place], 0.0, 1.0))


def innermost(estimator: Any) -> Any:
    """The estimator that predicts: the best of a search, the last step of a pipeline."""
    for _ in range(8):
        if hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        elif hasattr(estimator, "steps"):
            estimator = estimator.steps[-1][1]
        else:
            break
    return estimator


def curves_of(estimator: Any, last: Any, frame: pd.DataFrame) -> list[Any] | None:
    """Survival functions of the patients; None where the model has none."""
    if not hasattr(last, "predict_survival_function"):
        return None
    whole = estimator.best_estimator_ if hasattr(estimator, "best_estimator_") else estimator
    try:
        return list(whole.predict_survival_function(frame))
    except (ValueError, AttributeError):  # made without a baseline hazard, or with a loss that has none
        return None


def learned(part: Any, seen: set[int]) -> Iterator[np.ndarray]:
    """Yield the arrays of floating-point numbers that an estimator and the estimators within it keep after a fit."""
    if id(part) in seen:
        return
    seen.add(id(part))
    if isinstance(part, np.ndarray) and part.dtype.kind == "f":
        yield part
    elif isinstance(part, np.ndarray | list | tuple):
        for own in part if not isinstance(part, np.ndarray) or part.dtype == object else ():
            yield from learned(own, seen)
    elif hasattr(part, "threshold") and hasattr(part, "value"):  # a tree of scikit-learn
        yield from (np.asarray(part.threshold), np.asarray(part.value))
    elif hasattr(part, "get_params"):
        for name, own in vars(part).items():
            if (name.endswith("_") and not name.startswith("_")) or name == "steps":
                yield from learned(own, seen)
