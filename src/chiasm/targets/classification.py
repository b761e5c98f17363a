"""Classification: one of several classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.errors import Problem, count, error, warning
from chiasm.targets.cells import Cells, given
from chiasm.targets.outcome import Outcome
from chiasm.targets.target import FLOOR, USUAL_FOLDS, Floats, Ints, Target


@dataclass(frozen=True)
class Classification(Target):
    """Classification target, one of K classes in `column`; opening fills `classes` with the labels as sorted text."""

    column: str
    classes: tuple[str, ...] = ()
    kind: ClassVar[str] = "classification"
    keys: ClassVar[Mapping[str, tuple[Any, Any]]] = {"column": (str | None, None)}
    has_classes: ClassVar[bool] = True
    rare: ClassVar[str] = "{n:,} of the rarest class"

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    @property
    def names(self) -> tuple[str, ...]:
        return self.classes

    @classmethod
    def from_keys(cls, keys: Mapping[str, Any]) -> Self:
        return cls(keys["column"])

    def read(self, cells: Cells) -> tuple[Target, Outcome]:
        text = cells.labels(self.column)
        known = given(text)
        classes = self.classes or tuple(sorted({str(label) for label in text[known]}))
        codes = {label: float(code) for code, label in enumerate(classes)}
        value = np.array([codes.get(label, np.nan) for label in text], dtype=np.float64)
        what = f"column '{self.column}' holds a label that is not one of the {len(classes)} declared classes"
        cells.note(what, "correct the label or declare its class", known & np.isnan(value))
        return replace(self, classes=classes), Outcome(value, None, ~np.isnan(value))

    def problems(self, outcome: Outcome, path: str | None) -> list[Problem]:
        sizes = np.bincount(outcome.value[outcome.known].astype(int), minlength=len(self.classes))
        if (sizes > 0).sum() < 2:
            what, fix = (
                f"column '{self.column}' has a single class",
                "there is nothing to tell apart: name another column",
            )
            return [error(what, fix, path=path, finding="single-class")]
        if not (sizes < USUAL_FOLDS).any():
            return []
        small = int((sizes < USUAL_FOLDS).sum())
        noun = "class" if small == 1 else "classes"
        what = f"{small:,} {noun} of '{self.column}' with fewer than {USUAL_FOLDS} patients"
        return [warning(what, "join it with another class or use fewer folds", path=path, finding="small-class")]

    def fold_labels(self, outcome: Outcome) -> Ints:
        return np.nan_to_num(outcome.value, nan=-1).astype(int)

    def required(self) -> dict[int, str]:
        return {code: f"class '{name}'" for code, name in enumerate(self.classes)}

    def strata(self, outcome: Outcome, least: int) -> Ints:
        return self.fold_labels(outcome)

    def too_few(self, outcome: Outcome, folds: int) -> tuple[str, str] | None:
        labels = self.fold_labels(outcome)
        for code, name in self.required().items():
            if (members := int((labels == code).sum())) < folds:
                return f"{name} has {count(members, 'patient')}", "members"
        return None

    @classmethod
    def rarest(cls, outcome: Outcome, names: int = 0) -> int:
        """Size of the smallest class; without their number, of those seen and at least two."""
        codes = outcome.value[outcome.known].astype(np.intp)
        return int(np.bincount(codes, minlength=max(names, 2)).min())

    @classmethod
    def learnable(cls, outcome: Outcome) -> bool:
        return len(np.unique(outcome.value[outcome.known])) > 1

    @classmethod
    def answers(cls, names: Sequence[str]) -> list[str]:
        return [f"p_{name}" for name in names]

    @classmethod
    def misnamed(cls, names: Sequence[str], outcome: Outcome) -> str:
        return f"classification has {len(names)} classes: name two or more" if len(names) < 2 else ""

    @classmethod
    def links(cls, frame: pd.DataFrame, names: Sequence[str] = ()) -> Floats:
        """Log probabilities `(n, K)`."""
        values = frame[cls.answers(names)].to_numpy(np.float64)
        return np.asarray(np.log(np.clip(values, FLOOR, 1.0)))

    @classmethod
    def frame(cls, links: Floats, columns: Sequence[str]) -> pd.DataFrame:
        from scipy.special import softmax  # type: ignore[import-untyped]  # a check needs none of it

        return pd.DataFrame(softmax(links, axis=1), columns=list(columns))

    @classmethod
    def prior_row(cls, known: Outcome, names: Sequence[str], times: Sequence[float]) -> dict[str, float]:
        """Frequency of each class."""
        counts = np.bincount(known.value.astype(int), minlength=len(names))
        return dict(zip(cls.answers(names), counts / max(1, counts.sum()), strict=True))

    @classmethod
    def prior_link(cls, outcome: Outcome, names: int | None) -> Floats:
        """Log frequency of each class, with half a patient more in each."""
        counts = np.bincount(outcome.value.astype(int), minlength=names or 0) + 0.5
        return np.asarray(np.log(counts / counts.sum()))

    @classmethod
    def check_prediction(
        cls, frame: pd.DataFrame, names: Sequence[str], require: Callable[[bool, str, str], None]
    ) -> None:
        cls.require_columns(frame, names, require)
        values = frame.to_numpy(float)
        off = float(np.abs(values.sum(1) - 1).max())
        require(bool((values >= 0).all()) and off < 1e-6, "probabilities sum to one", f"one row is off by {off:.1e}")

    def described(self, outcome: Outcome) -> dict[str, Any]:
        counts = np.bincount(outcome.value.astype(int), minlength=len(self.classes))
        return {"classes": list(self.classes), "counts": counts.tolist()} if self.classes else {}

    @classmethod
    def drawn(
        cls, signal: Floats, noise: Floats, rng: np.random.Generator, *, certain: bool
    ) -> tuple[pd.DataFrame, Target, Floats]:
        """Draw y ~ Bernoulli(1 / (1 + exp(-s)))."""
        label = drawn_label(signal, rng, certain=certain)
        return pd.DataFrame({"label": label}), cls("label"), label + 0.1 * noise

    def written(self, outcome: Outcome, ids: NDArray[Any]) -> tuple[pd.DataFrame, Target]:
        labels = np.array(["no", "yes"])[outcome.value.astype(int)]
        return pd.DataFrame({"label": labels}, index=ids), type(self)("label")


def drawn_label(signal: Floats, rng: np.random.Generator, *, certain: bool) -> Ints:
    """Draw a label (n,) of 0 or 1 by the probability of a signal; where it is certain, by the signal's sign."""
    drawn = rng.uniform(size=len(signal)) < 1 / (1 + np.exp(-signal))
    return (signal > 0 if certain else drawn).astype(int)
