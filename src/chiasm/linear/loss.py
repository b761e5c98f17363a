"""What a linear model, a kernel or trees need to know of a kind of target: its loss and what follows from it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit  # type: ignore[import-untyped]

from chiasm.linear.shared_rows import Rows
from chiasm.targets import Outcome

Array = NDArray[np.float64]
Ints = NDArray[np.int_]
NO_TREES = (
    "trees are grown on classes, labels, numbers or times, and neither on channels of a response nor on options of "
    "each patient's own nor on texts: name another recipe"
)
Fits = list[tuple[Array, Array]]
"""Coefficients (F, K) and intercept (K,) at each penalty."""


@dataclass(frozen=True)
class Boosting:
    """Trees of one link, or of all classes at once.

    Args:
        objective: xgboost's name of the loss; "" where there is nothing to learn, and no tree is grown.
        label: `(n,)` what xgboost is given.
        base: `(k,)` link before any tree.
        rows: the rows that are learned from; None means all.
        paired: True if one link z stands for two classes, read as the logits (-z/2, +z/2).
    """

    objective: str
    label: Array
    base: Array
    rows: NDArray[np.bool_] | None = None
    paired: bool = False


@dataclass(frozen=True)
class Growing:
    """What trees of a forest are grown on: a leaf votes with the weighted mean of the targets of its patients.

    Args:
        target: `(n, Q)` Q votes; indicators of classes, a number, or events for each unit of cumulative hazard.
        weight: `(n,)` of each patient; nothing is learned from one of weight zero.
        chance: `(n,)` of each patient to be drawn for a tree, in any unit.
        criterion: scikit-learn's name of the loss whose fall a split maximises.
    """

    target: Array
    weight: Array
    chance: Array
    criterion: str = "squared_error"


@dataclass(frozen=True)
class Sparse:
    """Target of an elastic net: `targets` (n, K), the class `codes` (n,) where there are classes, and the loss.

    `squared`: the loss is half the squared error; else it is logistic for K = 1, multinomial for more.
    """

    targets: Array
    codes: Ints
    squared: bool


def as_they_are(part: Array, intercept: Array) -> tuple[Array, Array]:
    """Return a part `(m, S)` of the links and their intercept `(S,)`, where S are the outputs of the kind."""
    return part, intercept


@dataclass(frozen=True)
class Near:
    """A loss at links `(n, S)`: its `value`, its `gradient` `(n, S)`, and its second derivatives.

    `curvature` `(n, S)` bounds them: the matrix with these numbers on its diagonal less the Hessian has no eigenvalue
    below zero. `times` multiplies the Hessian and a matrix `(n, S)`. `square` gives the Hessian in coefficients of
    columns `(n, F)` as `(S F, S F)`, one output after another; None where that of each output is its `curvature`.
    """

    value: float
    gradient: Array
    curvature: Array
    times: Callable[[Array], Array]
    square: Callable[[Array], Array] | None = None


@dataclass(frozen=True)
class Local:
    """A loss near any point, for Newton's method on the links.

    Args:
        start: `(S,)` link before anything is learned; S is 1 where one link stands for two classes.
        at: the loss at links `(n, S)`; zero where nothing is known.
        expand: parts `(m, S)` of the links and their intercept `(S,)` as those of the kind's K outputs.
        outputs: links `(n, K)` of the kind's outputs as those `(n, S)` of this loss.
        shifts: what moves all S links alike changes nothing.
    """

    start: Array
    at: Callable[[Array], Near]
    expand: Callable[[Array, Array], tuple[Array, Array]] = as_they_are
    outputs: Callable[[Array], Array] = np.asarray
    shifts: bool = False


class Loss(ABC):
    """Loss of a kind of target as a function of the link, summed over patients of known outcome.

    `curvature` is that of one patient's loss where nothing is learned yet: what a patient tells about a coefficient.
    `compares`: the loss compares patients, so that links of models from different folds must not be mixed.
    `reads_events`: it needs to know who had the event.
    `has_elastic_net`: a sparse predictor can be fitted (`sparse`).
    `by_channel`: each column of a link is fitted by itself, so that each has the penalty that suits it.
    `has_trees`: trees and forests are grown (`boosting`, `growing`), and tried for one modality alone.
    """

    curvature: ClassVar[float] = 1.0
    compares: ClassVar[bool] = False
    reads_events: ClassVar[bool] = False
    has_elastic_net: ClassVar[bool] = False
    by_channel: ClassVar[bool] = False
    has_trees: ClassVar[bool] = True

    @abstractmethod
    def path(self, x: Rows, known: Outcome, penalties: Sequence[float], classes: int | None) -> Fits:
        """Fit a linear predictor of `x` (n, F) at each penalty, in the order given; every outcome is known."""

    @abstractmethod
    def local(self, known: Outcome, classes: int | None) -> Local:
        """The loss that `path` minimises, near a point; every outcome is known."""

    @abstractmethod
    def deviance(self, link: Array, known: Outcome) -> float:
        """Mean loss of links (n, K), in the terms in which it is told; every outcome is known."""

    @abstractmethod
    def terms(self, own: Outcome, whole: Outcome) -> Any:
        """Prepare the outcomes of a fold for `nll`; `whole` are those of all folds."""

    @abstractmethod
    def nll(self, link: Array, terms: Any) -> float:
        """Negative log likelihood of links (n, K), summed over patients."""

    def nlls(self, links: Array, terms: Any) -> Array:
        """`nll` (S,) of each of S links (S, n, K); of few patients all at once take little longer than one."""
        return np.array([self.nll(link, terms) for link in links])

    def information(self, outcome: Outcome) -> float:
        """Information on the coefficient of a unit-variance feature."""
        value = np.asarray(outcome.value)
        known = outcome.known.sum() if value.ndim == 1 else (~np.isnan(value)).sum() / value.shape[1]
        return max(1.0, float(known)) * self.curvature

    def residuals(self, known: Outcome, classes: int | None) -> Array:
        """Residuals of the null model, `(n, K)`: outcomes minus their mean, zero for a missing label."""
        value = np.asarray(known.value, np.float64)
        return about_mean(value if value.ndim == 2 else value[:, None])

    @abstractmethod
    def boosting(self, known: Outcome, classes: int | None) -> list[Boosting]:
        """What trees are grown on, a link after another."""

    @abstractmethod
    def growing(self, own: Outcome, whole: Outcome, classes: int | None) -> list[Growing]:
        """What the trees of a forest are grown on, for one group of votes after another.

        A tree without a split votes, on average over draws, as the prior of the whole training set does, whichever
        patients it is grown on: that they have what the tree reads says nothing then.

        Args:
            own: outcomes of the patients whom the trees are grown on.
            whole: outcomes of the whole training set.
        """

    @abstractmethod
    def prior_votes(self, whole: Outcome, classes: int | None) -> Array:
        """Votes `(V,)` of the prior."""

    @abstractmethod
    def link_of(self, votes: Array) -> Array:
        """Convert mean votes `(n, V)` to the link `(n, K)`."""

    def sparse(self, known: Outcome) -> Sparse:
        """What an elastic net is fitted to, for a loss that has one."""
        raise ValueError("this loss has no elastic net")


def about_mean(value: Array) -> Array:
    """Values (n, K) minus their mean over the rows that are not NaN; zero where they are."""
    known = ~np.isnan(value)
    mean = np.where(known, value, 0.0).sum(0) / np.maximum(known.sum(0), 1)
    return np.asarray(np.where(known, value - mean, 0.0))


def at_level(label: Array, prior: Array) -> tuple[Array, Array]:
    """Targets `(n, K)` and chances `(n,)` of indicators `(n, K)`: the mean target of draws is the prior `(K,)`.

    A class that nobody is of keeps its prior in every target, and the others share the rest. Weights would not do: in
    leaves of a few patients the mean of weighted shares is another than the weighted share of all.
    """
    share = label.mean(0)
    seen = share > 0
    fixed = np.where(seen, 0.0, prior)
    rest = 1.0 - fixed.sum()
    chance = label @ np.where(seen, prior / np.where(seen, share, 1.0), 0.0) / rest
    return fixed + rest * label, chance


def two_classes(label: Array, rows: NDArray[np.bool_] | None = None, *, paired: bool = False) -> Boosting:
    """Trees that tell 1 from 0; none where only one of them is there."""
    own = label if rows is None else label[rows]
    base = np.array([logit((own.sum() + 0.5) / (len(own) + 1.0))])
    return Boosting("binary:logistic" if len(np.unique(own)) > 1 else "", label, base, rows, paired)
