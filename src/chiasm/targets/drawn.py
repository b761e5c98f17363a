"""What targets that are drawn in an image share: what is drawn, as text, and of each label how much of it there is."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.errors import Problem, count, error, warning
from chiasm.targets.outcome import Outcome
from chiasm.targets.target import Floats, Ints, Target, by_rank


@dataclass(frozen=True)
class DrawnTarget(Target):
    """Base of targets that are drawn: a prediction is a column of text and, as channels, an amount of each label.

    A model that learns numbers alone says the amounts, and draws nothing.

    Args:
        column: column of the patients' table that it reads.
        labels: names of what is drawn.
    """

    column: str
    labels: tuple[str, ...]
    has_channels: ClassVar[bool] = True
    is_drawn: ClassVar[bool] = True
    has_level: ClassVar[bool] = False
    is_scaled: ClassVar[bool] = True

    answer: ClassVar[str]
    """Column of a prediction that holds what is drawn."""
    amount: ClassVar[str]
    """How the columns of a prediction begin that say how much there is of each label."""
    nothing: ClassVar[str]
    """What is drawn where nothing is."""
    what: ClassVar[str]
    """What is drawn, in words."""
    in_none: ClassVar[str]
    """What is told where no patient has anything drawn."""
    absent: ClassVar[str]
    """What is told of labels that no patient has, after how many they are."""
    fix: ClassVar[str]
    """What to do about them."""

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    @property
    def names(self) -> tuple[str, ...]:
        return self.labels

    @classmethod
    @abstractmethod
    def usual(cls, known: Outcome) -> str:
        """What patients of known outcome have drawn on average, as text."""

    @classmethod
    @abstractmethod
    def require_readable(cls, text: str, names: Sequence[str]) -> None:
        """Raise ValueError of a text that is nothing drawn."""

    # Reading

    def understands(self, column: str, words: NDArray[np.object_]) -> bool:
        """True: paths are words."""
        return True

    def problems(self, outcome: Outcome, path: str | None) -> list[Problem]:
        """Refuse outcomes in which nothing is drawn, and warn of labels that nobody has."""
        total = outcome.value[outcome.known].sum(axis=0)
        if not total.any():
            fix = "there is nothing to find: name another column"
            return [error(self.in_none, fix, path=path, finding="single-class")]
        without = [name for name, much in zip(self.labels, total, strict=True) if not much]
        if not without:
            return []
        what = f"{count(len(without), 'label')} {self.absent}: {', '.join(without)}"
        return [warning(what, self.fix, path=path, finding="constant-channel")]

    # Splitting

    def strata(self, outcome: Outcome, least: int) -> Ints:
        """Fifths of how much is drawn, of whatever label."""
        return by_rank(self.fold_labels(outcome), replace(outcome, value=outcome.value.sum(axis=1)), 5, least)

    # Learning

    @classmethod
    def rarest(cls, outcome: Outcome, names: int = 0) -> int:
        """Number of patients of known outcome."""
        return int(outcome.known.sum())

    @classmethod
    def learnable(cls, outcome: Outcome) -> bool:
        return bool(np.nansum(outcome.value) > 0)

    # Predicting

    @classmethod
    def number_columns(cls, names: Sequence[str]) -> list[str]:
        """Columns of a prediction that say how much there is of each label."""
        return [f"{cls.amount}{name}" for name in names]

    @classmethod
    def answers(cls, names: Sequence[str]) -> list[str]:
        return [cls.answer, *cls.number_columns(names)]

    @classmethod
    def misnamed(cls, names: Sequence[str], outcome: Outcome) -> str:
        known = outcome.value.shape[1]
        return f"{len(names):,} names for {cls.what} of {known:,} labels: name each" if len(names) != known else ""

    @classmethod
    def links(cls, frame: pd.DataFrame, names: Sequence[str] = ()) -> Floats:
        """How much there is of each label, `(n, K)`; of all labels of the frame where none is named."""
        own = cls.number_columns(names) if names else [name for name in frame if str(name).startswith(cls.amount)]
        return np.asarray(frame[own].to_numpy(np.float64), dtype=np.float64)

    @classmethod
    def frame(cls, links: Floats, columns: Sequence[str]) -> pd.DataFrame:
        """How much there is, and nothing drawn."""
        made = pd.DataFrame(links, columns=[name for name in columns if name != cls.answer])
        made.insert(0, cls.answer, np.full(len(made), cls.nothing, dtype=object))
        return made

    @classmethod
    def prior_row(cls, known: Outcome, names: Sequence[str], times: Sequence[float]) -> dict[str, float]:
        """The mean amount of each label."""
        return dict(zip(cls.number_columns(names), known.value.mean(axis=0).tolist(), strict=True))

    @classmethod
    def prior_frame(cls, train: Outcome, n: int, names: Sequence[str], times: Sequence[float] = ()) -> pd.DataFrame:
        """What training images have on average, drawn and in amounts, for each of n patients."""
        known = train.take(np.flatnonzero(train.known))
        made = pd.DataFrame(np.tile(known.value.mean(axis=0), (n, 1)), columns=cls.number_columns(names))
        made.insert(0, cls.answer, np.full(n, cls.usual(known), dtype=object))
        return made

    @classmethod
    def prior_link(cls, outcome: Outcome, names: int | None) -> Floats:
        """The mean amount of each label."""
        return np.asarray(outcome.value.mean(axis=0), dtype=np.float64)

    @classmethod
    def check_prediction(
        cls, frame: pd.DataFrame, names: Sequence[str], require: Callable[[bool, str, str], None]
    ) -> None:
        cls.require_columns(frame, names, require)
        try:
            for text in frame[cls.answer].tolist():
                cls.require_readable(text, names)
        except ValueError as fault:
            require(False, f"the {cls.what} of a prediction can be read", str(fault))

    @classmethod
    def in_one_number(cls, outcome: Outcome) -> Floats:
        """(B,) how much is drawn, of whatever label."""
        return np.asarray(outcome.value.sum(axis=1))
