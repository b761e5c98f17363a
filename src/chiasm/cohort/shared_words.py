"""Pairs of sequences that may be alike by a threshold, found from common words by a bound that misses none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int_]
LONGEST_WORD = 8
DRAWN, WORTH = 100, 0.8
"""Pairs drawn to choose the words, and the share of them left to align above which no word is worth counting."""
_CELLS = 4_000_000  # pairs looked at together: 32 MB


def most_edits(length: int, threshold: float) -> int:
    """Return the most edits with which `1 - edits / length` reaches the threshold, `floor((1 - threshold) length)`."""
    return int(np.floor((1 - threshold) * length + 1e-9))


def fewest_common_words(length: int, edits: int, word: int) -> int:
    """Return the fewest words of `word` letters that a sequence shares with one that is `edits` away from a part of it.

    A sequence of n letters has n + 1 - q words of q letters, counted as often as they occur. An edit (a letter changed,
    dropped or put in) lies in at most q of them, so that k edits leave `n + 1 - q - q k` or more. Zero or less says
    nothing. Source: Jokinen and Ukkonen 1991, doi 10.1007/3-540-54345-7_67; Ukkonen 1992.
    """
    return length + 1 - word - word * edits


def chosen_word(sequences: Sequence[str], threshold: float, over: str) -> int:
    """Choose the length of words whose bound leaves most of a hundred drawn pairs out; 0 where none is worth its count.

    The choice changes how many pairs are aligned, and never which are found.
    """
    if len(sequences) < 2:
        return 0
    rng = np.random.default_rng(0)
    drawn = [rng.choice(len(sequences), 2, replace=False).tolist() for _ in range(DRAWN)]
    left = {}
    for word in range(1, LONGEST_WORD + 1):
        counted = {row: _counted(sequences[row], word) for pair in drawn for row in pair}
        passed = 0
        for a, b in drawn:
            length = (min if over == "shorter" else max)(len(sequences[a]), len(sequences[b]))
            fewest = fewest_common_words(length, most_edits(length, threshold), word)
            passed += (counted[a] & counted[b]).total() >= fewest
        left[word] = passed
    best = min(left, key=lambda word: left[word])
    return best if left[best] <= WORTH * DRAWN else 0


def _counted(sequence: str, word: int) -> Counter[str]:
    return Counter(sequence[start : start + word] for start in range(len(sequence) + 1 - word))


def possible_pairs(
    sequences: Sequence[str], others: Sequence[str], threshold: float, *, over: str
) -> Iterator[tuple[int, Ints]]:
    """Yield each row i with the rows j that may reach the threshold with it: the later ones, and, over the shorter
    one, where either may be a part of the other, those of its length.

    A pair that is left out shares fewer words than any pair at the threshold or above (`fewest_common_words`), or, over
    the longer one, differs by more letters in length than there may be edits.

    Args:
        sequences: n sequences, by length.
        others: what the j are compared by, in the same order: the sequences, or their other strand.
        threshold: identity from 0 to 1.
        over: "shorter" or "longer", as in `identity`.
    """
    lengths = np.array([len(sequence) for sequence in sequences])
    edits = np.array([most_edits(int(length), threshold) for length in range(int(lengths.max()) + 1)])
    begin = np.searchsorted(lengths, lengths) if over == "shorter" else np.arange(len(sequences))
    word = chosen_word(sequences, threshold, over)
    if not word:
        for row in range(len(sequences)):
            later = np.arange(begin[row], len(sequences))
            near = (later != row) & ((over == "shorter") | (lengths[later] - lengths[row] <= edits[lengths[later]]))
            yield row, later[near]
        return
    words: dict[tuple[str, int], int] = {}
    ours = _occurrences(sequences, word, words)
    theirs = ours if others is sequences else _occurrences(others, word, words)
    width = len(words)
    left, right = _matrix(ours, width), _matrix(theirs, width).T.tocsr()
    rows = max(1, _CELLS // len(sequences))
    for start in range(0, len(sequences), rows):
        block = range(start, min(start + rows, len(sequences)))
        shared = (left[block.start : block.stop] @ right).toarray()  # (rows, n) words in common, as often as they occur
        counted = (np.minimum if over == "shorter" else np.maximum)(lengths[block, None], lengths)
        allowed = edits[counted]
        may = shared >= fewest_common_words(counted, allowed, word)
        if over == "longer":
            may &= np.abs(lengths[block, None] - lengths) <= allowed
        for row in block:
            found = np.flatnonzero(may[row - start])
            yield row, found[(found >= begin[row]) & (found != row)]


def _occurrences(sequences: Sequence[str], word: int, words: dict[tuple[str, int], int]) -> list[list[int]]:
    """Number each occurrence of a word: the second of `AAA` is another than its first, so that a dot product counts."""
    found = []
    for sequence in sequences:
        seen: Counter[str] = Counter()
        own = []
        for start in range(len(sequence) + 1 - word):
            letters = sequence[start : start + word]
            own.append(words.setdefault((letters, seen[letters]), len(words)))
            seen[letters] += 1
        found.append(own)
    return found


def _matrix(occurrences: Sequence[Sequence[int]], width: int) -> Any:
    from scipy.sparse import csr_matrix  # type: ignore[import-untyped]

    ends = np.cumsum([0, *map(len, occurrences)])
    columns = np.fromiter((number for own in occurrences for number in own), dtype=np.int64, count=int(ends[-1]))
    return csr_matrix((np.ones(len(columns), dtype=np.int32), columns, ends), shape=(len(occurrences), width))
