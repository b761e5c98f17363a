"""How much only both sources together can tell of a target, when nobody with both has the target known.

From p(x1, y), p(x2, y) and p(x1, x2) alone: labels of each modality for itself, and pairs without a label (Liang et
al., ICLR 2024, "Multimodal learning without labeled multimodal data"). With S = I(X1 X2; Y) - R - U1 - U2, of which R,
U1 and U2 are known (`unique_information`), in bits:

    lower, by redundancy     S = R - I(X1; X2) + I(X1; X2 | Y)
                               >= R - I(X1; X2) + H(X1 | Y) + H(X2 | Y) + H(Y) - max H(r)
    lower, by disagreement   S >= E |p(y | x1) - p(y | x2)|_1^2 / (8 ln 2) - (U1 + U2) / 2
    upper, by the whole      S <= H(X1 X2) + H(Y) - H(p(x1, x2) ^ p(y)) - R - U1 - U2
    upper, by one source     S <= sum_x1 p(x1) [H(X2 | x1) + H(Y | x1) - H(p(x2 | x1) ^ p(y | x1))] - U2, and so for x2

max H(r) is over the joint distributions that have all three pairs; any potentials of its dual bound it from above, so
that the lower bound holds wherever the fit is stopped. The constant of the disagreement, and the mean of U1 and U2 in
place of their larger one, are not the paper's: by Pinsker I(X2; Y | X1) = U2 + S is at least
E |p(y | x1 x2) - p(y | x1)|_1^2 / (2 ln 2), so for the other source, and |p(y | x1) - p(y | x2)|_1^2 is at most twice
the sum of both squares. It follows 1 / (8 ln 2), and with the 2-norm 1 / (4 ln 2), since |v|_1^2 >= 2 |v|_2^2 where v
sums to zero; the 1/4 of the released notebook is less, and its function leaves it out, where the bound is violated.
p ^ q is the greatest lower bound of two distributions in majorisation: no joint distribution of both has a smaller
entropy than it (Cicalese, Gargano and Vaccaro, IEEE Trans. Inf. Theory 2019). The paper's upper bound is the first; the
second reads the given pairs too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from chiasm.errors import Unsupported
from chiasm.evaluation.interaction.unique_information import (
    Known,
    as_distribution,
    entropy,
    mutual_information,
    unique_informations,
)
from chiasm.metrics.weighted import Floats

_ROUNDS = 2_000
_FITTED = 1e-10
_ROUNDING = 1e-6
NO_JOINT = (
    "no joint distribution has all three tables: those with a label and the pairs are of unlike patients, or of too "
    "few; give fewer states to each source, or estimate all tables from patients of one kind"
)
_SAME = 1e-6  # of p(x1) and p(x2) in the pairs and in the labelled tables


@dataclass(frozen=True)
class Synergy:
    """Bounds of what only both sources together tell of a target, in bits.

    Attributes:
        known: redundant and unique information, which are no bounds.
        lower: the largest of zero, `by_redundancy` and `by_disagreement`.
        upper: the least of the three upper bounds.
        by_redundancy, by_disagreement: the two lower bounds; one below zero says nothing.
    """

    known: Known
    lower: float
    upper: float
    by_redundancy: float
    by_disagreement: float


def synergy_bounds(first: Floats, second: Floats, pairs: Floats) -> Synergy:
    """Bounds of the synergy of two sources of a target that nobody with both has.

    Args:
        first: p(x1, y), (a, c).
        second: p(x2, y), (b, c), with the same p(y).
        pairs: p(x1, x2), (a, b), with the same p(x1) and p(x2).

    Raises:
        ValueError: a table that is no distribution, or tables that differ in what they share.
        Unsupported: too many states, as `unique_information` says; or tables that no joint distribution has, as those
            of unlike patients.
    """
    (found,) = many_synergy_bounds(first[None], second[None], pairs[None])
    if found is None:
        raise Unsupported(NO_JOINT)
    return found


def many_synergy_bounds(firsts: Floats, seconds: Floats, pairs: Floats) -> list[Synergy | None]:
    """`synergy_bounds` of R problems of one shape, (R, a, c), (R, b, c), (R, a, b), whose fits go on side by side.

    Returns:
        The bounds of each; None where no joint distribution has its tables.

    Raises:
        ValueError, Unsupported: as `synergy_bounds`, but for tables that no joint distribution has.
    """
    known = unique_informations(firsts, seconds)
    for first, second, pair in zip(firsts, seconds, pairs, strict=True):
        _require_shared(first, second, pair)
    most = _most_entropies(firsts, seconds, pairs)
    return [
        None if np.isnan(whole) else _bounds(own, first, second, pair, whole)
        for own, first, second, pair, whole in zip(known, firsts, seconds, pairs, most.tolist(), strict=True)
    ]


def _require_shared(first: Floats, second: Floats, pairs: Floats) -> None:
    pairs = as_distribution(pairs, "the pairs without a label")
    if (
        pairs.shape != (len(first), len(second))
        or max(
            np.abs(pairs.sum(axis=1) - first.sum(axis=1)).max(), np.abs(pairs.sum(axis=0) - second.sum(axis=1)).max()
        )
        > _SAME
    ):
        raise ValueError("p(x1) and p(x2) are to be the same in the pairs without a label as in the labelled tables")


def _bounds(known: Known, first: Floats, second: Floats, pairs: Floats, most: float) -> Synergy | None:
    """The bounds of one problem, whose joint distributions have `most` entropy; None where they cross."""
    target, told = entropy(first.sum(axis=0)), known.redundancy + sum(known.unique)
    given_target = entropy(first) + entropy(second) - target  # H(X1 | Y) + H(X2 | Y) + H(Y)
    redundancy = known.redundancy - mutual_information(pairs) + given_target - most
    disagreement = _disagreement(first, second, pairs) / (8 * np.log(2)) - sum(known.unique) / 2
    whole = entropy(pairs) + target - entropy(_lower_bound(pairs.ravel(), first.sum(axis=0))) - told
    one = _given(first, pairs) - known.unique[1]
    two = _given(second, pairs.T) - known.unique[0]
    lower, upper = max(0.0, redundancy, disagreement), min(whole, one, two)
    if lower > upper + _ROUNDING:
        return None
    return Synergy(known, min(lower, upper), max(0.0, upper), redundancy, disagreement)


def _disagreement(first: Floats, second: Floats, pairs: Floats) -> float:
    """E |p(y | x1) - p(y | x2)|_1^2 over the pairs."""
    one, two = (table / np.maximum(table.sum(axis=1, keepdims=True), 1e-300) for table in (first, second))
    return float((pairs * np.abs(one[:, None] - two[None]).sum(axis=2) ** 2).sum())


def _most_entropies(firsts: Floats, seconds: Floats, pairs: Floats) -> Floats:
    """A bound from above of the entropy of every joint distribution with these three pairs, in bits, (R,).

    Iterative proportional fitting from the uniform distribution ends at the one of most entropy, r = f g h. Whatever
    the potentials f(x1, x2), g(x1, y) and h(x2, y), that entropy is at most log sum f g h - sum p log (f g h): the
    least that was met on the way is taken. NaN where there is no joint distribution. The R fits go on side by side,
    each until it is fitted.
    """
    tables = [np.asarray(own, np.float64) for own in (pairs, firsts, seconds)]
    least = np.array([max(map(entropy, own)) for own in zip(*tables, strict=True)])  # of a pair, and so of the whole
    best, going = np.full(len(least), np.inf), np.arange(len(least))
    potentials = [(own > 0).astype(np.float64) for own in tables]
    for _ in range(_ROUNDS):
        furthest = np.zeros(len(going))
        for k, (table, gone) in enumerate(zip(tables, (3, 2, 1), strict=True)):
            there = _product(potentials).sum(axis=gone)
            furthest = np.maximum(furthest, np.abs(there - table).max(axis=(1, 2)))
            potentials[k] = potentials[k] * np.divide(table, there, out=np.zeros_like(table), where=there > 0)
        dual = np.log(np.maximum(_product(potentials).sum(axis=(1, 2, 3)), 1e-300))
        impossible = best[going] < least[going] - _ROUNDING
        for table, own in zip(tables, potentials, strict=True):
            logs = np.log(own, out=np.zeros_like(own), where=own > 0)
            dual = dual - (table * logs).sum(axis=(1, 2))
            impossible |= ((table > 0) & (own <= 0)).any(axis=(1, 2))
        best[going] = np.where(impossible, np.nan, np.minimum(best[going], dual / np.log(2)))
        kept = ~impossible & (furthest > _FITTED)
        if not kept.all():
            going, tables = going[kept], [own[kept] for own in tables]
            potentials = [own[kept] for own in potentials]
        if not len(going):
            break
    return best


def _product(potentials: list[Floats]) -> Floats:
    """f(x1, x2) g(x1, y) h(x2, y), (R, a, b, c)."""
    pair, one, two = potentials
    return pair[:, :, :, None] * one[:, :, None, :] * two[:, None]


def _lower_bound(p: Floats, q: Floats) -> Floats:
    """The greatest distribution that both p and q majorise: steps of the smaller of their largest sums."""
    n = max(len(p), len(q))
    largest = [np.cumsum(np.sort(np.pad(own, (0, n - len(own))))[::-1]) for own in (p, q)]
    return np.maximum(np.diff(np.minimum(*largest), prepend=0.0), 0.0)


def _given(own: Floats, pairs: Floats) -> float:
    """The most that the other source can tell of the target of those whose own source is known, I(other; Y | own)."""
    most = 0.0
    for there, others in zip(own, pairs, strict=True):
        share = there.sum()
        if share > 0:
            p, q = there / share, others / max(others.sum(), 1e-300)
            most += share * (entropy(p) + entropy(q) - entropy(_lower_bound(p, q)))
    return float(most)
