"""Fine and Gray's subdistribution hazards of competing risks: a ridge Cox model of the incidence of a cause itself.

The hazard of a cause's subdistribution is that of its incidence, `F(t) = 1 - exp(-H(t) exp(link))`, so that a
coefficient says which way the incidence goes, whatever it does to the other causes. Who had another cause before t
stays at risk, with the weight `G(t-) / G(T-)`, G the Kaplan-Meier estimate of not being censored:

    sum_g [ d_g log( sum_{T_i >= t_g} exp(link_i) + sum_{j: other, T_j < t_g} G(t_g-) / G(T_j-) exp(link_j) )
            - sum_{i: the cause at t_g} link_i ]

is the negative log partial likelihood, ties as Breslow's. Equals `cmprsk::crr` of R: G counts everybody still followed,
those with an event at the same time too.

Source: Fine and Gray 1999, Journal of the American Statistical Association 94:496-509,
doi:10.1080/01621459.1999.10474144.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from chiasm.linear.cox import Cox, events_by_cause
from chiasm.linear.loss import Array
from chiasm.linear.ridge_cox import RiskSets
from chiasm.targets import Outcome
from chiasm.targets.follow_up import event_free_survival

Bools = NDArray[np.bool_]


class SubdistributionSets(RiskSets):
    """Weighted risk sets of one cause: who is at risk at each of its E events, and who had another cause before."""

    def __init__(self, time: Array, event: Bools, other: Bools) -> None:
        """`event` (n,) is True for an event of the cause, `other` (n,) for one of another."""
        super().__init__(time, event)
        late, censored = time[self.order], ~(event | other)
        free = event_free_survival(time, censored, np.nextafter(late, -np.inf))  # G(T-), above zero: T is followed
        self.before = other[self.order] / free  # (n,) 1 / G(T-) of those with another cause, else 0
        self.censoring = free[self.events]  # (E,)

    def nlls(self, risks: Array) -> Array:
        """Negative log partial likelihood (S,) of each of S risks (S, n) sorted as in `order`."""
        return np.array([self._nll(risk) for risk in risks])

    def _nll(self, risk: Array) -> float:
        if not len(self.events):
            return 0.0
        top = float(risk.max())
        size = self._sums(np.exp(risk - top))
        return float(np.sum(np.log(np.maximum(size, 1e-300)) + top - risk[self.events]))

    def derivatives(self, x: Array, risk: Array) -> tuple[Array, Array]:
        """Gradient (F,) and Hessian (F, F) of the negative log partial likelihood in the coefficients of x (n, F)."""
        weight, size, share = self._shares(risk)
        means = self._sums(weight[:, None] * x) / size[:, None]  # (E, F)
        return x.T @ share - x[self.events].sum(axis=0), x.T @ (share[:, None] * x) - means.T @ means

    def curves(self, risk: Array) -> tuple[Array, Callable[[Array], Array]]:
        """Expected events (n,) at risks sorted as in `order`, and the product with the Hessian in the risks."""
        if not len(self.events):
            return np.zeros(len(risk)), np.zeros_like
        weight, size, share = self._shares(risk)

        def times(x: Array) -> Array:
            return np.asarray(share * x - weight * self._spread(self._sums(weight * x) / size / size))

        return share, times

    def hazards(self, risk: Array) -> Array:
        """Jump (E,) of the cumulative hazard of a link of zero at each event, Breslow's, at risks sorted as `order`."""
        return np.asarray(np.exp(-risk.max()) / np.maximum(self._sums(np.exp(risk - risk.max())), 1e-300))

    def _shares(self, risk: Array) -> tuple[Array, Array, Array]:
        """Weights (n,), sizes (E,) of the weighted risk sets, and expected events (n,)."""
        weight = np.exp(risk - risk.max())
        size = np.maximum(self._sums(weight), 1e-300)
        return weight, size, weight * self._spread(1 / size)

    def _sums(self, own: Array) -> Array:
        """Sum of `own` (n, ...) over the weighted risk set of each event, (E, ...)."""
        weighted = own * (self.before if own.ndim == 1 else self.before[:, None])
        earlier = np.concatenate([np.cumsum(weighted[::-1], axis=0)[::-1], np.zeros_like(own[:1])])[self.reach]
        scale = self.censoring if own.ndim == 1 else self.censoring[:, None]
        return np.asarray(np.cumsum(own, axis=0)[self.reach - 1] + scale * earlier)

    def _spread(self, value: Array) -> Array:
        """Sum of `value` (E,) over the events at whose risk sets each patient is, with the patient's weight there."""
        n = len(self.order)
        followed = np.cumsum(np.bincount(self.reach - 1, value, n)[::-1])[::-1]
        after = np.cumsum(np.bincount(self.reach, self.censoring * value, n + 1))[:n]
        return np.asarray(followed + self.before * after)


