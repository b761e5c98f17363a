"""How much of given coefficients a multi-penalty ridge borrows, chosen on inner folds: nothing, or some scores.

    link = level + sum_b x_b delta_b + score tau      with   score = sum_b x_b beta_b
    under   sum_b penalty_b / 2 |delta_b|^2 + penalty_0 / 2 |tau|^2

That is a ridge of `coef_b = beta_b tau + delta_b`: the coefficients are shrunk towards tau times the given ones,
instead of towards zero, and tau itself is fitted under a penalty of its own. A score may also be given as it is,
without coefficients that make it up; it is then one more column. Each source that is borrowed from has a tau.
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
class Offer:
    """What one source tells of the training patients.

    Args:
        links: `(n, K)` its score.
        coefficients: `(F_b, K)` of each block, where these make up the score; None where only the score is known.
    """

    links: Array
    coefficients: tuple[Array, ...] | None = None

    @classmethod
    def of(cls, values: Sequence[Array], coefficients: Sequence[Array]) -> Offer:
        """Offer coefficients of each block of `values`, and the score that they make up."""
        links = [own @ coef for own, coef in zip(values, coefficients, strict=True)]
        return cls(np.asarray(np.sum(links, axis=0)), tuple(coefficients))


@dataclass(frozen=True)
class Borrowing:
    """A ridge that may have borrowed.

    Args:
        chosen: the selected penalties and the fit; its last blocks are those of the scores that were borrowed.
        blocks: coefficients `(F_b, K)` of each block, with the coefficients that were borrowed in them.
        taus: of each source the coefficients `(k, K)` of its score; None where nothing was borrowed of it.
        gain: log likelihood that borrowing gained on held-out patients, whether or not it was enough.
    """

    chosen: ChosenBlocks
    blocks: tuple[Array, ...]
    taus: tuple[Array | None, ...]
    gain: float


@dataclass(frozen=True)
class Setting:
    """What the choice is made on: as for `choose_blocks`, with `base`, the choice without a score."""

    kind: str
    values: Sequence[Array]
    outcome: Outcome
    folds: NDArray[np.int_]
    classes: int | None
    held: Sequence[float | None]
    base: ChosenBlocks


def choose_borrowing(setting: Setting, offers: Sequence[Offer]) -> Borrowing:
    """Borrow from one source after another, each time from the one that gains most, for as long as it gains enough.

    A score must gain `BORROWED`, and the logarithm of the number of sources beyond it, and tell patients apart the way
    it does where it is from. Penalties are selected with
    it too, from those without it on. Where nothing is borrowed what comes back is the choice without, to the bit.

    Args:
        offers: what each source tells; one whose score is the same for every patient is left alone.
    """
    has_classes, base = kind_of(setting.kind).has_classes, setting.base
    columns = [reduced(own.links) if has_classes else own.links for own in offers]
    left = [place for place, own in enumerate(columns) if np.ptp(own, axis=0).any()]
    taken, found, gains = list[int](), base, list[float]()
    enough = BORROWED + np.log(max(len(left), 1))  # the best of several that say nothing gains so much more
    while left:
        tried = {place: _with(setting, [columns[own] for own in (*taken, place)], found) for place in left}
        place = min(left, key=lambda own: tried[own].loss)
        gains.append(found.loss - tried[place].loss)
        if gains[-1] <= enough:
            break
        left.remove(place)
        if _alike(offers[place].links, columns[place] @ tried[place].blocks[-1], across=has_classes):
            taken.append(place)
            found = tried[place]
    gain = base.loss - found.loss if taken else max(gains, default=0.0)
    own = len(setting.values)
    taus = dict(zip(taken, found.blocks[own:], strict=True)) if taken else {}
    blocks = list(found.blocks[:own])
    for place, tau in taus.items():
        for block, given in enumerate(offers[place].coefficients or ()):
            blocks[block] = blocks[block] + (reduced(given) if has_classes else given) @ tau
    return Borrowing(found, tuple(blocks), tuple(taus.get(place) for place in range(len(offers))), gain)


def _with(setting: Setting, scores: Sequence[Array], before: ChosenBlocks) -> ChosenBlocks:
    """Select the penalties with these scores, of which all but the last were chosen already."""
    return choose_blocks(
        setting.kind,
        [*setting.values, *scores],
        setting.outcome,
        setting.folds,
        setting.classes,
        [*setting.held, *[None] * len(scores)],
        starts=[(*before.powers, power) for power in TOGETHER],
    )


def _alike(theirs: Array, ours: Array, *, across: bool) -> bool:
    """True if what a score adds here tells patients apart the way the score itself does."""
    return bool(np.sum(about_mean(theirs, across=across) * about_mean(ours, across=across)) > 0)


def reduced(links: Array) -> Array:
    """Return the columns of the links of classes, `(n, K)`, that differ; of two classes the difference, `(n, 1)`."""
    return links[:, 1:] - links[:, :1] if links.shape[1] == 2 else links


def expanded(columns: Array, classes: int) -> Array:
    """Return links `(n, K)` of reduced columns: of two classes the first is zero, and the second the difference."""
    return (
        np.concatenate([np.zeros_like(columns), columns], axis=1) if classes == 2 and columns.shape[1] == 1 else columns
    )


def about_mean(links: Array, *, across: bool) -> Array:
    """Return links `(n, K)` without their mean, and with `across` without what all classes share."""
    own = links - links.mean(1, keepdims=True) if across else links
    return np.asarray(own - own.mean(0))
