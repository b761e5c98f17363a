"""Losses of the kinds of target, and the table of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np
from scipy.special import expit, logit, softmax  # type: ignore[import-untyped]

from chiasm.linear.channels import ChannelError
from chiasm.linear.conditional import ConditionalLogit
from chiasm.linear.cox import Cox
from chiasm.linear.least_squares import fit_ridge
from chiasm.linear.logistic import fit_labels, fit_ridge_logistic, over_all_classes
from chiasm.linear.loss import (
    Array,
    Boosting,
    Fits,
    Growing,
    Local,
    Loss,
    Near,
    Sparse,
    about_mean,
    at_level,
    two_classes,
)
from chiasm.linear.shared_rows import Rows
from chiasm.linear.texts import TextError
from chiasm.targets import Outcome

FINE = float(1 << 20)


class Multinomial(Loss):
    """Log loss of classes; the link is a logit for each."""

    curvature: ClassVar[float] = 0.25
    has_elastic_net: ClassVar[bool] = True

    def path(self, x: Rows, known: Outcome, penalties: Sequence[float], classes: int | None) -> Fits:
        return fit_ridge_logistic(np.asarray(x), known.value.astype(int), penalties, classes=classes)

    def local(self, known: Outcome, classes: int | None) -> Local:
        """Two classes are one link, that of the second; of more, `2 p (1 - p)` bounds the Hessian (Gershgorin)."""
        codes = known.value.astype(int)
        seen, own = np.unique(codes, return_inverse=True)

        def expand(part: Array, intercept: Array) -> tuple[Array, Array]:
            return over_all_classes(part, intercept, np.zeros(len(part)), codes, classes)

        def outputs(link: Array) -> Array:
            return link[:, seen] if len(seen) > 2 else link[:, seen[-1:]] - link[:, seen[:1]]

        if len(seen) < 2:
            return Local(np.zeros(1), lambda link: Near(0.0, 0 * link, 0 * link, np.zeros_like), expand, outputs)
        if len(seen) == 2:
            return Local(*_labels(own[:, None].astype(np.float64)), expand, outputs)
        member = np.eye(len(seen))[own]

        def at(link: Array) -> Near:
            p = softmax(link, axis=1)
            value = float(np.sum(np.logaddexp.reduce(link, axis=1) - np.sum(member * link, axis=1)))
            curvature, square = 2 * p * (1 - p), partial(_multinomial_square, p)
            return Near(value, p - member, curvature, lambda d: p * (d - np.sum(p * d, axis=1, keepdims=True)), square)

        level = np.log(member.mean(0))
        return Local(level - level.mean(), at, expand, outputs, shifts=True)

    def deviance(self, link: Array, known: Outcome) -> float:
        own = link[np.arange(len(link)), known.value.astype(int)]
        return float(np.mean(np.logaddexp.reduce(link, axis=1) - own))

    def terms(self, own: Outcome, whole: Outcome) -> Any:
        return np.asarray(own.value, np.float64).astype(int)

    def nll(self, link: Array, terms: Any) -> float:
        return float(self.nlls(link[None], terms)[0])

    def nlls(self, links: Array, terms: Any) -> Array:
        two = links.shape[2] == 2
        whole = np.logaddexp(links[:, :, 0], links[:, :, 1]) if two else np.logaddexp.reduce(links, axis=2)
        return np.asarray(np.sum(whole, axis=1) - np.sum(links[:, np.arange(len(terms)), terms], axis=1))

    def residuals(self, known: Outcome, classes: int | None) -> Array:
        value = np.asarray(known.value, np.float64)
        value = np.eye(classes or int(value.max()) + 1)[value.astype(int)]
        return about_mean(value[:, 1:] if value.shape[1] == 2 else value)

    def boosting(self, known: Outcome, classes: int | None) -> list[Boosting]:
        value = np.asarray(known.value, np.float64)
        outputs = classes or int(value.max()) + 1
        if outputs == 2:
            return [two_classes(value, paired=True)]
        count = np.bincount(value.astype(int), minlength=outputs) + 0.5
        return [Boosting("multi:softprob", value, np.log(count / count.sum()))]

    def prior_votes(self, whole: Outcome, classes: int | None) -> Array:
        """Frequencies of the classes, with half a patient more in each; of two, that of the second."""
        codes = whole.value.astype(int)
        count = np.bincount(codes, minlength=classes or 0) + 0.5
        return np.asarray(count / count.sum())[-1 if len(count) == 2 else 0 :]

    def growing(self, own: Outcome, whole: Outcome, classes: int | None) -> list[Growing]:
        """Indicators of the classes, whose squared error is Gini's index; of two, that of the second."""
        prior = self.prior_votes(whole, classes)
        if len(prior) == 1:
            return [_of_label(own.value, float(prior[0]))]
        target, chance = at_level(np.eye(len(prior))[own.value.astype(int)], prior)
        return [Growing(target, np.ones(len(target)), chance)]

    def link_of(self, votes: Array) -> Array:
        return np.log(votes if votes.shape[1] > 1 else np.concatenate([1 - votes, votes], axis=1))

    def sparse(self, known: Outcome) -> Sparse:
        codes = known.value.astype(int)
        seen = np.unique(codes)
        targets = (codes[:, None] == (seen[1:] if len(seen) == 2 else seen)).astype(np.float64)
        return Sparse(targets, codes, squared=False)


