"""Recipes with the manners of scikit-learn: `get_params`, `clone`, `cross_val_score`, pipelines and searches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin  # type: ignore[import-untyped]
from sklearn.utils.multiclass import check_classification_targets  # type: ignore[import-untyped]
from sklearn.utils.validation import (  # type: ignore[import-untyped]
    check_array,
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
    validate_data,
)

from chiasm.api.models import fit
from chiasm.cohort import Classification, Cohort, Regression, Survival, Target, cohort_from_frames

ALONE = "table"  # the modality of a frame whose columns belong to one


class _Estimator(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """What the estimators share; see `ChiasmClassifier`."""

    def __init__(
        self,
        recipe: Any = None,
        *,
        modalities: Mapping[str, Sequence[Any]] | None = None,
        kinds: Mapping[str, str] | None = None,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        self.recipe = recipe
        self.modalities = modalities
        self.kinds = kinds
        self.seed = seed
        self.device = device

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        return tags

    def _learn(self, frame: pd.DataFrame, patients: pd.DataFrame, target: Target) -> None:
        if len(frame) < 2:
            raise ValueError("X has n_samples=1, and there is nothing to learn from one patient")
        blocks = self._blocks(frame)
        recipe = self.recipe
        if recipe is None:
            recipe = "late-fusion" if len(blocks) > 1 else f"single:{next(iter(blocks))}"
        self.model_ = fit(self._cohort(blocks, patients, target), recipe, seed=self.seed, device=self.device)

    def _predicted(self, X: Any) -> pd.DataFrame:
        """Predictions in the order of the rows."""
        check_is_fitted(self, "model_")
        frame = self._frame(X, reset=False)
        patients = pd.DataFrame(index=frame.index)
        found: pd.DataFrame = self.model_.predict(self._cohort(self._blocks(frame), patients, None))
        return found

    def _frame(self, X: Any, *, reset: bool) -> pd.DataFrame:
        """X as a frame with a row number of equal length as its identifier, so that the order stays."""
        if isinstance(X, pd.DataFrame):
            validate_data(self, X, reset=reset, skip_check_array=True)
            frame = X
            if not len(frame) or not frame.shape[1]:
                raise ValueError(f"X has {len(frame)} rows and {frame.shape[1]} columns: give it one of each at least")
        else:
            try:
                values = validate_data(self, X, reset=reset, dtype="numeric", ensure_all_finite="allow-nan")
            except ValueError as error:
                if "could not convert" in str(error):  # it goes on to quote a value
                    raise ValueError("X is an array with words: give a frame, whose columns may hold words") from None
                raise
            frame = pd.DataFrame(np.asarray(values), columns=[f"x{k}" for k in range(values.shape[1])])
        return frame.set_axis(row_names(len(frame)), axis=0)

    def _blocks(self, frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
        """Frame of each modality: by `modalities`, by the first level of the columns, or all as one."""
        if self.modalities is not None:
            names = {name: list(own) for name, own in self.modalities.items()}
            if any(len({isinstance(column, Integral) for column in own}) > 1 for own in names.values()):
                raise ValueError("modalities names columns by position and by name: name them in one way")
            lacking = [column for own in names.values() for column in own if not self._has(frame, column)]
            if lacking:
                raise ValueError(f"modalities names a column that X lacks: {lacking[0]}")
            return {
                name: frame.iloc[:, own] if all(isinstance(column, Integral) for column in own) else frame[own]
                for name, own in names.items()
            }
        if frame.columns.nlevels == 2:
            return {str(name): frame[name] for name in frame.columns.get_level_values(0).unique()}
        return {ALONE: frame}

    @staticmethod
    def _has(frame: pd.DataFrame, column: Any) -> bool:
        return 0 <= int(column) < frame.shape[1] if isinstance(column, Integral) else column in frame.columns

    def _cohort(self, blocks: Mapping[str, pd.DataFrame], patients: pd.DataFrame, target: Target | None) -> Cohort:
        return cohort_from_frames(patients, blocks, target, kinds=dict(self.kinds or {}), name=type(self).__name__)


class ChiasmClassifier(ClassifierMixin, _Estimator):  # type: ignore[misc]
    """A recipe as a classifier of scikit-learn.

    X is an array or a frame, one row a patient. A frame whose columns have two levels has its modalities in the first;
    `modalities` names the columns of each otherwise; without either, all columns are one modality. A patient whose
    row is missing in all columns of a modality lacks that modality.

    Args:
        recipe: a name with its options, or a recipe object; by default `late-fusion`, and `single` of one modality.
        modalities: modality to the names of its columns in X, or to their positions.
        kinds: modality to its kind, `table` (the default: numbers and categories) or `omics` (numbers alone).
        seed: seed of the fit.
        device: where networks are trained.

    After `fit`: `model_`, the fitted model of chiasm, which can be saved; `classes_`; `n_features_in_`.
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Fit to classes `(n,)` of any type.

        Raises:
            ValueError: X or y is not what scikit-learn expects, or y has one class.
            Unsupported: the recipe cannot be fitted, as with fewer than ten patients.
            CohortError: the check finds errors in the columns.
        """
        frame = self._frame(X, reset=True)
        y = column_or_1d(given(y), warn=True)
        check_consistent_length(frame, y)
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"y holds {len(self.classes_)} class: a classifier needs two classes or more")
        words = np.array(row_names(len(self.classes_)), dtype=object)[codes]
        self._learn(frame, pd.DataFrame({"y": words}, index=frame.index), Classification("y"))
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Probability of each of `classes_`, `(n, K)`."""
        found = self._predicted(X)
        return found[[f"p_{name}" for name in row_names(len(self.classes_))]].to_numpy(np.float64)

    def predict(self, X: Any) -> NDArray[Any]:
        """Most probable class of each row, `(n,)`."""
        likely = self.predict_proba(X).argmax(1)
        chosen: NDArray[Any] = self.classes_[likely]
        return chosen


