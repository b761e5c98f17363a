"""How much of given coefficients a multi-penalty ridge borrows, chosen on inner folds: nothing, or a block of a score.

    link = level + sum_b x_b delta_b + score tau      with   score = sum_b x_b beta_b
    under   sum_b penalty_b / 2 |delta_b|^2 + penalty_0 / 2 |tau|^2

That is a ridge of `coef_b = beta_b tau + delta_b`: the coefficients are shrunk towards tau times the given ones,
instead of towards zero, and tau itself is fitted under a penalty of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chiasm.cohort import Outcome
from chiasm.fitting.block_choice import TOGETHER, ChosenBlocks, choose_blocks
from chiasm.targets import kind_of

Array = NDArray[np.float64]
BORROWED = 2.0
"""Log likelihood that borrowing must gain on held-out patients: fixed beforehand, and less is noise. Out of fold, a
column that says nothing gains about chi-square(1) / 2 - 1, more where penalties are chosen with it; above 2 that is
beyond two and a half standard errors."""


@dataclass(frozen=True)
class Borrowing:
    """A ridge that may have borrowed.

    Args:
        chosen: the selected penalties and the fit; its last block is that of the score, where any was borrowed.
        blocks: coefficients `(F_b, K)` of each block, with what was borrowed in them.
        tau: coefficients `(k, K)` of the score; None where nothing was borrowed.
        gain: log likelihood that borrowing gained on held-out patients, whether or not it was enough.
    """

    chosen: ChosenBlocks
    blocks: tuple[Array, ...]
    tau: Array | None
    gain: float


def choose_borrowing(
    kind: str,
    values: Sequence[Array],
    outcome: Outcome,
    folds: NDArray[np.int_],
    classes: int | None,
    held: Sequence[float | None],
    given: Sequence[Array],
    base: ChosenBlocks,
) -> Borrowing:
    """Select the penalties with the score too, from those without on, and keep the score if it gains enough.

    It must gain `BORROWED`, and tell patients apart the way it does where it is from. Where it does not, what comes
    back is the choice without it, to the bit.

    Args:
        values, outcome, folds, classes, held: as for `choose_blocks`.
        given: coefficients `(F_b, K)` of each block.
        base: the choice without a score.
    """
    has_classes = kind_of(kind).has_classes
    score = np.sum([own @ coef for own, coef in zip(values, given, strict=True)], axis=0)  # (n, K)
    ways = [reduced(own) if has_classes else own for own in given]
    columns = reduced(score) if has_classes else score
    if not np.ptp(columns, axis=0).any():
        return Borrowing(base, base.blocks, None, 0.0)
    starts = [(*base.powers, power) for power in TOGETHER]
    found = choose_blocks(kind, [*values, columns], outcome, folds, classes, [*held, None], starts=starts)
    gain, tau = base.loss - found.loss, found.blocks[-1]
    theirs, ours = (about_mean(own, across=has_classes) for own in (score, columns @ tau))
    if gain <= BORROWED or np.sum(theirs * ours) <= 0:
        return Borrowing(base, base.blocks, None, gain)
    blocks = tuple(own + way @ tau for own, way in zip(found.blocks[:-1], ways, strict=True))
    return Borrowing(found, blocks, tau, gain)


def reduced(links: Array) -> Array:
    """Return the columns of the links of classes, `(n, K)`, that differ; of two classes the difference, `(n, 1)`."""
    return links[:, 1:] - links[:, :1] if links.shape[1] == 2 else links


def about_mean(links: Array, *, across: bool) -> Array:
    """Return links `(n, K)` without their mean, and with `across` without what all classes share."""
    own = links - links.mean(1, keepdims=True) if across else links
    return np.asarray(own - own.mean(0))
