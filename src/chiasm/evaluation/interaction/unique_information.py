"""What two sources know of a target in common and each alone, which the two pairs of source and target decide.

Of all joint distributions q(x1, x2, y) that have the given pairs q(x1, y) = p(x1, y) and q(x2, y) = p(x2, y), take the
one in which both sources together tell least of y. What they tell there is no synergy (Bertschinger et al., Entropy
2014, "Quantifying unique information"):

    least = min_q I_q(X1 X2; Y),   U1 = least - I(X2; Y),   U2 = least - I(X1; Y),   R = I(X1; Y) + I(X2; Y) - least

The minimum is convex. It is found by Newton's method within a logarithmic barrier, in the directions that leave both
pairs as they are. Where Newton's method has come to the least of a barrier of weight mu on n cells, it is at most n mu
above the minimum (Boyd and Vandenberghe, Convex Optimization, 11.2.2); `Known.excess` is that, and half of the last
squared Newton decrement, by which it had not quite come there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chiasm.errors import Unsupported
from chiasm.metrics.weighted import Floats

MOST_CELLS = 800  # of (x1, x2, y) that may be above zero: a Newton step solves a system of about as many unknowns
_SUMS_TO_ONE = 1e-9
EXACT = 0.0  # nats: to the end of the barriers
_BARRIERS = 0.5 * 0.2 ** np.arange(17)  # over n cells: to 3e-12 nat
_NEWTON_STEPS = 60
_SETTLED = 1e-9  # half the Newton decrement, over the barrier's weight
_TO_THE_EDGE = 0.95


@dataclass(frozen=True)
class Known:
    """What two sources know of a target, in bits.

    Attributes:
        redundancy: what either tells.
        unique: what the first alone tells, and what the second alone tells.
        excess: `unique` are at most this much too large, and `redundancy` as much too small.
    """

    redundancy: float
    unique: tuple[float, float]
    excess: float


def unique_information(first: Floats, second: Floats, within: float = EXACT) -> Known:
    """Redundant and unique information of two sources of one target.

    Args:
        first: p(x1, y), (a, c), sums to one.
        second: p(x2, y), (b, c), with the same p(y).
        within: how far from the minimum it may stop, in nats.

    Raises:
        ValueError: a table that is no distribution, or two of unlike p(y).
        Unsupported: more than 800 cells (x1, x2, y) that may be above zero.
    """
    _same_target(first, second)
    least, excess = _least_information(first, second, within)
    one, two = mutual_information(first), mutual_information(second)
    least = max(least, one, two)  # no joint distribution tells less than one of its sources
    return Known(one + two - least, (least - two, least - one), excess)


def mutual_information(joint: Floats) -> float:
    """I(A; B) = H(A) + H(B) - H(A, B) of p(a, b), (a, b), in bits."""
    return max(0.0, entropy(joint.sum(axis=1)) + entropy(joint.sum(axis=0)) - entropy(joint))


def entropy(p: Floats) -> float:
    """-sum p log2 p over all cells, with 0 log 0 = 0."""
    some = p[p > 0]
    return float(-(some * np.log2(some)).sum())


def as_distribution(table: Floats, name: str) -> Floats:
    """The table as float64, refused where it is no distribution."""
    table = np.asarray(table, dtype=np.float64)
    if not np.isfinite(table).all() or (table < 0).any() or abs(table.sum() - 1) > _SUMS_TO_ONE:
        raise ValueError(f"{name} is no distribution: its cells are to be zero or more and to sum to one")
    return table


def _same_target(first: Floats, second: Floats) -> None:
    first, second = as_distribution(first, "the first pair"), as_distribution(second, "the second pair")
    if first.shape[1:] != second.shape[1:] or np.abs(first.sum(axis=0) - second.sum(axis=0)).max() > _SUMS_TO_ONE:
        raise ValueError("the two pairs are of unlike targets: p(y) is to be the same in both")


def _least_information(first: Floats, second: Floats, within: float) -> tuple[float, float]:
    """The least I_q(X1 X2; Y) of all joint distributions with these pairs, in bits, and how far too large at most."""
    cells = np.nonzero((first > 0)[:, None, :] & (second > 0)[None])  # elsewhere q is zero
    if len(cells[0]) > MOST_CELLS:
        raise Unsupported(
            f"{len(cells[0]):,} cells of two sources and a target may be above zero, of which {MOST_CELLS:,} can be "
            "solved: give fewer states to each source"
        )
    target = first.sum(axis=0)
    x1, x2, y = cells
    q = first[x1, y] * second[x2, y] / target[y]  # the sources independent given y: inside, and with both pairs
    pair = np.unique(x1 * second.shape[0] + x2, return_inverse=True)[1]
    moves = _moves(cells, first > 0, second > 0)
    used = rest = 0.0
    if moves.shape[1]:
        for barrier in _BARRIERS[: 1 + int((within < _BARRIERS).sum())]:
            used = barrier / len(q)
            q, rest = _centred(q, pair, moves, used)
    excess = (len(q) * used + rest) / np.log(2)
    return entropy(target) - entropy(q) + entropy(np.asarray(np.bincount(pair, weights=q), dtype=np.float64)), excess


def _moves(cells: tuple[NDArray[np.int_], ...], first: NDArray[np.bool_], second: NDArray[np.bool_]) -> Floats:
    """Directions that leave both pairs as they are, (n cells, directions): two rows and two columns of one y."""
    place = {cell: k for k, cell in enumerate(zip(*(axis.tolist() for axis in cells), strict=True))}
    columns = []
    for y in range(first.shape[1]):
        rows, others = np.flatnonzero(first[:, y]).tolist(), np.flatnonzero(second[:, y]).tolist()
        for i in rows[1:]:
            for j in others[1:]:
                column = np.zeros(len(place))
                column[[place[rows[0], others[0], y], place[i, j, y]]] = 1.0
                column[[place[rows[0], j, y], place[i, others[0], y]]] = -1.0
                columns.append(column)
    return np.stack(columns, axis=1) if columns else np.empty((len(place), 0))


def _centred(q: Floats, pair: NDArray[np.int_], moves: Floats, barrier: float) -> tuple[Floats, float]:
    """The least of sum q log q(y | x1, x2) - barrier sum log q along the moves, from q; what is left, in nats."""
    together = np.zeros((pair.max() + 1, len(q)))
    together[pair, np.arange(len(q))] = 1.0

    def value(q: Floats) -> float:
        return float((q * (np.log(q) - np.log((together @ q)[pair]))).sum() - barrier * np.log(q).sum())

    now, fall = value(q), np.inf
    for _ in range(_NEWTON_STEPS):
        both = together @ q
        gradient = moves.T @ (np.log(q) - np.log(both[pair]) - barrier / q)
        curve = moves.T @ (moves * (1 / q + barrier / q**2)[:, None])
        summed = together @ moves
        curve -= summed.T @ (summed / both[:, None])
        size = np.sqrt(np.diag(curve))  # cells of very unlike probability: no direction is cut off for being small
        step = moves @ (np.linalg.lstsq(curve / np.outer(size, size), -gradient / size, rcond=None)[0] / size)
        fall = -float((np.log(q) - np.log(both[pair]) - barrier / q) @ step)
        if fall / 2 <= _SETTLED * barrier:
            break
        down = step < 0
        length = min(1.0, _TO_THE_EDGE * float((-q[down] / step[down]).min()) if down.any() else 1.0)
        while (then := value(q + length * step)) > now - 0.25 * length * fall and length > 1e-12:
            length /= 2
        if then >= now:
            break
        q, now = q + length * step, then
    return q, fall / 2