class FineGray(Cox):
    """Partial likelihoods of the causes' subdistributions, summed; the link is a log hazard for each cause, (n, K)."""

    def sets(self, outcome: Outcome, causes: int | None) -> list[RiskSets]:
        """Weighted risk sets of each cause; G is that of these patients."""
        value, events = np.asarray(outcome.value, np.float64), events_by_cause(outcome, causes)
        any_event = np.any(events, axis=0)
        return [SubdistributionSets(value, event, any_event & ~event) for event in events]


FINE_GRAY = FineGray()


def subdistribution_hazards(link: Array, outcome: Outcome) -> tuple[Array, Array]:
    """Breslow's estimate of the cumulative subdistribution hazard of each cause for a link (n, K) of zero.

    Returns `(event_times (E,), hazard (E, K))`, ascending, at the times of any event. Equals `bfitj` of `crr`, summed.
    """
    time = np.asarray(outcome.value, np.float64)
    times = np.unique(time[np.any(events_by_cause(outcome, link.shape[1]), axis=0)])
    hazard = np.zeros((len(times), link.shape[1]))
    for k, own in enumerate(FINE_GRAY.sets(outcome, link.shape[1])):
        if len(own.events):
            at = np.searchsorted(times, time[own.order][own.events])
            assert isinstance(own, SubdistributionSets)
            hazard[:, k] = np.cumsum(np.bincount(at, own.hazards(link[own.order, k]), len(times)))
    return times, hazard


def subdistribution_incidence(link: Array, baseline: tuple[Array, Array], times: Sequence[float] | Array) -> Array:
    """Cumulative incidence `(n, K, T)` of each cause at T ascending times.

        F_k(t) = 1 - exp(-H_k(t) exp(link_k))

    The first cause's equals `predict.crr`. Each cause has a model of its own, and nothing holds their sum below one
    (Austin et al. 2021, doi:10.1002/sim.9023): where it is above, the first cause keeps its incidence, the others share
    what it leaves, in their proportion, and none is above what it is at a later of the times.

    Args:
        link: (n, K) log hazards of the subdistributions.
        baseline: event times (E,) and cumulative hazards (E, K), as of `subdistribution_hazards`.
        times: (T,).
    """
    known, hazard = baseline
    steps = np.concatenate([np.zeros((1, hazard.shape[1])), hazard])
    level = steps[np.searchsorted(known, np.asarray(times, np.float64), side="right")]  # (T, K)
    growth = np.exp(np.clip(np.asarray(link, np.float64), -500, 500))
    found = -np.expm1(-growth[:, :, None] * level.T)  # (n, K, T)
    others = found[:, 1:].sum(axis=1, keepdims=True)
    left = 1.0 - found[:, :1]
    found[:, 1:] *= np.where(others > left, left / np.where(others > 0, others, 1.0), 1.0)
    found[:, 1:] = np.minimum.accumulate(found[:, 1:, ::-1], axis=2)[:, :, ::-1]
    return np.asarray(found)
