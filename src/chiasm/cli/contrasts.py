"""`--contrast B:A`: two recipes named beforehand, whose own names may hold colons."""

from __future__ import annotations

import difflib
from collections.abc import Sequence


def contrast_pairs(texts: Sequence[str], names: Sequence[str]) -> list[tuple[str, str]]:
    """Each text split at the colon that leaves a recipe of the trial on both sides.

    Args:
        texts: `b:a`, as in `lego-fuse:mode=weave:late-fusion`.
        names: of the recipes of the trial.

    Raises:
        ValueError: no colon does, or more than one.
    """
    return [split_pair(text, names) for text in texts]


def split_pair(text: str, names: Sequence[str]) -> tuple[str, str]:
    """`(b, a)` of `b:a`."""
    places = [place for place, letter in enumerate(text) if letter == ":"]
    halves = [(text[:place], text[place + 1 :]) for place in places]
    found = [pair for pair in halves if set(pair) <= set(names)]
    if len(found) == 1:
        return found[0]
    if found:
        told = " or ".join(f"'{ours}' against '{theirs}'" for ours, theirs in found)
        raise ValueError(f"--contrast {text} can be read as {told}: name it in Python, with contrasts=[...]")
    if not halves:
        raise ValueError(f"--contrast {text} names one recipe: write two of them, as in late-fusion:early-fusion")
    unknown = min((sorted(set(pair) - set(names)) for pair in halves), key=len)[0]
    near = difflib.get_close_matches(unknown, names, n=1, cutoff=0.5)
    meant = f", did you mean '{near[0]}'?" if near else ""
    raise ValueError(f"--contrast {text} names '{unknown}', no recipe of this trial{meant}: add it to --recipes")
