"""Sequence identity: pairs that reach a threshold by exact alignment, and the groups that must not be split."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
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
TOGETHER = 32
"""Sequences that are aligned in one go, as one text, to see that none of them is alike."""
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
        pairs: number of pairs of different sequences, each twice if both strands were compared.
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
    of the longer one, so that a fragment has identity 1 with its whole; of two of one length, either may be a part of
    the other. Over the longer one: n its length, d the edit distance of both whole.

    Deviation: programs such as CD-HIT count equal letters over the shorter length and leave out gaps in it; here each
    letter of a gap counts as a difference. A letter that stands for several (N, X) equals itself alone.

    Raises:
        ValueError: an empty sequence, or another `over`.
        Unsupported: edlib is not installed.
    """
    require_identity(over, 1.0)
    shorter, longer = sorted((a, b), key=len)
    if not shorter:
        raise ValueError("an empty sequence has no identity with another: leave it out")
    counted = len(shorter if over == "shorter" else longer)
    return 1 - _edits(a, b, over) / counted


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
    require_identity(over, threshold)
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
    distinct = sorted(dict.fromkeys(plain), key=len)
    place = {sequence: row for row, sequence in enumerate(distinct)}
    by_chance = _by_chance(distinct, threshold, over)
    if by_chance > MOST_BY_CHANCE:
        raise ValueError(
            f"an identity of {threshold:g} is reached by {by_chance:.0%} of sequences that are shuffled, so that all "
            "would be one group by chance: give a higher threshold, or compare proteins in place of their DNA"
        )
    with followed("sequences", progress) as told:
        own, aligned, linked = _linked(distinct, threshold, over, both_strands, told)
    member = own[[place[sequence] for sequence in plain]]
    _, start, groups = np.unique(member, return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(start))
    different = len(distinct)
    pairs, repeats = different * (different - 1) // 2 * (1 + both_strands), len(plain) - different
    return Identical(rank[groups], threshold, over, pairs, aligned, linked, repeats, by_chance)


def _linked(
    sequences: list[str], threshold: float, over: str, both: bool, told: Callable[[int, int], None]
) -> tuple[Ints, int, int]:
    """Return a group of each sequence, how many pairs were aligned, and how many of these reach the threshold.

    Args:
        sequences: all different, by length, so that each is looked for in those as long or longer.
    """
    own = np.arange(len(sequences))
    aligned = linked = 0
    strands = [sequences, [turned(sequence) for sequence in sequences]] if both else [sequences]
    for number, others in enumerate(strands):
        for i, rows in possible_pairs(sequences, others, threshold, over=over):
            told(number * len(sequences) + i + 1, len(strands) * len(sequences))
            apart = rows[own[rows] != own[i]]
            aligned += int((apart > i).sum())
            for j in _alike(sequences[i], others, apart.tolist(), threshold, over):
                if own[i] != own[j]:
                    own[own == own[j]] = own[i]
                    linked += 1
    return own, aligned, linked


def _alike(a: str, others: list[str], rows: list[int], threshold: float, over: str) -> Iterator[int]:
    """Yield the rows of `others`, none shorter than `a`, that reach the threshold with it.

    Many are set one after the other and searched for `a` in one go: what is near in none of them is in no part of one.
    """
    align = _edlib().align
    for start in range(0, len(rows), TOGETHER):
        run = rows[start : start + TOGETHER]
        counted = len(a) if over == "shorter" else max(len(others[j]) for j in run)
        text, edits = "\n".join(others[j] for j in run), most_edits(counted, threshold)
        if len(run) == 1 or align(a, text, mode="HW", task="distance", k=edits)["editDistance"] >= 0:
            yield from (j for j in run if _reaches(a, others[j], threshold, over))


def _reaches(a: str, b: str, threshold: float, over: str) -> bool:
    """Align two sequences exactly, as far as the threshold allows edits."""
    counted = (min if over == "shorter" else max)(len(a), len(b))
    return _edits(a, b, over, most_edits(counted, threshold)) >= 0


def _edits(a: str, b: str, over: str, most: int = -1) -> int:
    """Return the fewest edits between two sequences, as `identity` counts them; -1 where they are more than `most`."""
    shorter, longer = sorted((a, b), key=len)
    ways = [(shorter, longer)]
    if over == "shorter" and len(a) == len(b):
        ways.append((longer, shorter))
    align, mode = _edlib().align, "HW" if over == "shorter" else "NW"
    found = [int(align(*way, mode=mode, task="distance", k=most)["editDistance"]) for way in ways]
    return min((edits for edits in found if edits >= 0), default=-1)


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


def require_identity(over: str, threshold: float) -> None:
    """Refuse a length that identity is no share of, and a threshold that none can reach.

    Raises:
        ValueError: it is one.
    """
    if over not in OVER:
        raise ValueError(f"identity is counted over the 'shorter' or the 'longer' sequence, not '{over}'")
    if not 0 < threshold <= 1:
        raise ValueError(f"an identity lies above 0 and at most at 1, not at {threshold:g}: write 0.3 for 30 %")


def _edlib() -> Any:
    try:
        return import_module("edlib")
    except ImportError:
        raise Unsupported('aligning sequences takes edlib: pip install "chiasm[sequences]"') from None
