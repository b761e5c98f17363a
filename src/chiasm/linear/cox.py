"""Cox's partial likelihood of the time of an event, and of each of several causes that it may have.

The likelihood of competing risks is the product of one for each cause, in which an event of another cause ends the
follow-up as censoring does (Prentice et al. 1978, Biometrics 34:541-554, doi:10.2307/2530374). The coefficients of the
causes share nothing but the penalty. Survival is the case of one cause.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from chiasm.linear.loss import Array, Boosting, Fits, Growing, Local, Loss, Near
from chiasm.linear.relative_risk import nelson_aalen, relative_risk
from chiasm.linear.ridge_cox import RiskSets, fit_ridge_cox, row_space
from chiasm.linear.shared_rows import Rows
from chiasm.targets import Outcome
from chiasm.targets.outcome import causes_of

Bools = npt.NDArray[np.bool_]


class Cox(Loss):
    """Partial likelihoods of the causes, Efron's ties, summed; the link is a log hazard for each cause, (n, K)."""

    compares: ClassVar[bool] = True
    reads_events: ClassVar[bool] = True

    def sets(self, outcome: Outcome, causes: int | None) -> list[RiskSets]:
        """Risk sets of each cause, on which all else rests; every outcome is known."""
        value = np.asarray(outcome.value, np.float64)
        return [RiskSets(value, event) for event in events_by_cause(outcome, causes)]

    def path(self, x: Rows, known: Outcome, penalties: Sequence[float], classes: int | None) -> Fits:
        features = np.asarray(x)
        mean, events = features.mean(axis=0), events_by_cause(known, classes)
        reduced, back = row_space(features - mean)
        fits: dict[float, list[Array]] = {penalty: [] for penalty in penalties}
        for event, sets in zip(events, self.sets(known, classes), strict=True):
            start = np.zeros(reduced.shape[1])
            for penalty in sorted(fits, reverse=True):
                start = fit_ridge_cox(reduced, known.value, event, penalty, start=start, sets=sets)
                fits[penalty].append(start if back is None else back @ start)
        coefs = [np.stack(fits[penalty], axis=1) for penalty in penalties]
        return [(coef, -mean @ coef) for coef in coefs]

    def local(self, known: Outcome, classes: int | None) -> Local:
        """The partial likelihoods; the events that each patient is expected to suffer bound their Hessians."""
        sets = self.sets(known, classes)
        places = [np.argsort(own.order) for own in sets]

        def at(link: Array) -> Near:
            total, gradients, expectations, products = 0.0, [], [], []
            for k, (own, place) in enumerate(zip(sets, places, strict=True)):
                expected, times = own.curves(link[own.order, k])
                gradient = expected.copy()
                gradient[own.events] -= 1.0
                total += own.nll(link[own.order, k])
                gradients.append(gradient[place])
                expectations.append(expected[place])
                products.append(times)

            def product(d: Array) -> Array:
                each = zip(products, sets, places, strict=True)
                return np.stack([times(d[own.order, k])[place] for k, (times, own, place) in enumerate(each)], axis=1)

            return Near(
                total, np.stack(gradients, axis=1), np.stack(expectations, axis=1), product, _square(sets, link)
            )

        return Local(np.zeros(len(sets)), at)

    def deviance(self, link: Array, known: Outcome) -> float:
        return self.nll(link, self.terms(known, known)) / max(1, int(np.asarray(known.event, bool).sum()))

    def terms(self, own: Outcome, whole: Outcome) -> Any:
        return self.sets(own, whole.causes)

    def nll(self, link: Array, terms: Any) -> float:
        return float(self.nlls(link[None], terms)[0])

    def nlls(self, links: Array, terms: Any) -> Array:
        total = np.zeros(len(links))
        for k, own in enumerate(terms):
            total += own.nlls(links[:, own.order, k])
        return total

    def information(self, outcome: Outcome) -> float:
        """Mean number of events of a cause."""
        if outcome.event is None:
            return 1.0
        return max(1.0, float(outcome.event[outcome.known].sum()) / outcome.causes)

    def residuals(self, known: Outcome, classes: int | None) -> Array:
        """Martingale residuals of each cause: events minus the Nelson-Aalen cumulative hazard."""
        each = [event - nelson_aalen(known.value, event) for event in events_by_cause(known, classes)]
        return np.stack(each, axis=1)

    def boosting(self, known: Outcome, classes: int | None) -> list[Boosting]:
        rank = np.unique(np.asarray(known.value, np.float64), return_inverse=True)[1] + 1.0
        return [
            Boosting("survival:cox" if event.any() else "", np.where(event, rank, -rank), np.zeros(1))
            for event in events_by_cause(known, classes)
        ]

    def prior_votes(self, whole: Outcome, classes: int | None) -> Array:
        """A relative risk of one for each cause."""
        return np.ones(classes or whole.causes)

    def growing(self, own: Outcome, whole: Outcome, classes: int | None) -> list[Growing]:
        """Relative risk of each cause; a cause that none of the patients given had keeps a risk of one."""
        found = []
        for event in events_by_cause(own, classes or whole.causes):
            target, hazard = relative_risk(own.value, event) if event.any() else (np.ones((len(event), 1)), None)
            weight = np.ones(len(event))
            found.append(Growing(target, weight if hazard is None else hazard, weight, criterion="poisson"))
        return found

    def link_of(self, votes: Array) -> Array:
        return np.log(votes)


def events_by_cause(outcome: Outcome, causes: int | None) -> list[Bools]:
    """For each of K causes (n,) True where it was the event; the event alone for an outcome that has one cause.

    Raises:
        ValueError: several causes are asked of an outcome without, or there is no event.
    """
    if outcome.cause is None and outcome.event is not None and (causes or 1) == 1:
        return [np.asarray(outcome.event, bool)]
    cause = causes_of(outcome)
    return [cause == k + 1 for k in range(causes or outcome.causes)]


def _square(sets: Sequence[RiskSets], link: Array) -> Any:
    """Function of columns (n, F): the Hessian (K F, K F) in their coefficients, a block for each cause."""

    def square(x: Array) -> Array:
        width = x.shape[1]
        whole = np.zeros((len(sets) * width, len(sets) * width))
        for k, own in enumerate(sets):
            block = slice(k * width, (k + 1) * width)
            whole[block, block] = own.derivatives(x[own.order], link[own.order, k])[1] if len(own.events) else 0.0
        return whole

    return square
