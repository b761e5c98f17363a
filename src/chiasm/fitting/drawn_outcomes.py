"""Outcomes that nobody saw, drawn from a model of those that were seen: follow-up after censoring, and missing labels.

The model has the predictions of several recipes for its columns, so that it is no poorer than what is compared by means
of it (Meng 1994, doi:10.1214/ss/1177010269): a Cox model of each cause, or a logistic one of each label, refitted on a
bootstrap of patients for each draw, so that its own uncertainty is in the draws. What was not seen differs by delta
standard deviations from what it says (Carpenter and Kenward 2013, doi:10.1002/9781119942283; Cro et al. 2020,
doi:10.1002/sim.8569; of times Zhao et al. 2014, doi:10.1080/10543406.2013.860769), those of the variable behind: an
extreme value for a log hazard, a logistic one for log odds, so that delta multiplies hazard or odds by `exp(delta sd)`.

A patient who was censored at C has the event of cause k where its hazard, from C on, has grown by an exponential draw:

    H_k(t) exp(link_k) exp(delta sd) - H_k(C) exp(link_k) exp(delta sd) = E_k

delta moves the main cause alone. Nobody is followed past the last event that was seen: who has had none by then is
censored there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from chiasm.linear.logistic import fit_labels
from chiasm.linear.ridge_cox import breslow, fit_ridge_cox
from chiasm.targets import Outcome, Target

Array = NDArray[np.float64]
SD_OF_LOG_HAZARD = math.pi / math.sqrt(6)
SD_OF_LOG_ODDS = math.pi / math.sqrt(3)
RIDGE = 1e-3  # of the information of a column, events or a quarter of the patients: some predictions may be the same


@dataclass(frozen=True)
class Unseen:
    """Patients whose outcome was not seen in full, and the columns by which it is drawn.

    Args:
        kind: kind of target.
        outcome: outcomes of the n patients.
        links: (n, P, K) links of P recipes, K = 1 for times of one event; NaN for who is not drawn.
        rows: (n,) patients who have links: the model is fitted on them.
    """

    target: type[Target]
    outcome: Outcome
    links: Array
    rows: NDArray[np.bool_]

    @property
    def unit(self) -> float:
        """Log hazard, or log odds, of one standard deviation."""
        return SD_OF_LOG_HAZARD if self.target.has_times else SD_OF_LOG_ODDS

    @property
    def number(self) -> int:
        """Patients, or of several labels their cells, that are drawn."""
        return int((self.rows[:, None] & self._open).sum())

    @property
    def _open(self) -> NDArray[np.bool_]:
        """(n, K) what was not seen: who was censored before the last event, or a missing cell."""
        if not self.target.has_times:
            return np.isnan(self.outcome.value)
        assert self.outcome.event is not None
        last = self.outcome.value[self.outcome.event & self.rows].max(initial=-np.inf)
        return np.asarray(~self.outcome.event & (self.outcome.value < last))[:, None]

    def drawn(self, deltas: Sequence[float], counts: NDArray[np.int_], rng: np.random.Generator) -> list[Outcome]:
        """Draw the outcomes once for each delta, all from the same model and the same random numbers.

        Args:
            counts: (n,) how often the bootstrap has each patient.
            rng: of the outcomes.
        """
        chosen = np.repeat(np.flatnonzero(self.rows), counts[self.rows])
        draw = self._times if self.target.has_times else self._labels
        return draw(deltas, chosen, rng)

    def _times(self, deltas: Sequence[float], chosen: NDArray[np.int_], rng: np.random.Generator) -> list[Outcome]:
        outcome = self.outcome
        assert outcome.event is not None
        rows = np.flatnonzero(self._open[:, 0] & self.rows)
        last = float(outcome.value[outcome.event & self.rows].max())
        causes = self.links.shape[2]
        growths, baselines = [], []
        for k in range(causes):
            x, own = _scaled(self.links[:, :, k], chosen), outcome.of_cause(k + 1)
            seen = own.take(chosen)
            assert seen.event is not None and own.event is not None
            if not seen.event.any():
                growths.append(np.zeros(len(rows)))
                baselines.append((np.zeros(0), np.zeros(0)))
                continue
            link = x @ fit_ridge_cox(x[chosen], seen.value, seen.event, RIDGE * float(seen.event.sum()))
            baselines.append(breslow(link[chosen], seen.value, seen.event))
            growths.append(np.exp(np.clip(link[rows], -50, 50)))
        waits = rng.exponential(size=(causes, len(rows)))
        found = []
        for delta in deltas:
            each = [
                _next(outcome.value[rows], base, growth * math.exp(delta * self.unit if k == 0 else 0.0), waits[k])
                for k, (base, growth) in enumerate(zip(baselines, growths, strict=True))
            ]
            first = np.min(each, axis=0)
            value, event = outcome.value.copy(), outcome.event.copy()
            value[rows], event[rows] = np.minimum(first, last), first <= last
            cause = None
            if outcome.cause is not None:
                cause = outcome.cause.copy()
                cause[rows] = np.where(first <= last, np.argmin(each, axis=0) + 1, 0)
            found.append(replace(outcome, value=value, event=event, cause=cause))
        return found

    def _labels(self, deltas: Sequence[float], chosen: NDArray[np.int_], rng: np.random.Generator) -> list[Outcome]:
        value = self.outcome.value
        uniform = rng.random(value.shape)
        odds = np.full(value.shape, np.nan)
        for k in range(value.shape[1]):
            label = value[chosen, k]
            known = chosen[~np.isnan(label)]
            if len(np.unique(value[known, k])) < 2:
                continue  # nothing says what the others have: the cells stay missing
            x = _scaled(self.links[:, :, k], chosen)
            ((coef, intercept),) = fit_labels(x[known], value[known, k : k + 1], [RIDGE * len(known) / 4])
            odds[:, k] = (x @ coef + intercept)[:, 0]
        found = []
        for delta in deltas:
            chance = 1 / (1 + np.exp(-np.clip(odds + delta * self.unit, -50, 50)))
            said = np.where(np.isnan(chance), np.nan, (uniform < chance).astype(np.float64))
            filled = np.where(np.isnan(value) & self.rows[:, None], said, value)
            found.append(replace(self.outcome, value=filled, known=np.asarray(~np.isnan(filled).all(axis=1))))
        return found


def _scaled(links: Array, chosen: NDArray[np.int_]) -> Array:
    """Standardise columns by the patients chosen; zeros for who has none."""
    own = links[chosen]
    spread = own.std(axis=0)
    return np.asarray(np.nan_to_num((links - own.mean(axis=0)) / np.where(spread > 0, spread, 1.0)))


def _next(after: Array, baseline: tuple[Array, Array], growth: Array, wait: Array) -> Array:
    """Time (n,) at which the hazard of a cause has grown by `wait` since `after`; infinity where it never has."""
    times, hazard = baseline
    if not len(times):
        return np.full(len(after), np.inf)
    steps = np.r_[0.0, hazard]
    begun = steps[np.searchsorted(times, after, side="right")]
    place = np.searchsorted(hazard, begun + wait / np.maximum(growth, 1e-300), side="left")
    return np.where(place < len(times), times[np.minimum(place, len(times) - 1)], np.inf)
