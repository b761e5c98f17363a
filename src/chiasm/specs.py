"""Parser of one-line specifications, `name:option=value,option=value`, of recipes, encoders and merging methods.

Also of places, `module:attribute`, by which catalogues name parts, and of the parts that other packages bring.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping
from dataclasses import MISSING
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chiasm.errors import nearest

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

TRUTH = {"true": True, "false": False, "1": True, "0": False}
SHORT = {"lr": "learning_rate"}
"""Short names of options that have one; they are read, and the long ones are told."""
OUTSIDE = re.compile(r",(?![^\[\]]*\])")  # a comma that stands in no brackets
BRACKETED = re.compile(r"(\w+)=\[([^\[\]]*)\]")


def loaded(place: str) -> Any:
    """Import `module:attribute` and return the attribute: a part that a catalogue names and nobody needs before."""
    module, _, attribute = place.partition(":")
    return getattr(import_module(module), attribute)


def parts_brought(group: str) -> tuple[EntryPoint, ...]:
    """Return the entry points of a group, of all installed packages: parts that they bring, to be loaded.

    They are looked for once, and again when a folder that Python imports from has changed: with hundreds of packages it
    takes as long as reading a small cohort, which asks several times.
    """
    return _points(group, tuple((place, _changed(place)) for place in sys.path))


@lru_cache
def _points(group: str, places: tuple[tuple[str, int], ...]) -> tuple[EntryPoint, ...]:
    from importlib.metadata import entry_points

    return tuple(entry_points(group=group))


def _changed(place: str) -> int:
    """When a folder or an archive was changed, in nanoseconds; 0 where there is none."""
    try:
        return Path(place).stat().st_mtime_ns
    except OSError:
        return 0


def name_and_options(text: str) -> tuple[str, str]:
    """Split a spec into its name and the text of its options."""
    name, _, options = text.strip().partition(":")
    return name, options


def read_options(text: str, known: Mapping[str, Any], what: str, leads: str = "") -> dict[str, Any]:
    """Parse `option=value,option=value` into values of the types that the options' defaults have.

    Args:
        text: the options, without the name and the colon.
        known: the default of each option; `MISSING` or a default that is not a number or boolean keeps the text.
        what: the owner of the options for error messages, e.g. "recipe 'healnet'".
        leads: the option whose value comes first, without its name.

    Raises:
        ValueError: an unknown option (with the nearest known one), or a value of the wrong type.
    """
    values: dict[str, Any] = {}
    if leads:
        others = "|".join(re.escape(option) for option in known if option != leads)
        first, *parts = re.split(rf",(?=(?:{others})=)", text) if others else [text]
        if not first:
            raise ValueError(f"{what} needs a {leads} after the colon")
        values[leads] = first
    else:
        parts = [part for part in text.split(",") if part]
    for part in parts:
        option, equals, value = part.partition("=")
        option = full_name(option, known)
        if option in known and not equals:
            raise ValueError(f"option '{option}' of {what} has no value: write {option}=...")
        if option in values:
            raise ValueError(f"option '{option}' of {what} is given twice")
        require_known(option, known, what)
        if value.startswith("["):
            raise ValueError(f"option '{option}' of {what} has a list that nobody can read: write {option}=[a;b;c]")
        values[option] = typed(value, known[option], f"option '{option}' of {what}")
    return values


def require_known(option: str, known: Mapping[str, Any], what: str) -> None:
    """Raise `ValueError`, with the nearest known one, if there is no such option."""
    if option not in known:
        like = nearest(option, known)
        hint = f"did you mean '{like}'?" if like else f"it has {', '.join(known) or 'none'}"
        raise ValueError(f"{what} has no option '{option}': {hint}")


def full_name(option: str, known: Mapping[str, Any]) -> str:
    """Return the long name of an option that was given by its short one."""
    long = SHORT.get(option, "")
    return long if option not in known and long in known else option


def bracketed(text: str, known: Mapping[str, Any], what: str) -> tuple[str, dict[str, str]]:
    """Part options into those with one value and those with several, in brackets: `a=1,b=[2;3]` to `a=1`, `{b: 2;3}`.

    Args:
        text: the options, without the name and the colon.
        known, what: as for `read_options`.

    Raises:
        ValueError: an unknown option, or one that is given twice.
    """
    plain, several = list[str](), dict[str, str]()
    for piece in OUTSIDE.split(text):
        found = BRACKETED.fullmatch(piece.strip())
        if found is None:
            plain.append(piece.strip())
            continue
        option = full_name(found[1], known)
        require_known(option, known, what)
        if option in several:
            raise ValueError(f"option '{option}' of {what} is given twice")
        several[option] = found[2]
    return ",".join(plain), several


def options_in(spec: str) -> list[str]:
    """Return the options that a spec names, as they are written."""
    pieces = OUTSIDE.split(name_and_options(spec)[1])
    return [piece.partition("=")[0].strip() for piece in pieces if "=" in piece]


def typed(value: str, default: Any, what: str) -> Any:
    """Convert the text of an option to the type of its default.

    Raises:
        ValueError: the text is not of that type, or is a number that is not finite.
    """
    if default is MISSING or not isinstance(default, bool | int | float):
        return value
    try:
        found = TRUTH[value.lower()] if isinstance(default, bool) else type(default)(value)
    except (ValueError, KeyError) as error:
        wanted = {bool: "true or false", int: "an integer", float: "a number"}[type(default)]
        raise ValueError(f"{what} must be {wanted}, got '{value}'") from error
    if isinstance(found, float) and not math.isfinite(found):
        raise ValueError(f"{what} must be finite, got '{value}'")
    return found


def split_specs(text: str) -> list[str]:
    """Split a list of specs: `a,b:x=1,y=[2;3],c` to `[a, b:x=1,y=[2;3], c]`.

    A part with `=` and no colon belongs to the spec before it.
    """
    specs: list[str] = []
    for part in filter(None, (piece.strip() for piece in OUTSIDE.split(text))):
        if specs and "=" in part and ":" not in part:
            specs[-1] += f",{part}"
        else:
            specs.append(part)
    return specs


def nested_spec(text: str) -> str:
    """Read a spec that is itself the value of an option: `healnet;depth=2;heads=4` to `healnet:depth=2,heads=4`.

    Raises:
        ValueError: an option in it has several values.
    """
    if "[" in text:
        raise ValueError(f"'{text}' is a recipe within another one, whose options take one value each and no list")
    name, *options = text.split(";")
    return f"{name}:{','.join(options)}" if options else name