def _multinomial_square(p: Array, x: Array) -> Array:
    """Hessian `(S F, S F)` of the log loss at probabilities `(n, S)` in the coefficients of x `(n, F)`."""
    outputs, width = p.shape[1], x.shape[1]
    square = np.empty((outputs, width, outputs, width))
    for one in range(outputs):
        for other in range(one, outputs):
            own = p[:, one] * ((one == other) - p[:, other])
            square[one, :, other] = x.T @ (own[:, None] * x)
            square[other, :, one] = square[one, :, other].T
    return square.reshape(outputs * width, -1)


class Logistic(Loss):
    """Log loss of several labels, each by its mean over the patients known for it; the link is the log odds."""

    curvature: ClassVar[float] = 0.25

    def path(self, x: Rows, known: Outcome, penalties: Sequence[float], classes: int | None) -> Fits:
        return fit_labels(np.asarray(x), known.value, penalties)

    def local(self, known: Outcome, classes: int | None) -> Local:
        """A logistic loss for each label."""
        return Local(*_labels(np.asarray(known.value, np.float64)))

    def deviance(self, link: Array, known: Outcome) -> float:
        return float(np.nanmean(np.logaddexp(0.0, link) - known.value * link))

    def terms(self, own: Outcome, whole: Outcome) -> Any:
        return np.asarray(own.value, np.float64)

    def nll(self, link: Array, terms: Any) -> float:
        """Labels count by their mean, so that a patient does not weigh more in a target of more labels."""
        return float(self.nlls(link[None], terms)[0])

    def nlls(self, links: Array, terms: Any) -> Array:
        asked = (~np.isnan(terms)).sum() / terms.shape[1]
        return np.asarray(np.nanmean(np.logaddexp(0.0, links) - terms * links, axis=(1, 2)) * float(asked))

    def boosting(self, known: Outcome, classes: int | None) -> list[Boosting]:
        return [two_classes(label, ~np.isnan(label)) for label in np.asarray(known.value, np.float64).T]

    def prior_votes(self, whole: Outcome, classes: int | None) -> Array:
        """Frequency of each label among those known for it, with half a patient more with it and half without."""
        return np.asarray((np.nansum(whole.value, 0) + 0.5) / ((~np.isnan(whole.value)).sum(0) + 1.0))

    def growing(self, own: Outcome, whole: Outcome, classes: int | None) -> list[Growing]:
        """Trees for each label, on the patients known for it."""
        prior = self.prior_votes(whole, classes)
        return [_of_label(label, float(p)) for label, p in zip(own.value.T, prior, strict=True)]

    def link_of(self, votes: Array) -> Array:
        return np.asarray(logit(votes))


def _labels(value: Array) -> tuple[Array, Callable[[Array], Near]]:
    """Start and logistic loss of labels `(n, L)` of 0, 1 and NaN.

    A label of which one value alone is known stays at the log odds of half a patient of the other.
    """
    known = ~np.isnan(value)
    label, seen = np.where(known, value, 0.0), known.sum(0)
    single = (label.sum(0) == 0) | (label.sum(0) == seen)
    half = np.log(np.maximum(2.0 * seen, 1.0)) * np.where(label.sum(0) > 0, 1.0, -1.0)
    known = known & ~single

    def at(link: Array) -> Near:
        p = expit(link)
        each = np.where(known, np.logaddexp(0.0, link) - label * link, 0.0)
        curvature = np.where(known, p * (1 - p), 0.0)
        return Near(float(each.sum()), np.where(known, p - label, 0.0), curvature, lambda d: curvature * d)

    return np.where(single, half, logit((label.sum(0) + 0.5) / (seen + 1.0))), at


