"""Selection of how often a forest reads each block of columns, by the patients whom its trees left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from chiasm.cohort import Outcome
from chiasm.fitting.base import LEAST_PATIENTS
from chiasm.heads.response import loss_at_level, slope_at_level
from chiasm.linear.forest import Forest
from chiasm.linear.grove import Grove, forest_of
from chiasm.linear.loss import Loss
from chiasm.linear.losses import LOSSES
from chiasm.linear.target_units import TargetUnits

Array = NDArray[np.float64]
Ints = NDArray[np.int_]
Bools = NDArray[np.bool_]
TRIED = 60  # combinations of odds
REACH = 4.0  # odds lie between 2^-4 and 2^4
ALL_SETS = 4  # number of blocks up to which every set of them is tried
MOST_SETS = 31  # beyond
GAIN = 1.0  # log-likelihood that uneven odds must gain, as the best of many gains some by chance
FOR_A_LABEL = 100  # trees for each label at least, of many labels
ALONE = 50  # of so many trees one at least reads a block alone, so that whoever has a block gets votes


@dataclass(frozen=True)
class ChosenForest:
    """A forest, with the odds of its blocks that the patients left out selected.

    Args:
        forest: trees on all patients.
        reads: `(T, M)` the blocks that each tree reads.
        odds: of each block, that a tree reads it.
        prior: `(V,)` votes of the prior, which count as one tree.
        slope: calibration of the link's deviation from the prior, from the links of patients left out.
        links: `(n, K)` calibrated link of each patient, from the trees that were not grown on him.
    """

    forest: Forest
    reads: Bools
    odds: tuple[float, ...]
    prior: Array
    slope: float
    links: Array


def choose_forest(
    kind: str,
    x: NDArray[np.float32],
    widths: Sequence[int],
    present: Bools,
    outcome: Outcome,
    classes: int | None,
    units: Ints,
    trees: int,
    seed: int,
) -> ChosenForest:
    """Grow trees of every set of blocks, select the odds of the blocks, and keep each set's share of trees.

    The trees of a set are in proportion to the product of the odds of its blocks. Links are those of patients left out,
    and odds are compared by the negative log likelihood at its best slope, with a level for each pattern of blocks: who
    has which says nothing.

    Args:
        x: `(n, F)` float32 columns of all blocks side by side; zeros where a patient lacks one.
        widths: number of columns of each of the M blocks.
        present: `(n, M)` who has which block.
        units: `(n,)` patients of one unit are drawn together.
        trees: number of trees; several labels share them, with a hundred each at least.
    """
    loss, scale = LOSSES[kind], TargetUnits.of(kind, outcome)
    inside, rng = scale.inside(outcome), np.random.default_rng(seed)
    prior = loss.prior_votes(inside, classes)
    last = np.cumsum(widths)
    blocks = [(int(end - width), int(end)) for end, width in zip(last, widths, strict=True)]
    sets = _sets(present, rng)
    groves = []
    for own in sets:
        rows, read = np.flatnonzero(present[:, own].all(1)), np.flatnonzero(own)
        growing = loss.growing(inside.take(rows), inside, classes)
        groves.append(Grove(x, rows, [blocks[m] for m in read], growing, units[rows], [seed, *(read + 1).tolist()]))
    trees = max(min(trees, FOR_A_LABEL), trees // len(groves[0].growing))
    poll = _Poll(groves, loss, prior, len(x))
    patterns = np.unique(present, axis=0, return_inverse=True)[1].reshape(-1)
    odds, numbers = _selected(kind, poll, sets, inside, patterns, trees, rng)
    link, level = poll.link(poll.left_out(numbers), np.ones(len(sets))), loss.link_of(prior[None])
    slope = slope_at_level(kind, link, inside, groups=patterns)
    nodes = [grove.nodes(number) for grove, number in zip(groves, numbers, strict=True)]
    forest = forest_of(x.shape[1], len(prior), [tree for own in nodes for tree in own])
    leaf = (forest.feature < 0)[:, None]
    return ChosenForest(
        replace(forest, value=np.where(leaf, scale.outside(forest.value), 0.0)),
        np.repeat(sets, [len(own) for own in nodes], axis=0),
        tuple(odds.tolist()),
        scale.outside(prior),
        slope,
        scale.outside(level + slope * (link - level)),
    )


Polled = list[tuple[Array, Array]]


@dataclass(frozen=True)
class _Poll:
    """The votes of trees on whom they left out."""

    groves: Sequence[Grove]
    loss: Loss
    prior: Array
    patients: int

    def left_out(self, numbers: Sequence[int] | Ints) -> Polled:
        """Grow so many trees of each set, and poll them on whom they left out."""
        found = []
        for grove, number in zip(self.groves, numbers, strict=True):
            grove.grow(int(number))
            found.append(grove.left_out(int(number)))
        return found

    def link(self, polled: Polled, factors: Array) -> Array:
        """Link `(n, K)` of every patient, where the votes of each set count `factors` times; the prior without any."""
        sums, numbers = (np.zeros((self.patients, len(self.prior))) for _ in range(2))
        for grove, (own, cast), factor in zip(self.groves, polled, factors, strict=True):
            sums[grove.rows] += factor * own
            numbers[grove.rows] += factor * cast
        return self.loss.link_of((sums + self.prior) / (numbers + 1.0))


def _selected(
    kind: str, poll: _Poll, sets: Bools, outcome: Outcome, patterns: Ints, trees: int, rng: np.random.Generator
) -> tuple[Array, Ints]:
    """Return the selected odds `(M,)` of the blocks and the number of trees `(S,)` of each set."""
    even = np.zeros((1, sets.shape[1]))
    if len(sets) == 1:
        return 2.0 ** even[0], np.array([trees])
    tried = np.concatenate([even, rng.uniform(-REACH, REACH, (TRIED - 1, sets.shape[1]))])
    every = -(-trees // len(sets))
    polled = poll.left_out([every] * len(sets))
    numbers = [_numbers(sets, own, trees) for own in tried]
    losses = np.array([loss_at_level(kind, poll.link(polled, own / every), outcome, patterns) for own in numbers])
    best = int(losses.argmin())
    best = best if losses[best] < losses[0] - GAIN else 0
    return 2.0 ** tried[best], numbers[best]


def _sets(present: Bools, rng: np.random.Generator) -> Bools:
    """List sets of blocks `(S, M)`, each of which ten patients have: every one of a few blocks, or some that are drawn.

    A block alone comes first, and always.
    """
    blocks = present.shape[1]
    if blocks <= ALL_SETS:
        wanted = np.array([[code >> m & 1 for m in range(blocks)] for code in range(1, 1 << blocks)], bool)
    else:
        wanted = np.concatenate([np.eye(blocks, dtype=bool), rng.random((4 * MOST_SETS, blocks)) < 0.5])
    kept: dict[tuple[bool, ...], None] = dict.fromkeys(tuple(row) for row in np.eye(blocks, dtype=bool).tolist())
    for own in wanted:
        if len(kept) < max(MOST_SETS, blocks) and own.any() and present[:, own].all(1).sum() >= LEAST_PATIENTS:
            kept[tuple(own.tolist())] = None
    return np.array(list(kept), bool)


def _numbers(sets: Bools, odds: Array, trees: int) -> Ints:
    """Number of trees `(S,)` of each set, in proportion to the product of the odds, as powers of two `(M,)`."""
    power = sets @ odds
    exact = np.exp2(power - power.max())
    exact = exact / exact.sum() * trees
    number = np.floor(exact).astype(int)
    most = np.argsort(number - exact, kind="stable")[: trees - int(number.sum())]
    number[most] += 1
    least = max(1, trees // ALONE)
    return np.asarray(np.where(sets.sum(1) == 1, np.maximum(number, least), number))
