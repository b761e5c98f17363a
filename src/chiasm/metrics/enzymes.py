"""Enzyme Commission numbers predicted: right to each of four levels, and hierarchical precision, recall and F1."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from chiasm.metrics.weighted import Floats, as_weights, ratio

Node = tuple[str, ...]
LEVELS = 4
CLASSES = 7
_NUMBER = re.compile(r"(?:EC[\s:]*)?([1-9]\d*|-)(?:\.(n?\d+|-))?(?:\.(n?\d+|-))?(?:\.(n?\d+|-))?", re.IGNORECASE)


@dataclass(frozen=True)
class EnzymeTerms:
    """What each item adds to the scores, so that draws of a bootstrap are sums.

    Args:
        levels: `(n, 4)` 1 where the numbers are right to this level, 0 where not, NaN where the truth does not reach.
        common, predicted, true: `(n,)` number of nodes of the hierarchy that prediction and truth share, that the
            prediction has, and that the truth has.
        unreadable: items whose prediction is no number of the Enzyme Commission, and counts as none.
    """

    levels: Floats
    common: Floats
    predicted: Floats
    true: Floats
    unreadable: int


def parse_enzyme(text: str) -> Node:
    """Return the known levels of a number, as `("1", "1")` of `EC 1.1.-.-`.

    A level is a number from 1, the last also a preliminary one (`n2`), and `-` or nothing where it is not known.

    Raises:
        ValueError: no such number, a class above 7, or a known level below an unknown one; the text is not repeated.
    """
    found = _NUMBER.fullmatch(text.strip())
    levels = [level for level in found.groups() if level is not None] if found else []
    known = [level.lower() for level in levels if level != "-"]
    if not known or "-" in levels[: len(known)]:
        raise ValueError("a number of the Enzyme Commission is written as 1.1.1.1, or 1.1.-.- if known in part")
    if int(known[0]) > CLASSES:
        raise ValueError(f"a number of the Enzyme Commission has a class of 1 to {CLASSES}")
    if any(level.startswith("n") for level in known[:3]):
        raise ValueError("only the last level of a number of the Enzyme Commission is preliminary, as in 1.1.1.n2")
    return tuple(known)


def parse_enzymes(text: str) -> frozenset[Node]:
    """Return the numbers of a cell, which `;`, `,`, `|` or white space part; an empty cell has none.

    Raises:
        ValueError: as `parse_enzyme`.
    """
    parts = re.split(r"[;,|\s]+", re.sub(r"EC[\s:]*", "", text, flags=re.IGNORECASE).strip())
    return _deepest({parse_enzyme(part) for part in parts if part})


def enzyme_terms(true: Sequence[str], predicted: Sequence[str]) -> EnzymeTerms:
    """Compare predicted numbers with true ones, item by item.

    Right to level l: the sets of numbers cut to l levels are equal; asked only of items all of whose true numbers reach
    l. Hierarchical (Kiritchenko et al. 2005): of a number and all above it, 1 and 1.1 and 1.1.1, the nodes both have.
    Where the truth is known in part, as 1.1.-.-, what a prediction says below is neither right nor wrong, and is cut.

    Args:
        true, predicted: n cells, each one number, several, or none if predicted.

    Raises:
        ValueError: numbers of rows that differ, or a true cell that is empty or no number, named by its row.
    """
    if len(true) != len(predicted):
        raise ValueError(f"{len(predicted):,} predictions for {len(true):,} items: give one an item")
    n = len(true)
    levels, sums = np.full((n, LEVELS), np.nan), np.zeros((3, n))
    unreadable = 0
    for row, (cell, guess) in enumerate(zip(true, predicted, strict=True)):
        try:
            truth = parse_enzymes(cell)
        except ValueError as problem:
            raise ValueError(f"the true number of item {row + 1:,} cannot be read: {problem}") from None
        if not truth:
            raise ValueError(f"item {row + 1:,} has no true number: leave it out")
        try:
            said = parse_enzymes(guess)
        except ValueError:
            said, unreadable = frozenset(), unreadable + 1
        reach = min(len(node) for node in truth)
        for level in range(1, reach + 1):
            cut = {node[:level] for node in said}
            levels[row, level - 1] = cut == {node[:level] for node in truth}
        ours, theirs = _closure(truth), _closure({_judged(node, truth) for node in said})
        sums[:, row] = len(ours & theirs), len(theirs), len(ours)
    return EnzymeTerms(levels, sums[0], sums[1], sums[2], unreadable)


def enzyme_scores(terms: EnzymeTerms, weights: ArrayLike | None = None) -> pd.DataFrame:
    """Compute the scores, one row a draw: `level_1` ... `level_4`, `precision`, `recall` and `f1`.

    Hierarchical precision is the nodes in common over those predicted, recall over the true ones, each summed over all
    items before dividing; F1 is their harmonic mean.

    Args:
        weights: (R, n) counts of a bootstrap; None gives the scores themselves, R = 1.

    Returns:
        `(R, 7)`; NaN where there is nothing to divide by.
    """
    w = as_weights(weights, len(terms.common))
    asked = ~np.isnan(terms.levels)
    levels = ratio(w @ np.where(asked, terms.levels, 0.0), w @ asked)
    found = {f"level_{k + 1}": levels[:, k] for k in range(LEVELS)}
    common, predicted, true = w @ terms.common, w @ terms.predicted, w @ terms.true
    precision, recall, f1 = ratio(common, predicted), ratio(common, true), ratio(2 * common, predicted + true)
    return pd.DataFrame(found | {"precision": precision, "recall": recall, "f1": f1})


def _deepest(nodes: Collection[Node]) -> frozenset[Node]:
    """Leave out a number that another one of the same cell says more closely."""
    return frozenset(node for node in nodes if not any(node != own and own[: len(node)] == node for own in nodes))


def _closure(nodes: Collection[Node]) -> set[Node]:
    return {node[:level] for node in nodes for level in range(1, len(node) + 1)}


def _judged(node: Node, truth: Collection[Node]) -> Node:
    """Cut what a prediction says below the deepest level that is known of a true number above it."""
    above = [own for own in truth if node[: len(own)] == own]
    return max(above, key=len) if above else node
