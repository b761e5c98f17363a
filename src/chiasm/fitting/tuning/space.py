"""The settings among which a recipe is tuned: for each option a list of values, or a range.

learning_rate=[1e-3;3e-4]        these values
learning_rate=[1e-4..1e-2 log]   a range, drawn evenly on the log scale
depth=[1..6]                     every integer from 1 to 6
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass
from typing import Any

from chiasm.specs import typed

LOG = "log"
APART = re.compile(r"[;,]")
Values = dict[str, Any]


@dataclass(frozen=True)
class Listed:
    """Values of an option, the first of which is preferred where several score alike."""

    option: str
    values: tuple[Any, ...]

    @property
    def text(self) -> str:
        return ";".join(map(str, self.values))


@dataclass(frozen=True)
class Between:
    """A range of an option, both ends included; `log`: drawn evenly on the log scale; `whole`: integers alone."""

    option: str
    low: float
    high: float
    log: bool = False
    whole: bool = False

    @property
    def text(self) -> str:
        return f"{self.low}..{self.high}{' ' + LOG if self.log else ''}"

    @property
    def values(self) -> tuple[Any, ...] | None:
        """Every integer of the range; None where it has numbers in between."""
        return tuple(range(int(self.low), int(self.high) + 1)) if self.whole else None

    def holds(self, value: Any) -> bool:
        """True if a value lies in the range."""
        return bool(self.low <= value <= self.high)


Axis = Listed | Between


@dataclass(frozen=True)
class Space:
    """The options that are tuned, in the order of the recipe's fields: each with its values or its range."""

    axes: tuple[Axis, ...]

    @property
    def text(self) -> str:
        """The space as it stands in the name of a recipe: `option=[...],option=[...]`."""
        return ",".join(f"{axis.option}=[{axis.text}]" for axis in self.axes)

    @property
    def size(self) -> int | None:
        """Number of settings; None where a range has numbers in between, so that there is no end of them."""
        counts = [None if axis.values is None else len(axis.values) for axis in self.axes]
        return None if None in counts else math.prod(count for count in counts if count is not None)

    def settings(self) -> Iterator[Values]:
        """Yield every setting, the values of the last option first.

        Raises:
            ValueError: there is no end of them.
        """
        values = [axis.values for axis in self.axes]
        if None in values:
            raise ValueError(f"{self.text} holds a range of numbers: its settings are drawn, not listed")
        for chosen in itertools.product(*(own for own in values if own is not None)):
            yield {axis.option: value for axis, value in zip(self.axes, chosen, strict=True)}


def read_space(asked: Mapping[str, Any], known: Mapping[str, Any], what: str) -> Space:
    """Read the values or the range of each option, with the types that the options' defaults have.

    Args:
        asked: option to a sequence of values, or to text: `a;b;c`, `low..high`, `low..high log`, perhaps in brackets.
        known: the default of each option of the recipe.
        what: the owner of the options for error messages, e.g. "recipe 'healnet'".

    Raises:
        ValueError: nothing to try, ends that are swapped, a logarithm of what is not above zero, a value that is twice
            in a list or of another type than the option.
    """
    if not asked:
        raise ValueError(
            f"the space of {what} has no option in it: name one, as in {next(iter(known), 'option')}=[a;b]"
        )
    axes = {option: _axis(option, own, known[option], f"option '{option}' of {what}") for option, own in asked.items()}
    return Space(tuple(axes[option] for option in known if option in axes))


def _axis(option: str, asked: Any, default: Any, what: str) -> Axis:
    if isinstance(asked, str):
        inside = asked.strip().removeprefix("[").removesuffix("]").strip()
        if ".." in inside and not APART.search(inside):
            return _range(option, inside, default, what)
        values: Sequence[Any] = [part.strip() for part in APART.split(inside) if part.strip()]
    elif isinstance(asked, Sequence):
        values = asked
    else:
        raise ValueError(f"{what} is tuned over {type(asked).__name__}: give a list of values, or 'low..high'")
    if not len(values):
        raise ValueError(f"{what} has no value to try: write {option}=[a;b], or {option}=[low..high]")
    found = tuple(typed(str(value), default, what) for value in values)
    twice = [value for value in found if found.count(value) > 1]
    if twice:
        raise ValueError(f"{what} lists the value {twice[0]} twice: each is tried once")
    return Listed(option, found)


def _range(option: str, text: str, default: Any, what: str) -> Between:
    ends, _, scale = text.partition(" ")
    low_text, _, high_text = ends.partition("..")
    if isinstance(default, bool) or default is MISSING or not isinstance(default, int | float):
        raise ValueError(f"{what} is no number and has no range: list its values, as in {option}=[a;b]")
    if scale.strip() not in ("", LOG):
        raise ValueError(f"{what} has the range '{text}': after its ends stands nothing, or '{LOG}'")
    low, high = (typed(end, default, what) for end in (low_text, high_text))
    if low > high:
        raise ValueError(f"{what} has a range whose ends are swapped: write {option}=[{high}..{low}]")
    if low == high:
        raise ValueError(f"{what} has a range of one value: write {option}={low}")
    if scale.strip() == LOG and low <= 0:
        raise ValueError(f"{what} has a log range that begins at {low}, and a logarithm needs a number above 0")
    return Between(option, low, high, scale.strip() == LOG, isinstance(default, int))
