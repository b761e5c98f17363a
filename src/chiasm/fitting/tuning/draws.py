"""Which setting is tried next: each of a list, some drawn from a longer one, or by what the ones before scored."""

from __future__ import annotations

import math
import random
import zlib
from collections.abc import Sequence
from itertools import islice
from typing import Any, Protocol

from chiasm.fitting.tuning.record import FINISHED, Tried
from chiasm.fitting.tuning.space import Between, Listed, Space, Values
from chiasm.readers.registry import missing

FRESH = 10  # settings that are drawn at random before the sampler learns from scores
DIGITS = 4  # of a number that is drawn
LISTED_AT_MOST = 100_000


class Draws(Protocol):
    """Protocol of a way to go through a space."""

    def ask(self) -> Values | None:
        """Return the next setting; None where there is no more."""
        ...

    def tell(self, tried: Tried) -> None:
        """Take the scores of the setting that was asked for last."""
        ...


class InTurn:
    """Settings that are known beforehand, one after another."""

    def __init__(self, settings: Sequence[Values]) -> None:
        """Take the settings in their order."""
        self.left = iter(settings)

    def ask(self) -> Values | None:
        """Return the next setting."""
        return next(self.left, None)

    def tell(self, tried: Tried) -> None:
        """Ignore the scores."""


class ByScore:
    """Settings of a space with ranges, drawn by a tree-structured Parzen estimator (Bergstra et al., 2011).

    The recipe's own values are tried first where they lie in the space, so that a search that finds nothing better
    ends there. The draws depend on the seed and the scores alone: told the same scores again, they are the same.
    Numbers are rounded to four digits.
    """

    def __init__(self, space: Space, own: Values, budget: int, seed: int) -> None:
        """Begin a search of `budget` settings."""
        optuna = sampler_package()
        self.space, self.left = space, budget
        verbosity = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        try:
            sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=max(1, min(FRESH, budget // 2)))
            self.study = optuna.create_study(direction="maximize", sampler=sampler)
        finally:
            optuna.logging.set_verbosity(verbosity)
        self.pruned = optuna.trial.TrialState.PRUNED
        if all(_within(axis, own[axis.option]) for axis in space.axes):
            self.study.enqueue_trial({axis.option: own[axis.option] for axis in space.axes})
        self.trial: Any = None

    def ask(self) -> Values | None:
        """Draw the next setting."""
        if not self.left:
            return None
        self.left -= 1
        self.trial = self.study.ask()
        return {axis.option: _drawn(self.trial, axis) for axis in self.space.axes}

    def tell(self, tried: Tried) -> None:
        """Tell the sampler the scores of each fold, and the mean of a setting that finished."""
        for fold, score in enumerate(tried.scores):
            if score is not None:
                self.trial.report(score, fold)
        if tried.status == FINISHED and not math.isnan(tried.mean):
            self.study.tell(self.trial, tried.mean)
        else:
            self.study.tell(self.trial, state=self.pruned)


def sampler_package() -> Any:
    """Import optuna; if it is missing, raise `Unsupported` with the installation command."""
    try:
        import optuna
    except ImportError:
        raise missing("optuna", "tuning", "ranges of options") from None
    return optuna


def listed(space: Space, budget: int) -> list[Values] | None:
    """Return the settings of a space that are known beforehand; None where they are drawn by score.

    Where a list is longer than the budget, settings are drawn from it without replacement, the first among them. Which
    depends on the space alone, so that every fold and both sides of a verdict try the same.

    Raises:
        ValueError: the list is too long to be drawn from.
    """
    size = space.size
    if size is None or (size > budget and any(isinstance(axis, Between) for axis in space.axes)):
        return None
    if size > LISTED_AT_MOST:
        raise ValueError(
            f"{space.text} makes {size:,} settings of lists, above {LISTED_AT_MOST:,}: give ranges instead"
        )
    everything = list(islice(space.settings(), size))
    if size <= budget:
        return everything
    others = random.Random(zlib.crc32(space.text.encode())).sample(range(1, size), budget - 1)
    return [everything[number] for number in sorted([0, *others])]


def _within(axis: Listed | Between, value: Any) -> bool:
    return value in axis.values if isinstance(axis, Listed) else axis.holds(value)


def _drawn(trial: Any, axis: Listed | Between) -> Any:
    if isinstance(axis, Listed):
        return trial.suggest_categorical(axis.option, list(axis.values))
    if axis.whole:
        return trial.suggest_int(axis.option, int(axis.low), int(axis.high), log=axis.log)
    value = trial.suggest_float(axis.option, axis.low, axis.high, log=axis.log)
    return min(max(float(f"{value:.{DIGITS}g}"), axis.low), axis.high)