class ChiasmRegressor(RegressorMixin, _Estimator):  # type: ignore[misc]
    """A recipe as a regressor of scikit-learn; arguments and X as in `ChiasmClassifier`."""

    def fit(self, X: Any, y: Any) -> Self:
        """Fit to numbers `(n,)`.

        Raises:
            ValueError: X or y is not what scikit-learn expects.
            Unsupported: the recipe cannot be fitted, as with fewer than ten patients.
            CohortError: the check finds errors in the columns.
        """
        frame = self._frame(X, reset=True)
        y = column_or_1d(check_array(given(y), ensure_2d=False, dtype="numeric", input_name="y"), warn=True)
        check_consistent_length(frame, y)
        self._learn(frame, pd.DataFrame({"y": y.astype(np.float64)}, index=frame.index), Regression("y"))
        return self

    def predict(self, X: Any) -> NDArray[np.float64]:
        """Prediction for each row, `(n,)`."""
        return self._predicted(X)["prediction"].to_numpy(np.float64)


class ChiasmSurvival(_Estimator):
    """A recipe with the manners of scikit-survival; arguments and X as in `ChiasmClassifier`.

    `y` is a structured array of an event (bool) and a time, as `sksurv.util.Surv.from_arrays` makes it.
    """

    _predict_risk_score: ClassVar[bool] = True  # read by scikit-survival: a higher prediction is an earlier event

    def fit(self, X: Any, y: Any) -> Self:
        """Fit to events and times.

        Raises:
            ValueError: y is no structured array of a bool and a number.
            Unsupported: the recipe cannot be fitted, as with fewer than ten patients.
            CohortError: the check finds errors in the columns.
        """
        frame = self._frame(X, reset=True)
        event, time = event_and_time(y)
        check_consistent_length(frame, time)
        patients = pd.DataFrame({"time": time, "event": event.astype(int)}, index=frame.index)
        self._learn(frame, patients, Survival("time", "event"))
        return self

    def predict(self, X: Any) -> NDArray[np.float64]:
        """Risk of each row, `(n,)`: the higher, the earlier the event."""
        return self._predicted(X)["risk"].to_numpy(np.float64)

    def predict_survival(self, X: Any) -> pd.DataFrame:
        """Probability to be without the event at each horizon of the model: a row for each of X, columns by time."""
        found = self._predicted(X).reset_index(drop=True)
        times = Survival.horizon_columns(found)
        return found[list(times.values())].set_axis(list(times), axis=1)

    def score(self, X: Any, y: Any) -> float:
        """Harrell's concordance index."""
        from chiasm.metrics.survival import harrell_c

        event, time = event_and_time(y)
        return float(harrell_c(self.predict(X), time, event)[0])


def event_and_time(y: Any) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Take a structured array of one bool and one number apart.

    Raises:
        ValueError: it is something else.
    """
    y = np.asarray(y)
    fields = y.dtype.names or ()
    events = [name for name in fields if y.dtype[name].kind == "b"]
    if len(fields) != 2 or len(events) != 1:
        raise ValueError(
            "y must be a structured array of an event (bool) and a time: sksurv.util.Surv.from_arrays(event, time)"
        )
    time = next(name for name in fields if name != events[0])
    return y[events[0]], y[time].astype(np.float64)


def given(y: Any) -> Any:
    """Return y.

    Raises:
        ValueError: it is None.
    """
    if y is None:
        raise ValueError("the estimator requires y to be passed, but the target y is None")
    return y


def row_names(n: int) -> list[str]:
    """Texts 0 to n - 1 of equal length, whose order as text is that of the numbers."""
    return [f"{k:0{len(str(max(n - 1, 0)))}d}" for k in range(n)]
