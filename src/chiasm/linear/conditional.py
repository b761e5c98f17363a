"""Conditional logit of a choice: shared coefficients of the options' features, a softmax over each patient's own.

A link z `(n, E)` lies in the space of the options' features o `(n, K, E)`, so that

    p_ik = exp(z_i . o_ik) / sum over the patient's own options l of exp(z_i . o_il)

and a linear predictor z = W'x + b is the bilinear form x'W o + b'o: one coefficient for each pair of a feature of the
patient and a feature of an option. Permuting a patient's options permutes p and changes nothing else. What all of his
options share cancels.

Source: McFadden, Conditional logit analysis of qualitative choice behavior (1974).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from chiasm.errors import Unsupported
from chiasm.linear.loss import NO_TREES, Array, Boosting, Fits, Growing, Local, Loss, Near
from chiasm.linear.offered import CURVATURE, Offered, prior_of
from chiasm.linear.ridge_cox import row_space
from chiasm.linear.shared_rows import Rows
from chiasm.targets import Outcome

NEWTON_UP_TO = 128  # coefficients


def _by_newton(offered: Offered, x: Array, base: Array, penalty: float, start: Array) -> Array:
    """Coefficients `(F, E)` of x `(n, F)` beyond logits `(n, K)`, by damped Newton steps from a start."""
    w, local = start, _Curved(offered, x, base, penalty)
    here = local.value(w)
    for _ in range(50):
        gradient, hessian = local.slopes(w)
        step = np.linalg.solve(hessian, gradient.T.ravel()).reshape(w.shape[::-1]).T
        size, decrement = 1.0, float((gradient * step).sum())
        while (new := local.value(w - size * step)) > here - 1e-4 * size * decrement and size > 1e-6:
            size /= 2
        if new > here:
            break
        w, here = w - size * step, new
        if decrement < 1e-6:
            break
    return np.asarray(w)


def _by_gradients(offered: Offered, x: Array, base: Array, penalty: float, start: Array) -> Array:
    """The same by L-BFGS, where a Hessian would cost more than the gradients that it saves."""
    from scipy.optimize import minimize  # type: ignore[import-untyped]

    local = _Curved(offered, x, base, penalty)

    def loss(flat: Array) -> tuple[float, Array]:
        own = flat.reshape(start.shape)
        return local.value(own), local.gradient(own).ravel()

    options = {"maxiter": 500, "ftol": 1e-9, "gtol": 1e-5, "maxcor": 20}
    found = minimize(loss, start.ravel(), jac=True, method="L-BFGS-B", options=options)
    return np.asarray(found.x).reshape(start.shape)


@dataclass(frozen=True)
class _Curved:
    """The penalised loss in the coefficients `(F, E)` of x `(n, F)`, beyond logits `base` `(n, K)`."""

    offered: Offered
    x: Array
    base: Array
    penalty: float

    def logits(self, w: Array) -> Array:
        return np.asarray(self.base + np.einsum("ne,nke->nk", self.x @ w, self.offered.features))

    def value(self, w: Array) -> float:
        return float(self.offered.nll(self.logits(w)).sum() + self.penalty / 2 * np.sum(w**2))

    def gradient(self, w: Array) -> Array:
        return np.asarray(self.x.T @ self.offered.gradient(self.offered.probability(self.logits(w))) + self.penalty * w)

    def slopes(self, w: Array) -> tuple[Array, Array]:
        """Gradient `(F, E)` and Hessian `(E F, E F)`, one feature of the options after another."""
        p, features = self.offered.probability(self.logits(w)), self.offered.features
        centred = features - np.einsum("nk,nke->ne", p, features)[:, None, :]
        hessian = _square(p, centred)(self.x) + self.penalty * np.eye(w.size)
        return self.x.T @ self.offered.gradient(p) + self.penalty * w, hessian


class ConditionalLogit(Loss):
    """Log loss of the right option; the link lies in the space of the options' features."""

    curvature: ClassVar[float] = CURVATURE
    has_trees: ClassVar[bool] = False

    def path(self, x: Rows, known: Outcome, penalties: Sequence[float], classes: int | None) -> Fits:
        """Fit W and b, where b is held by the same penalty to what the options alone say."""
        offered, features = Offered.of(known), np.asarray(x, np.float64)
        mean = features.mean(axis=0)
        reduced, back = row_space(features - mean)
        wide = np.column_stack([reduced, np.ones(len(reduced))])
        prior = prior_of(known)
        fits: dict[float, tuple[Array, Array]] = {}
        w = np.zeros((wide.shape[1], offered.features.shape[2]))
        step = _by_newton if w.size <= NEWTON_UP_TO else _by_gradients
        for penalty in sorted({max(own, 1e-8) for own in penalties}, reverse=True):
            w = step(offered, wide, offered.logits(np.tile(prior, (len(wide), 1))), penalty, w)
            coef = w[:-1] if back is None else back @ w[:-1]
            fits[penalty] = coef.copy(), w[-1] + prior - mean @ coef
        return [fits[max(penalty, 1e-8)] for penalty in penalties]

    def local(self, known: Outcome, classes: int | None) -> Local:
        """The loss about any link; `sum_f |H_ef|` bounds the Hessian H of a patient (Gershgorin)."""
        offered = Offered.of(known)
        x = offered.features

        def at(link: Array) -> Near:
            logits = offered.logits(link)
            p = offered.probability(logits)
            centred = x - np.einsum("nk,nke->ne", p, x)[:, None, :]
            reach = np.abs(centred).sum(axis=2, keepdims=True)
            curvature = np.einsum("nk,nke->ne", p, np.abs(centred) * reach)

            def times(direction: Array) -> Array:
                along = np.einsum("ne,nke->nk", direction, centred)
                return np.asarray(np.einsum("nk,nke->ne", p * along, centred))

            return Near(float(offered.nll(logits).sum()), offered.gradient(p), curvature, times, _square(p, centred))

        return Local(prior_of(known), at)

    def deviance(self, link: Array, known: Outcome) -> float:
        offered = Offered.of(known)
        return float(offered.nll(offered.logits(link)).mean())

    def terms(self, own: Outcome, whole: Outcome) -> Any:
        return Offered.of(own)

    def nll(self, link: Array, terms: Any) -> float:
        return float(terms.nll(terms.logits(link)).sum())

    def residuals(self, known: Outcome, classes: int | None) -> Array:
        """Features of the right option less their mean over the options, as the options alone weigh them, `(n, E)`."""
        offered = Offered.of(known)
        logits = offered.logits(np.tile(prior_of(known), (len(offered.place), 1)))
        return -offered.gradient(offered.probability(logits))

    def boosting(self, known: Outcome, classes: int | None) -> list[Boosting]:
        raise Unsupported(NO_TREES)

    def prior_votes(self, whole: Outcome, classes: int | None) -> Array:
        raise Unsupported(NO_TREES)

    def growing(self, own: Outcome, whole: Outcome, classes: int | None) -> list[Growing]:
        raise Unsupported(NO_TREES)

    def link_of(self, votes: Array) -> Array:
        raise Unsupported(NO_TREES)


def _square(p: Array, centred: Array) -> Any:
    """Hessian `(E F, E F)` in the coefficients of columns `(n, F)`, from each patient's of the link."""
    own = np.einsum("nk,nke,nkf->nef", p, centred, centred)

    def square(x: Array) -> Array:
        axes, width = own.shape[1], x.shape[1]
        found = np.empty((axes, width, axes, width))
        for one in range(axes):
            wide = (own[:, one, :, None] * x[:, None, :]).reshape(len(x), axes * width)
            found[one] = (x.T @ wide).reshape(width, axes, width)
        return found.reshape(axes * width, axes * width)

    return square
