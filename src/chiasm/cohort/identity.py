"""Sequence identity: pairs that reach a threshold by exact alignment, and the groups that must not be split."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chiasm.cohort.shared_words import most_edits, possible_pairs
from chiasm.errors import Unsupported
from chiasm.progress import followed

Ints = NDArray[np.int_]
OVER = ("shorter", "longer")
SHUFFLED = 200
"""Pairs of shuffled sequences that are aligned to see what identity chance reaches."""
MOST_BY_CHANCE = 0.05
"""Share of shuffled pairs at the threshold from which groups would say nothing but chance."""

DNA = "ACGTNRYSWKMBDHV"
_COMPLEMENT = str.maketrans(DNA, "TGCANYRSWMKVHDB")


@dataclass(frozen=True)
class Identical:
    """Groups of sequences that are alike, directly or through others.

    Args:
        groups: `(n,)` number of the group of each sequence, from 0, in the order of their first sequences.
        threshold: identity at or above which two sequences are of one group.
        over: length that identity is a share of, "shorter" or "longer".
        pairs: number of pairs of different sequences.
        aligned: how many of them were aligned; the rest is below the threshold by the bound on common words, or was of
            one group already.
        linked: how many of the aligned reach the threshold.
        repeats: number of sequences that are letter for letter one that stands before.
        by_chance: share of 200 pairs of shuffled sequences that reach the threshold; where it is above zero, groups
            hold sequences that have nothing in common, which makes a split safe and coarse.
    """

    groups: Ints
    threshold: float
    over: str
    pairs: int
    aligned: int
    linked: int
    repeats: int
    by_chance: float

    def __repr__(self) -> str:
        return f"{int(self.groups.max()) + 1:,} groups of {len(self.groups):,} sequences at {self.threshold:g} identity"


def identity(a: str, b: str, over: str = "shorter") -> float:
    """Return the share of a sequence that an alignment leaves as it is, from 0 to 1.

    `1 - d / n`. Over the shorter one: n its length, d the fewest letters changed, dropped or put in that make it a part
    of the longer one, so that a fragment has identity 1 with its whole. Over the longer one: n its length, d the edit
    distance of both whole.

    Deviation: programs such as CD-HIT count equal letters over the shorter length and leave out gaps in it; here each
    letter of a gap counts as a difference. A letter that stands for several (N, X) equals itself alone.

    Raises:
        ValueError: an empty sequence, or another `over`.
        Unsupported: edlib is not installed.
    """
    _require(over, 1.0)
    shorter, longer = sorted((a, b), key=len)
    if not shorter:
        raise ValueError("an empty sequence has no identity with another: leave it out")
    counted = len(shorter if over == "shorter" else longer)
    distance = _edlib().align(shorter, longer, mode=_mode(over), task="distance")["editDistance"]
    return 1 - float(distance) / counted


def identity_groups(
    sequences: Sequence[str],
    threshold: float,
    *,
    over: str = "shorter",
    both_strands: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Identical:
    """Group sequences so that no two of different groups have an identity of `threshold` or more.

    Groups are the connected components of the pairs at or above the threshold. No such pair is missed: what is not
    aligned shares fewer words than any such pair has to (`shared_words`), and what is left is aligned exactly.

    Args:
        sequences: proteins, DNA or RNA as letters; small letters count as capitals, white space is dropped.
        threshold: identity above 0 and at most 1, as in `identity`.
        over: "shorter", by which a fragment is of the group of its whole, or "longer".
        both_strands: DNA is also compared with the other strand (its reverse complement).
        progress: called with (sequences compared with all others, all); None draws a bar in a terminal or notebook.

    Raises:
        ValueError: no sequence, an empty one, a threshold outside of 0 to 1, one that more than a twentieth of shuffled
            sequences reach, or two strands of what is not DNA.
        Unsupported: edlib is not installed.
    """
    _require(over, threshold)
    lacking = next((k for k, sequence in enumerate(sequences) if not isinstance(sequence, str)), None)
    if lacking is not None:
        raise ValueError(f"sequence {lacking + 1:,} is no text: leave it out")
    plain = [re.sub(r"\s+", "", sequence).upper() for sequence in sequences]
    if not plain:
        raise ValueError("there is no sequence to group")
    if "" in plain:
        raise ValueError(f"sequence {plain.index('') + 1:,} is empty: leave it out")
    if both_strands:
        plain = [sequence.replace("U", "T") for sequence in plain]
        if foreign := set().union(*map(set, plain)) - set(DNA):
            raise ValueError(f"the sequences have the letter '{min(foreign)}': only DNA has two strands")
    first: dict[str, int] = {}
    member = np.array([first.setdefault(sequence, len(first)) for sequence in plain])
    by_chance = _by_chance(list(first), threshold, over)
    if by_chance > MOST_BY_CHANCE:
        raise ValueError(
            f"an identity of {threshold:g} is reached by {by_chance:.0%} of sequences that are shuffled, so that all "
            "would be one group by chance: give a higher threshold, or compare proteins in place of their DNA"
        )
    with followed("sequences", progress) as told:
        parent, aligned, linked = _linked(list(first), threshold, over, both_strands, told)
    roots = np.array([_root(parent, row) for row in range(len(first))])[member]
    _, start, groups = np.unique(roots, return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(start))
    different = len(first)
    pairs, repeats = different * (different - 1) // 2, len(plain) - different
    return Identical(rank[groups], threshold, over, pairs, aligned, linked, repeats, by_chance)


def _linked(
    sequences: list[str], threshold: float, over: str, both: bool, told: Callable[[int, int], None]
) -> tuple[list[int], int, int]:
    """Return the forest of groups, how many pairs were aligned, and how many of these reach the threshold."""
    parent = list(range(len(sequences)))
    aligned = linked = 0
    strands = [sequences, [turned(own) for own in sequences]] if both else [sequences]
    for number, others in enumerate(strands):
        for i, rows in possible_pairs(sequences, others, threshold, over=over):
            told(number * len(sequences) + i + 1, len(strands) * len(sequences))
            for j in rows.tolist():
                a, b = _root(parent, i), _root(parent, j)
                if a == b:
                    continue
                aligned += 1
                if _reaches(sequences[i], others[j], threshold, over):
                    parent[max(a, b)] = min(a, b)
                    linked += 1
    return parent, aligned, linked


def _reaches(a: str, b: str, threshold: float, over: str) -> bool:
    """Align two sequences exactly, as far as the threshold allows edits."""
    shorter, longer = sorted((a, b), key=len)
    edits = most_edits(len(shorter if over == "shorter" else longer), threshold)
    return bool(_edlib().align(shorter, longer, mode=_mode(over), task="distance", k=edits)["editDistance"] >= 0)


def _by_chance(sequences: Sequence[str], threshold: float, over: str) -> float:
    """Return the share of pairs that reach the threshold once the letters of each sequence are shuffled."""
    if len(sequences) < 2:
        return 0.0
    rng = np.random.default_rng(0)
    reached = 0
    for _ in range(SHUFFLED):
        a, b = ("".join(rng.permutation(list(sequences[row]))) for row in rng.choice(len(sequences), 2, replace=False))
        reached += _reaches(a, b, threshold, over)
    return reached / SHUFFLED


def turned(sequence: str) -> str:
    """Return the other strand of a piece of DNA, read from its own start."""
    return sequence.translate(_COMPLEMENT)[::-1]


def _root(parent: list[int], row: int) -> int:
    while parent[row] != row:
        parent[row] = parent[parent[row]]
        row = parent[row]
    return row


def _require(over: str, threshold: float) -> None:
    if over not in OVER:
        raise ValueError(f"identity is counted over the 'shorter' or the 'longer' sequence, not '{over}'")
    if not 0 < threshold <= 1:
        raise ValueError(f"an identity lies above 0 and at most at 1, not at {threshold:g}: write 0.3 for 30 %")


def _mode(over: str) -> str:
    return "HW" if over == "shorter" else "NW"


def _edlib() -> Any:
    try:
        return import_module("edlib")
    except ImportError:
        raise Unsupported('aligning sequences takes edlib: pip install "chiasm[sequences]"') from None
