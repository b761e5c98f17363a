"""The sentence of a paragraph that holds a place; a full stop of an abbreviation or a number ends none."""

from __future__ import annotations

import re
from bisect import bisect_right
from functools import lru_cache

_END = re.compile(r"(?<=[.!?])[)\]\"'\u201d\u2019]*\s+(?=[(\[\"'\u201c\u2018]?[A-Z0-9])")
_SHORT = re.compile(
    r"(?:\b(?:figs?|tabs?|eqs?|refs?|nos?|vs|al|cf|ca|approx|resp|dr|prof|st|e\.g|i\.e|suppl|spp?|ed|eds|vol|pp|mr|mrs)"
    r"|\b[A-Z])\.$",
    re.IGNORECASE,
)


def sentence_at(paragraph: str, place: int) -> str:
    """Return the sentence in which the letter of this number stands.

    A sentence ends with `.`, `!` or `?`, then a blank and a capital or a digit, but not after "Fig.", "et al.", "e.g."
    and the like, nor after a single letter. It is a rule of thumb: the whole paragraph stands beside it.
    """
    ends, sentences = _parted(paragraph)
    return sentences[bisect_right(ends, place)]


@lru_cache(maxsize=1)
def _parted(paragraph: str) -> tuple[list[int], list[str]]:
    """Return where each sentence but the last ends, blanks and all, and the sentences; kept for the next call."""
    start, ends, sentences = 0, list[int](), list[str]()
    for found in _END.finditer(paragraph):
        if _SHORT.search(paragraph[max(0, found.start() - 12) : found.start()].rstrip(")]\"'\u201d\u2019")):
            continue
        sentences.append(paragraph[start : found.start()].strip() + found[0].strip())
        ends.append(found.end())
        start = found.end()
    return ends, [*sentences, paragraph[start:].strip()]
