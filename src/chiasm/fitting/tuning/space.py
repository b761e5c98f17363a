"""The settings among which a recipe is tuned: for each option a list of values, or a range.

learning_rate=[1e-3;3e-4]        these values
learning_rate=[1e-4..1e-2 log]   a range, drawn evenly on the log scale
depth=[1..6]                     every integer from 1 to 6
"""

from __future__ import annotations

import itertools
import math
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass
from typing import Any

from chiasm.specs import typed

LOG = "log"
APART = re.compile(r"[;,]")
HELD = ";,[]"  # signs of a name
Values = dict[str, Any]


@dataclass(frozen=True)
class Listed:
    """Values of an option, the first of which is preferred where several score alike."""

    option: str
    values: tuple[Any, ...]

    @property
    def text(self) -> str:
        return ";".join(map(str, self.values))

    @property
    def size(self) -> int:
        return len(self.values)

    def holds(self, value: Any) -> bool:
        """True if a value is one of the list."""
        return value in self.values

    def drawn(self, rng: random.Random) -> Any:
        """Draw a value."""
        return rng.choice(self.values)


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
    def values(self) -> Sequence[Any] | None:
        """Every integer of the range; None where it has numbers in between."""
        return range(int(self.low), int(self.high) + 1) if self.whole else None

    @property
    def size(self) -> int | None:
        return int(self.high) - int(self.low) + 1 if self.whole else None

    def holds(self, value: Any) -> bool:
        """True if a value lies in the range."""
        return isinstance(value, int | float) and bool(self.low <= value <= self.high)

    def drawn(self, rng: random.Random) -> Any:
        """Draw a value evenly on the scale of the range."""
        ends = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
        value = rng.uniform(*ends)
        value = min(max(math.exp(value) if self.log else value, self.low), self.high)
        return round(value) if self.whole else value


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
        counts = [axis.size for axis in self.axes]
        return None if None in counts else math.prod(count for count in counts if count is not None)

    def holds(self, values: Values) -> bool:
        """True if each value lies in its list or range."""
        return all(axis.holds(values[axis.option]) for axis in self.axes)

    def drawn(self, rng: random.Random) -> Values:
        """Draw a setting."""
        return {axis.option: axis.drawn(rng) for axis in self.axes}

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
            in a list, of another type than the option, or that a name or a record cannot hold.
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
    found = tuple(_value(value, default, what) for value in values)
    twice = [value for value in found if found.count(value) > 1]
    if twice:
        raise ValueError(f"{what} lists the value {twice[0]} twice: each is tried once")
    return Listed(option, found)


def _value(value: Any, default: Any, what: str) -> Any:
    """Convert text, and any value of an option that is a number or a truth; keep None, numbers and tuples of others."""
    if isinstance(value, str) or (isinstance(default, bool | int | float) and default is not MISSING):
        found = typed(str(value), default, what)
        if isinstance(found, str) and (found != found.strip() or set(found) & set(HELD)):
            raise ValueError(
                f"{what} cannot be tuned over '{found}', which its name would not read back: there {' '.join(HELD)} "
                "and spaces part values"
            )
        return found
    if not _plain(value):
        raise ValueError(
            f"{what} cannot be tuned over a {type(value).__name__}, which no record holds: give numbers, text, None or "
            "tuples of them"
        )
    return value


def _plain(value: Any) -> bool:
    within = all(map(_plain, value)) if isinstance(value, tuple) else False
    return within or value is None or isinstance(value, bool | int | float | str)


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
