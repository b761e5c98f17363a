"""The settings of a space that a recipe accepts: some values stand only beside others, as a width beside its heads."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from chiasm.fitting.tuning.draws import LISTED_AT_MOST, listed
from chiasm.fitting.tuning.space import Between, Listed, Space, Values

DRAWN = 200  # settings of ranges that are looked at before a space is refused


@dataclass(frozen=True)
class Allowed:
    """What a recipe accepts of a space.

    Args:
        known: the settings that are tried, where they are known beforehand; None where they are drawn by score.
        examples: recipes with settings that it accepts: all that are known, else the ends of each range, one at a time.
    """

    known: tuple[Values, ...] | None
    examples: tuple[Any, ...]


def allowed_of(space: Space, own: Values, budget: int, make: Callable[[Values], Any]) -> Allowed:
    """Find out what a recipe accepts of a space.

    Args:
        own: the values of the tuned options that the recipe has.
        make: a setting to the recipe with it; a `ValueError` says that the recipe refuses it.

    Raises:
        ValueError: the recipe refuses every setting, or each one with a value that a list names: what it says itself.
    """
    refused, made = list[tuple[Values, ValueError]](), list[tuple[Values, Any]]()

    def allowed(values: Values) -> bool:
        try:
            made.append((values, make(values)))
        except ValueError as error:
            refused.append((values, error))
            return False
        return True

    rng = random.Random(zlib.crc32(space.text.encode()))
    known = listed(space, budget, allowed)
    if known is None:
        ends = [
            {**own, axis.option: value}
            for axis in space.axes
            for value in ((axis.low, axis.high) if isinstance(axis, Between) else axis.values)
        ]
        inside = [values for values in ends if allowed(values) and space.holds(values)]
        if not inside:
            small = space.size is not None and space.size <= LISTED_AT_MOST
            drawn = space.settings() if small else (space.drawn(rng) for _ in range(DRAWN))
            if next(filter(allowed, drawn), None) is None:
                raise refused[0][1]
    elif not known:
        raise refused[0][1]
    for axis in space.axes:
        for value in axis.values if isinstance(axis, Listed) else ():
            said = [error for values, error in refused if values[axis.option] == value]
            if said and not any(values[axis.option] == value for values, _ in made):
                others = ({**space.drawn(rng), axis.option: value} for _ in range(DRAWN))
                if not any(map(allowed, others)):
                    raise said[0]
    return Allowed(None if known is None else tuple(known), tuple(recipe for _, recipe in made))
