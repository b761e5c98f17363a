"""The options that patients are offered, as arrays, and what these alone say: one link for everybody.

The link that all share is held by a ridge, and cross validation chooses which, for it has as many numbers as an option
has features and would else be learned by heart. It belongs to the patients that it was fitted on: a subset of them
learns its own, or a held-out patient's answer would stand in what the rest are said to know.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chiasm.targets import Options, Outcome

Array = NDArray[np.float64]
Ints = NDArray[np.int_]
CURVATURE = 0.25  # features are scaled to this variance within a patient
RIDGES = (0.01, 0.1, 1.0, 10.0, 100.0)  # in units of the information of a feature; the last says all but nothing
FOLDS = 5
KEPT = 32  # of the last patients, what their options alone say: the parts of a fit ask for the same one
_kept: OrderedDict[bytes, Array] = OrderedDict()


@dataclass(frozen=True)
class Offered:
    """Options of n patients as arrays: `features` (n, K, E), `inside` (n, K), and `place` (n,) of the right one.

    `units` (n,) numbers who is kept together; None: each is apart.
    """

    features: Array
    inside: NDArray[np.bool_]
    place: Ints
    units: Ints | None = None

    @classmethod
    def of(cls, known: Outcome) -> Offered:
        """Read the options of patients whose outcome is known.

        Raises:
            ValueError: no model has made features of the options.
        """
        options = learned_options(known)
        values = np.asarray(options.values, np.float64)
        inside = options.inside[:, : values.shape[1]]
        return cls(values, inside, np.asarray(known.value).astype(int), options.units)

    def take(self, rows: NDArray[np.bool_]) -> Offered:
        """Select patients by a mask."""
        units = None if self.units is None else self.units[rows]
        return Offered(self.features[rows], self.inside[rows], self.place[rows], units)

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


def cross_validated_shift(offered: Offered, link: Array) -> Array:
    """The common shift `(E,)` of links `(n, E)` with the ridge that predicts held-out patients best.

    Of ridges that predict equally well it is the strongest. Patients of one unit are held out together.
    """
    fold = (np.arange(len(link)) if offered.units is None else np.unique(offered.units, return_inverse=True)[1]) % FOLDS
    found = np.unique(fold)
    ridges, scores = RIDGES[::-1], np.zeros(len(RIDGES))
    for own in found if len(found) > 1 else ():
        train, test = offered.take(fold != own), offered.take(fold == own)
        shift = np.zeros(link.shape[1])
        for place, ridge in enumerate(ridges):  # each begins where the stronger one ended
            shift = common_shift(train, link[fold != own], ridge * CURVATURE * len(train.place), shift)
            scores[place] += test.nll(test.logits(link[fold == own] + shift)).sum()
    best = ridges[int(np.flatnonzero(scores <= scores.min() + 1e-9)[0])]
    return common_shift(offered, link, best * CURVATURE * len(link))


def prior_of(known: Outcome) -> Array:
    """What the options of these patients alone say, `(E,)`; every outcome is known."""
    options = learned_options(known)
    if options.prior is not None:
        return np.array(options.prior, np.float64)
    offered = Offered.of(known)
    parts = (offered.features, offered.inside, offered.place, np.zeros(0) if options.units is None else options.units)
    key = hashlib.sha256(b"|".join(np.ascontiguousarray(own).tobytes() for own in parts)).digest()
    if key not in _kept:
        _kept[key] = cross_validated_shift(offered, np.zeros((len(offered.place), offered.features.shape[2])))
        while len(_kept) > KEPT:
            _kept.popitem(last=False)
    return _kept[key].copy()
