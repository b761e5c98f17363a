"""The space in which texts are learned: points whose inner products are how alike texts are by what is scored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from chiasm.artifact import storable
from chiasm.cohort import Cohort, Unsupported
from chiasm.compute.memo import remember
from chiasm.fitting.wrapping import Wrapping
from chiasm.heads.response import Response
from chiasm.protocols import Embeds, Predictor
from chiasm.targets.texts import Texts, said_of

if TYPE_CHECKING:
    from chiasm.fitting.base import Training

AXES = 32
NO_SPREAD = 1e-9  # share of the widest axis below which one is rounding

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TextSpace:
    """Principal axes of the texts of training patients, by kernel principal components of their likeness.

        phi(t) . phi(s) = likeness(t, s),  y(t) = c U' (phi(t) - m),  m the mean of training patients
        expected score of t = phi(t) . m + U' phi(t) . z / c,  z the link: the expected y of a patient

    The likeness is the F1 of what is scored, which is an inner product (`targets.texts.likeness`). A regression on y
    has the mean over the texts that a patient may have, so that its score of t is what t is expected to get: what is
    said is the best answer under uncertainty, and of a patient of whom nothing is known it is `targets.texts.typical`.
    The largest spread of an axis is one, by the factor c.

    Args:
        said: J texts that may be said, the more typical first.
        root: (J, R) map from likenesses to a point's coordinates before they are centred, `phi(t) = likeness(t, said)
            root`.
        mean: (R,) m.
        axes: (R, E) U.
        unit: c.

    Source: Weston and others, Kernel dependency estimation (NIPS 2002); that the answer is then the best one:
    Ciliberto, Rosasco and Rudi 2016 (arXiv 1605.07588). We keep 32 axes at most.
    """

    said: tuple[str, ...] = field(repr=False)
    root: Array
    mean: Array
    axes: Array
    unit: float

    @classmethod
    def fit(cls, texts: Texts) -> Self:
        """Learn the space from the texts of training patients; their order decides nothing."""
        every, share = texts.weighed()
        own, _ = said_of(texts)
        typical = texts.likeness(own, every) @ share
        order = np.lexsort((np.arange(len(own)), -np.round(typical, 9)))
        said = tuple(own[k] for k in order)
        values, vectors = np.linalg.eigh(texts.likeness(said, said))
        kept = values > NO_SPREAD * max(float(values.max(initial=0.0)), 1.0)
        root = vectors[:, kept] / np.sqrt(values[kept])
        points = texts.likeness(every, said) @ root  # (U, R)
        mean = share @ points
        apart = points - mean
        spread, axes = np.linalg.eigh(apart.T @ (share[:, None] * apart))
        first = np.argsort(-spread, kind="stable")[:AXES]
        first = first[spread[first] > NO_SPREAD * max(float(spread.max(initial=0.0)), 1e-300)]
        axes = _signed(axes[:, first])
        widest = float(np.sqrt(spread[first].max(initial=0.0)))
        return cls(said, root, mean, axes, 1.0 / widest if widest > 0 else 1.0)

    @property
    def width(self) -> int:
        """Number of axes, E."""
        return int(self.axes.shape[1])

    def points(self, texts: Texts) -> Array:
        """Points `(B, E)` of the patients' texts, the mean over several of one; NaN where none is known."""
        every = sorted({text for own in texts.references.tolist() for text in own})
        place = {text: k for k, text in enumerate(every)}
        each = self.unit * (texts.likeness(every, self.said) @ self.root - self.mean) @ self.axes
        found = np.full((len(texts.references), self.width), np.nan)
        for row, own in enumerate(texts.references.tolist()):
            if own:
                found[row] = each[[place[text] for text in own]].mean(axis=0)
        return found

    def scores(self, texts: Texts) -> tuple[Array, Array]:
        """Score (J,) that each text gets of all training patients on average, and its change with the link `(J, E)`."""
        points = texts.likeness(self.said, self.said) @ self.root
        return np.asarray(points @ self.mean), np.asarray(points @ self.axes / self.unit)


def _signed(axes: Array) -> Array:
    """Axes whose largest entry is above zero, so that one sign is theirs."""
    if not axes.size:
        return axes
    largest = np.abs(axes).argmax(axis=0)
    return np.asarray(axes * np.where(axes[largest, np.arange(axes.shape[1])] < 0, -1.0, 1.0))


@storable("text-model")
@dataclass(frozen=True)
class TextModel(Wrapping):
    """Predictor of the score that each of J texts is expected to get: `base + loading z`, z the calibrated link.

    Args:
        predictor: gives the link `(B, E)` in the space of texts.
        response: its calibration.
        base: (J,) what each text scores of the training patients on average.
        loading: (J, E) how it changes with the link, see `TextSpace`.
    """

    predictor: Predictor
    response: Response
    base: np.ndarray
    loading: np.ndarray

    def __post_init__(self) -> None:
        if self.base.ndim != 1 or self.loading.ndim != 2 or len(self.base) != len(self.loading):
            raise ValueError("a model of texts has a score and a loading for each text")

    @property
    def embedding(self) -> Callable[[Cohort], np.ndarray] | None:
        """The wrapped predictor's `embedding` `(B, D)`; None if it has none."""
        return self.predictor.embedding if isinstance(self.predictor, Embeds) else None

    def link(self, cohort: Cohort) -> np.ndarray:
        """Return the expected scores `(B, J)` of the texts."""
        z = self.response.calibrated(self.predictor.link(cohort))
        return np.asarray(self.base + z @ self.loading.T)


def in_text_space(training: Training) -> Training:
    """Return the training set of a text as it is learned: outcomes are points in the space of these patients' texts.

    Other kinds of target are returned unchanged.

    Raises:
        Unsupported: there are source cohorts or models, whose texts lie in a space of their own; or all texts count as
            the same, so that there is nothing to learn.
    """
    cohort, texts = training.cohort, training.outcome.texts
    if not training.target.has_texts or texts is None:
        return training
    if cohort.lenders or cohort.lent_models:
        raise Unsupported("a text borrows from no other cohort or model: leave the sources out")
    space = remember(cohort.fingerprint, ("texts",), lambda: TextSpace.fit(texts))
    if not space.width:
        raise Unsupported("all training texts count as the same by what is scored: there is nothing to learn")
    learned = replace(training.outcome, value=space.points(texts))
    target = training.target.along(space.width)
    return replace(training, cohort=cohort.with_target(target, learned), target=target, outcome=learned, space=space)


def among_texts(predictor: Predictor, response: Response, space: TextSpace, texts: Texts) -> tuple[Predictor, Response]:
    """Extend what was learned in the space of texts to the scores of those that may be said."""
    base, loading = space.scores(texts)
    nothing, places = np.zeros(0), tuple(str(place + 1) for place in range(len(space.said)))
    made = Response(response.kind, places, (), 1.0, 0.0, nothing, nothing, texts=space.said)
    return TextModel(predictor, response, base, loading), made
