"""Cells of a hospital's tables: names, identifiers, values and the signs of those that are bounds."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

WHOLE = re.compile(r"([0-9]+)\.0+")  # as pandas writes a column of identifiers of which some are missing
SIGN = re.compile(r"\s*(?:(<|>)\s*OR\s*=|(<=|=<|>=|=>|<|>|≤|≥))", re.IGNORECASE)
IN_WORDS = re.compile(
    r"\s*(?:(LESS|FEWER|GREATER|MORE|HIGHER|LOWER)\s+THAN(\s+OR\s+EQUAL(?:\s+TO)?)?|(UNDER|BELOW|OVER|ABOVE)"
    r"|(AT\s+LEAST|AT\s+MOST))\s*[-+]?[.,]?[0-9]",
    re.IGNORECASE,
)
SMALLER = ("LESS", "FEWER", "LOWER", "UNDER", "BELOW")
CODE = re.compile(r"[A-Za-z0-9.\-/+]{1,20}")
UNIT = re.compile(r"[A-Za-z0-9.\-/+%^*°µμ\[\]{}()_']{1,20}")
DRUG = re.compile(r"(?!.*[0-9]+[./-][0-9]+[./-][0-9]{2})[A-Za-z0-9.\-/+%()*&', ]{1,60}")  # and no date


@dataclass(frozen=True)
class Values:
    """Values `(n,)`, NaN where there is none; the sign of each that is a bound, and which cannot be read."""

    value: NDArray[np.float64]
    sign: list[str]
    odd: NDArray[np.bool_]


def sign_of(text: str) -> str:
    """Return the sign of a bound, as `<` for `<5`, `LESS THAN 5` and `UNDER 5`; "" where the text is none."""
    if match := SIGN.match(text):
        if match[1]:
            return f"{match[1]}="
        return {"=<": "<=", "=>": ">=", "≤": "<=", "≥": ">="}.get(match[2], match[2])
    if not (match := IN_WORDS.match(text)):
        return ""
    if match[4]:
        return ">=" if match[4].upper().endswith("LEAST") else "<="
    sign = "<" if (match[1] or match[3]).upper() in SMALLER else ">"
    return f"{sign}=" if match[2] else sign


def signs_of(column: pd.Series[Any]) -> list[str]:
    """Signs `(n,)` of the bounds of a column of text, "" where a cell is none."""
    texts = names(column)
    known = {text: sign_of(text) for text in set(texts)}
    return [known[text] for text in texts]


def values_of(column: pd.Series[Any]) -> Values:
    """Read a column `(n,)` of values; `5,5`, `5 mg` and infinity cannot be read."""
    found = numbers(column)
    filled = np.array([bool(text) for text in names(column)], dtype=bool)
    sign = signs_of(column) if (filled & np.isnan(found)).any() else [""] * len(found)
    bound = np.array([bool(own) for own in sign], dtype=bool)
    odd = filled & ~np.isfinite(found) & ~bound
    return Values(np.where(odd, np.nan, found), sign, odd)


def numbers(column: pd.Series[Any]) -> NDArray[np.float64]:
    """Values `(n,)` as numbers, NaN where they are none."""
    return np.asarray(pd.to_numeric(column, errors="coerce").to_numpy(np.float64, na_value=np.nan))


def names(column: pd.Series[Any]) -> list[str]:
    """Cells `(n,)` as text, whole numbers without a point, "" where missing."""
    return [_name(value) for value in column.tolist()]


def identifiers(column: pd.Series[Any]) -> list[str]:
    """Cells `(n,)` as identifiers: as `names`, and the text `201826.0` is `201826`."""
    return [match[1] if (match := WHOLE.fullmatch(text)) else text for text in names(column)]


def _name(value: Any) -> str:
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()
