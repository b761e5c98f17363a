"""Numbers from one UCUM unit to another, where a fixed rule does it; mmol to mg needs the substance, and is refused."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from chiasm.readers.registry import missing

NO_UNIT = ("", "1")
ANNOTATION = re.compile(r"\{[^{}]*\}")  # which says something and is no unit
APART = re.compile(r"eq(?![a-z])|\[[^\]]*U\]|mol/mol")
"""What stands for more than its dimension: equivalents, arbitrary units, shares of molecules."""
LONGEST = 40  # letters: parsing takes more than linear time
KEPT = 10_000


@cache
def _registry() -> Any:
    """The units of UCUM, which take seconds to read."""
    try:
        from ucumvert import PintUcumRegistry  # type: ignore[import-untyped]
    except ImportError:
        raise missing("ucumvert", "hospital", "units of a hospital's record") from None
    return PintUcumRegistry()


class Units:
    """Conversions between units as the Unified Code for Units of Measure writes them (ucumvert over pint)."""

    def __init__(self) -> None:
        self._found: dict[str, Any] = {}

    def _unit(self, unit: str) -> Any:
        """Parse a unit, once; None where it is none of UCUM, or longer than any of a laboratory."""
        from lark.exceptions import LarkError

        if len(unit) > LONGEST:
            return None
        if unit not in self._found:
            if len(self._found) >= KEPT:
                self._found.clear()
            try:
                self._found[unit] = _registry().from_ucum(unit)
            except (LarkError, ValueError, ArithmeticError, AttributeError, KeyError, RecursionError):
                self._found[unit] = None
        return self._found[unit]

    def is_known(self, unit: str) -> bool:
        """Tell whether UCUM has the unit."""
        plain = ANNOTATION.sub("", unit)
        return plain in NO_UNIT or self._unit(plain) is not None

    def converted(
        self, value: float, given: str, wanted: str, factors: Mapping[str, float] | None = None
    ) -> float | None:
        """Return the value in the wanted unit; None where no fixed rule leads there.

        Args:
            factors: unit to what a value in it is multiplied by, which go before.
        """
        given, wanted = given.strip(), wanted.strip()
        if factors and given in factors:
            return value * factors[given]
        given, wanted = ANNOTATION.sub("", given), ANNOTATION.sub("", wanted)
        if given == wanted or (given in NO_UNIT and wanted in NO_UNIT):
            return value
        one, other = self._unit(given or "1"), self._unit(wanted or "1")
        if one is None or other is None or APART.findall(given) != APART.findall(wanted):
            return None
        try:
            plain = one.magnitude == 1 and other.magnitude == 1  # as of degrees, which have an origin
            quantity = _registry().Quantity(value if plain else value * one.magnitude, one.units)
            found = float(quantity.to(other.units).magnitude)
        except (ValueError, TypeError, ArithmeticError, AttributeError):  # pint: DimensionalityError is a TypeError
            return None
        found = found if plain else found / float(other.magnitude)
        return found if math.isfinite(found) else None
