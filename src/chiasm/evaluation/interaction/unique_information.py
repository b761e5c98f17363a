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
_SHORTEST = 1e-12
_SMALL = float(np.finfo(np.float64).eps)


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


def unique_information(first: Floats, second: Floats) -> Known:
    """Redundant and unique information of two sources of one target.

    Args:
        first: p(x1, y), (a, c), sums to one.
        second: p(x2, y), (b, c), with the same p(y).

    Raises:
        ValueError: a table that is no distribution, or two of unlike p(y).
        Unsupported: more than 800 cells (x1, x2, y) that may be above zero.
    """
    return unique_informations(first[None], second[None])[0]


def unique_informations(firsts: Floats, seconds: Floats, within: float = EXACT) -> list[Known]:
    """`unique_information` of R pairs of tables, (R, a, c) and (R, b, c), those with the same cells solved together.

    Args:
        within: how far from the minimum it may stop, in nats.
    """
    for first, second in zip(firsts, seconds, strict=True):
        _same_target(first, second)
    support = np.concatenate([(own > 0).reshape(len(own), -1) for own in (firsts, seconds)], axis=1)
    _, kind = np.unique(support, axis=0, return_inverse=True)
    least, excess = np.empty(len(firsts)), np.empty(len(firsts))
    for own in range(int(kind.max(initial=-1)) + 1):
        rows = np.flatnonzero(kind.ravel() == own)
        least[rows], excess[rows] = _least_information(firsts[rows], seconds[rows], within)
    found = []
    for first, second, value, over in zip(firsts, seconds, least.tolist(), excess.tolist(), strict=True):
        one, two = mutual_information(first), mutual_information(second)
        value = max(value, one, two)  # no joint distribution tells less than one of its sources
        found.append(Known(one + two - value, (value - two, value - one), over))
    return found


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


def _least_information(firsts: Floats, seconds: Floats, within: float) -> tuple[Floats, Floats]:
    """The least I_q(X1 X2; Y) of all joint distributions with each pair, in bits, and how far too large at most, (R,).

    The R pairs are above zero in the same cells.
    """
    cells = np.nonzero((firsts[0] > 0)[:, None, :] & (seconds[0] > 0)[None])  # elsewhere q is zero
    if len(cells[0]) > MOST_CELLS:
        raise Unsupported(
            f"{len(cells[0]):,} cells of two sources and a target may be above zero, of which {MOST_CELLS:,} can be "
            "solved: give fewer states to each source"
        )
    targets = firsts.sum(axis=1)
    x1, x2, y = cells
    q = firsts[:, x1, y] * seconds[:, x2, y] / targets[:, y]  # independent given y: inside, and with both pairs
    pair = np.unique(x1 * seconds.shape[1] + x2, return_inverse=True)[1]
    together = np.zeros((pair.max() + 1, len(pair)))
    together[pair, np.arange(len(pair))] = 1.0
    moves = _moves(cells, firsts[0] > 0, seconds[0] > 0)
    used, rest = 0.0, np.zeros(len(q))
    if moves.shape[1]:
        for barrier in _BARRIERS[: 1 + int((within < _BARRIERS).sum())]:
            used = barrier / q.shape[1]
            q, rest = _centred(q, pair, together, moves, used)
    excess = (q.shape[1] * used + rest) / np.log(2)
    told = [entropy(own) - entropy(cell) + entropy(together @ cell) for own, cell in zip(targets, q, strict=True)]
    return np.asarray(told), np.asarray(excess, dtype=np.float64)


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


def _centred(
    q: Floats, pair: NDArray[np.int_], together: Floats, moves: Floats, barrier: float
) -> tuple[Floats, Floats]:
    """The least of sum q log q(y | x1, x2) - barrier sum log q along the moves, from q (R, n); and what is left."""
    q, summed = q.copy(), together @ moves

    def slope(q: Floats) -> Floats:
        return np.log(q) - np.log((q @ together.T)[:, pair])

    def value(q: Floats) -> Floats:
        return np.asarray((q * slope(q)).sum(axis=1) - barrier * np.log(q).sum(axis=1))

    now, rest, going = value(q), np.full(len(q), np.inf), np.arange(len(q))
    for _ in range(_NEWTON_STEPS):
        own = q[going]
        both = own @ together.T
        gradient = slope(own) - barrier / own
        curve = moves.T @ ((1 / own + barrier / own**2)[:, :, None] * moves)
        curve -= summed.T @ ((1 / both)[:, :, None] * summed)
        size = np.sqrt(np.einsum("rdd->rd", curve))  # cells of very unlike probability: no small direction is cut off
        scaled = np.linalg.pinv(
            curve / (size[:, :, None] * size[:, None]), rcond=_SMALL * moves.shape[1], hermitian=True
        )
        step = (np.einsum("rde,re->rd", scaled, -(gradient @ moves) / size) / size) @ moves.T
        fall = -(gradient * step).sum(axis=1)
        rest[going] = fall / 2
        edge = np.where(step < 0, -own / np.where(step < 0, step, -1.0), np.inf).min(axis=1)
        length = np.minimum(1.0, _TO_THE_EDGE * edge)
        then = value(own + length[:, None] * step)
        while (short := (then > now[going] - 0.25 * length * fall) & (length > _SHORTEST)).any():
            length = np.where(short, length / 2, length)
            then = value(own + length[:, None] * step)
        moved = (fall / 2 > _SETTLED * barrier) & (then < now[going])
        going = going[moved]
        if not len(going):
            break
        q[going], now[going] = (own + length[:, None] * step)[moved], then[moved]
    return q, rest
