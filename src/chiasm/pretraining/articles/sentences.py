"""The sentence of a paragraph that holds a place; a full stop of an abbreviation or a number ends none."""

from __future__ import annotations

import re

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
    start = 0
    for found in _END.finditer(paragraph):
        if _SHORT.search(paragraph[max(0, found.start() - 12) : found.start()].rstrip(")]\"'\u201d\u2019")):
            continue
        if found.end() > place:
            return paragraph[start : found.start()].strip() + found[0].strip()
        start = found.end()
    return paragraph[start:].strip()