def _of_label(value: Array, prior: float) -> Growing:
    """Targets of a label (n,) of 0, 1 and NaN, whose mean over draws is its prior."""
    known = ~np.isnan(value)
    target, chance = np.zeros((len(value), 1)), np.zeros(len(value))
    if known.any():
        both = np.stack([1 - value[known], value[known]], axis=1)
        found, chance[known] = at_level(both, np.array([1 - prior, prior]))
        target[known] = found[:, 1:]
    return Growing(target, known.astype(np.float64), chance)


class SquaredError(Loss):
    """Squared error of a number; the link is the number."""

    has_elastic_net: ClassVar[bool] = True

    def path(self, x: Rows, known: Outcome, penalties: Sequence[float], classes: int | None) -> Fits:
        return fit_ridge(x, known.value, penalties)

    def local(self, known: Outcome, classes: int | None) -> Local:
        """Half the squared error."""
        value = np.asarray(known.value, np.float64)[:, None]

        def at(link: Array) -> Near:
            apart = link - value
            return Near(0.5 * float(np.sum(apart**2)), apart, np.ones_like(link), lambda d: d)

        return Local(value.mean(0), at)

    def deviance(self, link: Array, known: Outcome) -> float:
        return float(np.mean((known.value - link[:, 0]) ** 2))

    def terms(self, own: Outcome, whole: Outcome) -> Any:
        """The numbers, and twice the outcome's variance, in units of which the error is counted."""
        spread = float(whole.value.var()) if len(whole.value) else 0.0
        return np.asarray(own.value, np.float64), 2 * (spread or 1.0)

    def nll(self, link: Array, terms: Any) -> float:
        return float(self.nlls(link[None], terms)[0])

    def nlls(self, links: Array, terms: Any) -> Array:
        value, unit = terms
        return np.asarray(np.sum((value - links[:, :, 0]) ** 2, axis=1) / unit)

    def boosting(self, known: Outcome, classes: int | None) -> list[Boosting]:
        value = np.asarray(known.value, np.float64)
        return [Boosting("reg:squarederror", value, np.array([value.mean()]))]

    def prior_votes(self, whole: Outcome, classes: int | None) -> Array:
        """The mean."""
        return np.array([whole.value.mean()])

    def growing(self, own: Outcome, whole: Outcome, classes: int | None) -> list[Growing]:
        """Deviations from the mean of the patients given, about that of all.

        In standard units they are rounded to a millionth, so that sums of them are exact: columns that split patients
        alike then gain the same to the bit, whatever the unit of the number.
        """
        value = np.asarray(own.value, np.float64)
        target = np.round((value - value.mean() + whole.value.mean()) * FINE) / FINE
        return [Growing(target[:, None], np.ones(len(value)), np.ones(len(value)))]

    def link_of(self, votes: Array) -> Array:
        return votes

    def sparse(self, known: Outcome) -> Sparse:
        return Sparse(known.value[:, None], np.zeros(0, int), squared=True)


LOSSES: dict[str, Loss] = {
    "boxes": ChannelError(),
    "mask": ChannelError(),
    "choice": ConditionalLogit(),
    "classification": Multinomial(),
    "competing": Cox(),
    "multilabel": Logistic(),
    "regression": SquaredError(),
    "response": ChannelError(),
    "survival": Cox(),
    "text": TextError(),
}


def loss_of(kind: str, outcome: Outcome, wanted: str) -> Loss:
    """Return the loss of a kind of target.

    Raises:
        ValueError: a kind without a loss, or one that reads events and an outcome without: there is no `wanted` then.
    """
    loss = LOSSES.get(kind)
    if loss is None or (loss.reads_events and outcome.event is None):
        raise ValueError(f"no {wanted} for a target of kind {kind!r} with event={outcome.event is not None}")
    return loss
