"""What both sources know of an outcome, each alone, and only both together, estimated from patients, with intervals.

The table p(x1, x2, y) is the weighted share of patients in each cell, in the mean of repeats, and its parts are
`unique_information` of its pairs; the synergy is what is left of I(X1 X2; Y). Few patients make every information too
large (Miller 1955; Panzeri et al. 2007), so that of each part the bias is estimated and taken away:

    bias = mean over the draws - of the patients,    part = of the patients - bias

over bootstrap draws of patients (groups as a whole), in whose tables the shares of the patients are the truth. The
interval has the lower of the lower ends, and the higher of the higher ones, of two: the quantiles of the draws less
twice the bias, and twice the part of the patients less the quantiles of the draws (the basic bootstrap; Davison and
Hinkley 1997): an information near zero is skewed to the right, and varies the more the larger it is. Parts
below zero are set to zero and the others made smaller by as much, so that they still sum to what both tell together.
Intervals are conditional on the states. Beside it stands the control: what both tell of outcomes that are shuffled
among the patients, of which nothing can be told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from chiasm.evaluation.estimates import percentile_interval
from chiasm.evaluation.interaction.unique_information import EXACT, entropy, mutual_information, unique_informations
from chiasm.evaluation.intervals import Counts
from chiasm.metrics.weighted import Floats

Ints = NDArray[np.int_]
PARTS = ("redundant", "first_alone", "second_alone", "synergy")
TOLD = (*PARTS, "together", "adds_first", "adds_second")
SHUFFLES = 200
_OF_DRAWS = 1e-5  # nats, far below the spread of the draws
CHANCE = 0.95


@dataclass(frozen=True)
class Estimated:
    """An information in bits, with its 95 % interval; NaN where it is not known."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Decomposed:
    """What two sources tell of an outcome, in bits.

    Attributes:
        parts: `redundant`, `first_alone`, `second_alone`, `synergy`, their sum `together`, and `adds_first`,
            `adds_second`: what each tells beside the other, its own part and the synergy.
        entropy: H(Y), what there is to tell.
        chance: what both together tell of shuffled outcomes, in the mean, and at most in 95 % of the shuffles, before
            the bias is taken away, as `plain` is.
        plain: `together` before the bias is taken away.
        bias: of each of `parts`, what was taken away.
    """

    parts: dict[str, Estimated]
    entropy: float
    chance: tuple[float, float]
    plain: float
    bias: dict[str, float]

    @property
    def told(self) -> bool:
        """True if both tell more than of shuffled outcomes, and the interval does not hold zero."""
        return self.plain > self.chance[1] and self.parts["together"].low > 0


def parts_of(joints: Floats, within: float = EXACT) -> Floats:
    """The information `TOLD` of tables p(x1, x2, y), (R, a, b, c), in bits, to `within` nats: (R, 7)."""
    found = []
    for joint, known in zip(joints, unique_informations(joints.sum(axis=2), joints.sum(axis=1), within), strict=True):
        both = mutual_information(joint.reshape(-1, joint.shape[2]))
        first, second = known.unique
        synergy = max(0.0, both - known.redundancy - first - second)
        found.append([known.redundancy, first, second, synergy, both, first + synergy, second + synergy])
    return np.asarray(found)


@dataclass(frozen=True)
class Labelled:
    """The states of n patients who have both, in one repeat, the same patients in each: codes and weights, (n,)."""

    rows: Ints
    first: Ints
    second: Ints
    outcome: Ints
    weight: Floats


def tables(repeats: Sequence[Labelled], shape: tuple[int, int, int], counts: Counts | None) -> Floats:
    """p(x1, x2, y) in the mean of repeats, (R, a, b, c); R = 1 without draws, (R, N) counts over the cohort."""
    size = int(np.prod(shape))
    found = []
    for own in repeats:
        cell = np.ravel_multi_index((own.first, own.second, own.outcome), shape)
        if counts is None:
            summed = np.bincount(cell, weights=own.weight, minlength=size)[None].astype(np.float64)
        else:
            of_cell = np.zeros((len(cell), size))
            of_cell[np.arange(len(cell)), cell] = own.weight
            summed = counts[:, own.rows].astype(np.float64) @ of_cell
        found.append(summed / np.maximum(summed.sum(axis=1, keepdims=True), 1e-300))
    return np.asarray(np.mean(found, axis=0).reshape(-1, *shape), dtype=np.float64)


def decomposed(repeats: Sequence[Labelled], shape: tuple[int, int, int], draws: Counts, seed: int) -> Decomposed:
    """Estimate the parts from the same patients in each repeat, perhaps in other states.

    Args:
        shape: numbers of states (a, b, c).
        draws: (R, N) counts over the cohort.
        seed: of the shuffles, which do not regard groups.

    Raises:
        Unsupported: too many states, as `unique_information` says.
    """
    joint = tables(repeats, shape, None)[0]
    own = parts_of(joint[None])[0]
    drawn = parts_of(tables(repeats, shape, draws), _OF_DRAWS)
    bias = drawn.mean(axis=0) - own
    corrected = own - bias
    corrected[:4] = summing(corrected[:4], corrected[4])
    corrected[4:] = [corrected[:4].sum(), corrected[1] + corrected[3], corrected[2] + corrected[3]]
    parts, most = {}, entropy(joint.sum(axis=(0, 1)))
    for k, name in enumerate(TOLD):
        ends = np.array(percentile_interval(drawn[:, k]))
        turned = 2 * own[k] - ends[::-1]
        low, high = np.clip([min(ends[0] - 2 * bias[k], turned[0]), max(ends[1] - 2 * bias[k], turned[1])], 0.0, most)
        value = float(corrected[k])
        parts[name] = Estimated(value, float(min(low, value)), float(max(high, value)))
    shuffled = _shuffled(repeats, shape, seed)
    chance = float(shuffled.mean()), float(np.quantile(shuffled, CHANCE))
    return Decomposed(parts, most, chance, float(own[4]), dict(zip(TOLD, bias.tolist(), strict=True)))


def summing(parts: Floats, total: float) -> Floats:
    """The nearest parts of zero or more that sum to the total, (4,); all zero where that is not above zero.

    Euclidean projection on a simplex (Duchi et al., ICML 2008).
    """
    if total <= 0:
        return np.zeros(len(parts))
    ordered = np.sort(parts)[::-1]
    over = (np.cumsum(ordered) - total) / np.arange(1, len(parts) + 1)
    least = over[np.flatnonzero(ordered > over)[-1]]
    return np.asarray(np.maximum(parts - least, 0.0), dtype=np.float64)


def _shuffled(repeats: Sequence[Labelled], shape: tuple[int, int, int], seed: int) -> Floats:
    """What both together tell of outcomes, with their weights, shuffled among the patients of a repeat, (S,)."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, len(repeats)]))
    found = []
    for _ in range(SHUFFLES):
        other = rng.permutation(len(repeats[0].rows))
        turned = [replace(own, outcome=own.outcome[other], weight=own.weight[other]) for own in repeats]
        found.append(mutual_information(tables(turned, shape, None)[0].reshape(-1, shape[2])))
    return np.asarray(found)
