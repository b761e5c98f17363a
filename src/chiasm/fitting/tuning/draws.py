"""Which setting is tried next: each of a list, some drawn from a longer one, or by what the ones before scored."""

from __future__ import annotations

import math
import random
import zlib
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, Protocol

from chiasm.fitting.tuning.record import FINISHED, Tried
from chiasm.fitting.tuning.space import Between, Listed, Space, Values
from chiasm.readers.registry import missing

FRESH = 10  # settings that are drawn at random before the sampler learns from scores
DIGITS = 4  # of a number that is drawn
LISTED_AT_MOST = 100_000
AGAIN = 50  # draws in a row that are known or refused, before one is taken from what is left


class Draws(Protocol):
    """Protocol of a way to go through a space."""

    def ask(self) -> Values | None:
        """Return the next setting; None where there is no more."""
        ...

    def tell(self, tried: Tried) -> None:
        """Take the scores of the setting that was asked for last."""
        ...

    @property
    def known(self) -> Sequence[Values]:
        """All settings, where they are known beforehand; else none."""
        ...


class InTurn:
    """Settings that are known beforehand, one after another."""

    def __init__(self, settings: Sequence[Values]) -> None:
        """Take the settings in their order."""
        self.known, self.left = tuple(settings), iter(settings)

    def ask(self) -> Values | None:
        """Return the next setting."""
        return next(self.left, None)

    def tell(self, tried: Tried) -> None:
        """Ignore the scores."""


class ByScore:
    """Settings of a space with ranges, drawn by a tree-structured Parzen estimator (Bergstra et al., 2011).

    The recipe's own values are tried first where they lie in the space, so that a search that finds nothing better
    ends there. The draws depend on the seed and the scores alone: told the same scores again, they are the same.
    Numbers are rounded to four digits. A setting that was tried, or that the recipe refuses, is not returned: another
    is drawn. So the budget is used up unless the space has fewer settings that are allowed.
    """

    known: Sequence[Values] = ()

    def __init__(self, space: Space, own: Values, budget: int, seed: int, allowed: Callable[[Values], bool]) -> None:
        """Begin a search of `budget` settings."""
        optuna = sampler_package()
        self.space, self.left, self.allowed = space, budget, allowed
        self.tried = list[Values]()
        self.rng = random.Random(seed)
        verbosity = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        try:
            sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=max(1, min(FRESH, budget // 2)))
            self.study = optuna.create_study(direction="maximize", sampler=sampler)
        finally:
            optuna.logging.set_verbosity(verbosity)
        self.pruned, self.refused = optuna.trial.TrialState.PRUNED, optuna.trial.TrialState.FAIL
        if space.holds(own):
            self._enqueue(own)
        self.trial: Any = None

    def ask(self) -> Values | None:
        """Draw the next setting; None once the budget is used up, or nothing is found that was not tried."""
        if not self.left:
            return None
        for _ in range(AGAIN):
            values = self._next()
            if values not in self.tried and self.allowed(values):
                return self._taken(values)
            self.study.tell(self.trial, state=self.refused)
        others = self._others()
        if others is None:
            return None
        self._enqueue(others)
        return self._taken(self._next())

    def tell(self, tried: Tried) -> None:
        """Tell the sampler the scores of each fold, and the mean of a setting that finished."""
        for fold, score in enumerate(tried.scores):
            if score is not None:
                self.trial.report(score, fold)
        if tried.status == FINISHED and not math.isnan(tried.mean):
            self.study.tell(self.trial, tried.mean)
        else:
            self.study.tell(self.trial, state=self.pruned)

    def _next(self) -> Values:
        self.trial = self.study.ask()
        return {axis.option: _drawn(self.trial, axis) for axis in self.space.axes}

    def _taken(self, values: Values) -> Values:
        self.left -= 1
        self.tried.append(values)
        return values

    def _enqueue(self, values: Values) -> None:
        """Let the next trial be this setting."""
        lists = [axis for axis in self.space.axes if isinstance(axis, Listed)]
        places = {axis.option: axis.values.index(values[axis.option]) for axis in lists}
        self.study.enqueue_trial({**values, **places})

    def _others(self) -> Values | None:
        """Draw one of the settings that are left of a space that ends."""
        if self.space.size is None or self.space.size > LISTED_AT_MOST:
            return None
        left = [values for values in self.space.settings() if values not in self.tried]
        self.rng.shuffle(left)
        return next(filter(self.allowed, left), None)


def sampler_package() -> Any:
    """Import optuna; if it is missing, raise `Unsupported` with the installation command."""
    try:
        import optuna
    except ImportError:
        raise missing("optuna", "tuning", "ranges of options") from None
    return optuna


def listed(space: Space, budget: int, allowed: Callable[[Values], bool] = lambda values: True) -> list[Values] | None:
    """Return the settings of a space that are known beforehand; None where they are drawn by score.

    Where a list is longer than the budget, settings are drawn from it without replacement, the first among them. Which
    depends on the space alone, so that every fold and both sides of a verdict try the same. Others are drawn in place
    of those that are not allowed.

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
    everything = list(space.settings())
    if size <= budget:
        return list(filter(allowed, everything))
    rng = random.Random(zlib.crc32(space.text.encode()))
    drawn = [0, *rng.sample(range(1, size), budget - 1)]
    taken = [number for number in drawn if allowed(everything[number])]
    if len(taken) < budget:
        rest = sorted(set(range(size)) - set(drawn))
        rng.shuffle(rest)
        taken += islice((number for number in rest if allowed(everything[number])), budget - len(taken))
    return [everything[number] for number in sorted(taken)]


def _drawn(trial: Any, axis: Listed | Between) -> Any:
    if isinstance(axis, Listed):
        return axis.values[trial.suggest_categorical(axis.option, list(range(len(axis.values))))]
    if axis.whole:
        return trial.suggest_int(axis.option, int(axis.low), int(axis.high), log=axis.log)
    value = trial.suggest_float(axis.option, axis.low, axis.high, log=axis.log)
    return min(max(float(f"{value:.{DIGITS}g}"), axis.low), axis.high)
