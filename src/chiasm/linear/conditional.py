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
from numpy.typing import NDArray

from chiasm.errors import Unsupported
from chiasm.linear.loss import Array, Boosting, Fits, Growing, Local, Loss, Near
from chiasm.linear.ridge_cox import row_space
from chiasm.linear.shared_rows import Rows
from chiasm.targets import Options, Outcome

NO_TREES = "trees are grown on classes, numbers or times, and not on options of each patient's own: name another recipe"
NEWTON_UP_TO = 128  # coefficients
SHIFT_RIDGE = 0.1  # of the information: what a common shift of all links is held by


@dataclass(frozen=True)
class Offered:
    """Options of n patients as arrays: `features` (n, K, E), `inside` (n, K), and `place` (n,) of the right one."""

    features: Array
    inside: NDArray[np.bool_]
    place: NDArray[np.int_]

    @classmethod
    def of(cls, known: Outcome) -> Offered:
        """Read the options of patients whose outcome is known.

        Raises:
            ValueError: no model has made features of the options.
        """
        options = learned_options(known)
        values = np.asarray(options.values, np.float64)
        return cls(values, options.inside[:, : values.shape[1]], np.asarray(known.value).astype(int))

    def logits(self, link: Array) -> Array:
        """Logits `(n, K)` of links `(n, E)`; -inf where a patient has no such option."""
        return np.where(self.inside, np.einsum("ne,nke->nk", link, self.features), -np.inf)

    def probability(self, logits: Array) -> Array:
        """Softmax `(n, K)` over each patient's own options."""
        weight = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(weight / weight.sum(axis=1, keepdims=True))

    def nll(self, logits: Array) -> Array:
        """Negative log probability of the right option, `(n,)`."""
        top = logits.max(axis=1)
        return np.asarray(top + np.log(np.exp(logits - top[:, None]).sum(axis=1)) - self._right(logits))

    def gradient(self, p: Array) -> Array:
        """Derivative of the negative log probability in the link, `(n, E)`."""
        rest = p.copy()
        rest[np.arange(len(p)), self.place] -= 1.0
        return np.asarray(np.einsum("nk,nke->ne", rest, self.features))

    def _right(self, logits: Array) -> Array:
        return np.asarray(logits[np.arange(len(logits)), self.place])


def learned_options(outcome: Outcome) -> Options:
    """Return the options with the features that a model has made of them.

    Raises:
        ValueError: it is no choice, or nothing has made features.
    """
    if outcome.options is None or outcome.options.values is None:
        raise ValueError("the outcome has no features of its options: a choice is learned in their space")
    return outcome.options


def common_shift(offered: Offered, link: Array, ridge: float, start: Array | None = None) -> Array:
    """Shift c `(E,)` of all links `(n, E)` of smallest `sum_i loss_i(link_i + c) + ridge / 2 |c|^2`, by Newton."""
    base, x, shift = offered.logits(link), offered.features, np.zeros(link.shape[1]) if start is None else start.copy()
    ridge = max(ridge, 1e-6)

    def value(at: Array) -> float:
        return float(offered.nll(base + x @ at).sum() + ridge / 2 * at @ at)

    here = value(shift)
    for _ in range(50):
        p = offered.probability(base + x @ shift)
        gradient = offered.gradient(p).sum(axis=0) + ridge * shift
        mean = np.einsum("nk,nke->ne", p, x)
        flat = x.reshape(-1, x.shape[2])
        hessian = (flat * p.reshape(-1, 1)).T @ flat - mean.T @ mean + ridge * np.eye(len(shift))
        step = np.linalg.solve(hessian, gradient)
        size = 1.0
        while (new := value(shift - size * step)) > here and size > 1e-6:
            size /= 2
        if new > here:
            break
        shift, moved, here = shift - size * step, here - new, new
        if moved < 1e-10 * max(1.0, abs(here)):
            break
    return np.asarray(shift)


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

    curvature: ClassVar[float] = 0.25  # features are scaled to this variance within a patient
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


def prior_of(known: Outcome) -> Array:
    """What the options alone say, `(E,)`."""
    options = learned_options(known)
    assert options.values is not None  # it is learned
    return np.zeros(options.values.shape[2]) if options.prior is None else np.asarray(options.prior, np.float64)


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
