"""Orders of options in which each stands at each place equally often."""

from __future__ import annotations

import random


def orders(options: int, number: int, seed: int | str = 0) -> list[tuple[int, ...]]:
    """Orders `(S, K)` of K options, the first as they are.

    Each run of K orders is a Latin square, the cyclic shifts of one order: each option stands at each place once, so
    that what a speaker adds for a place alone adds the same to every option. Later squares are of drawn orders.

    Args:
        options: K.
        number: S; 0 for K, one whole square.
        seed: of the draws.
    """
    if number < 0:
        raise ValueError(f"{number} orders of options are none: choose 1 or more, or 0 for as many as options")
    drawn = random.Random(str(seed))
    found: list[tuple[int, ...]] = []
    while len(found) < (number or options) and options:
        first = list(range(options))
        if found:
            drawn.shuffle(first)
        found += [tuple(first[shift:] + first[:shift]) for shift in range(options)]
    return found[: number or options] if options else [()]
