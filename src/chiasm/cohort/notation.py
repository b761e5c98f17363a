"""How numbers and dates are written in cells: plain numbers, numbers with something about them, dates and durations."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from numbers import Real

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Bools = NDArray[np.bool_]

PLAIN = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
GROUPED = r"[0-9]{1,3}([,.' \u00a0\u202f’][0-9]{3})+([.,][0-9]+)?"
DECIMAL_COMMA = re.compile(r"[+-]?[0-9]*,[0-9]+([eE][+-]?[0-9]+)?|[+-]?[0-9]+([eE][+-]?[0-9]+)?")
CERTAIN_COMMA = re.compile(r"[+-]?(0|[0-9]{4,})?,[0-9]+([eE].*)?|[+-]?[0-9]+,([0-9]{1,2}|[0-9]{4,})([eE].*)?")
ABOUT = re.compile(
    r"[^\w\s]{0,3}\s*[+\-\u2212]?("
    + GROUPED
    + r"|[0-9]+[.,]?[0-9]*([eE][+-]?[0-9]+)?|[.,][0-9]+)(?P<rest>[^0-9]{0,24})"
)
THOUSANDS = re.compile(r"(?<![0-9.,])[1-9][0-9]{0,2}([. '\u00a0\u202f’][0-9]{3})+(?![0-9.])")  # 1.234,5
COMMA_THOUSANDS = re.compile(r"(?<![0-9.,])[1-9][0-9]{0,2}([, '\u00a0\u202f’][0-9]{3})+(?![0-9,])")  # 1,234.5
TRUTH = {"true": 1.0, "false": 0.0}
MARKS = {
    "", "-", "--", "\u2013", "\u2014", ".", "..", "...", "?", "*", "x", "nd", "n.d.", "na", "n.a.", "n/a", "#n/a",
    "nan", "nil", "null", "none", "nr", "unknown", "unk", "missing", "not done", "pending", "<na>", "#value!", "#ref!",
    "#div/0!", "#num!", "inf", "-inf", "+inf", "infinity", "-infinity",
}  # fmt: skip
MONTH = r"(jan|feb|m[aä]r|apr|ma[iy]|jun|jul|aug|sep|okt|oct|nov|de[cz])[a-z]*\.?"
CLOCK = r"([T ]+[0-9]{1,2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?\s*([ap]m)?\s*(Z|[+-][0-9]{2}:?[0-9]{2})?)?"
DATE = re.compile(
    r"([0-9]{4}[-/.][0-9]{1,2}[-/.][0-9]{1,2}|[0-9]{1,2}[-/.][0-9]{1,2}[-/.]([0-9]{4}|[0-9]{2})"
    rf"|[0-9]{{1,2}}\.?[- ]{MONTH}[- ,]*[0-9]{{2,4}}|{MONTH}[- ][0-9]{{1,2}},?[- ][0-9]{{2,4}}|{MONTH}[- ][0-9]{{4}}"
    rf"|[0-9]{{4}}[-/][0-9]{{1,2}}){CLOCK}",
    re.IGNORECASE,
)
TIME = re.compile(
    r"-?[0-9]{1,3}:[0-5][0-9]:[0-5][0-9](\.[0-9]+)?|-?([01]?[0-9]|2[0-4]):[0-5][0-9]"
    r"|(-?[0-9]+ days?,? ?)([+-]?[0-9]{1,2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?)?"
    r"|P[0-9.]+[YMWD](T?[0-9.]+[HMSD])*|PT[0-9.]+[HMS]([0-9.]+[MS])*",
    re.IGNORECASE,
)
TITRE = re.compile(r"1:[0-9]+")  # a dilution, where every cell has the same number before the colon


def number(value: object) -> float | None:
    """Read one filled cell that is a number, or text that is nothing but a plain one; None if it is neither."""
    if isinstance(value, str):
        return float(value) if PLAIN.fullmatch(value.strip()) else None
    if isinstance(value, Real | Decimal | Fraction | np.number | np.bool_) and not isinstance(
        value, np.complexfloating
    ):
        try:
            return float(value)
        except OverflowError:  # a whole number of hundreds of digits
            return float("-inf") if isinstance(value, int | Decimal | Fraction) and value < 0 else float("inf")
    return None


def numbers(column: pd.Series) -> NDArray[np.float64] | None:
    """Read a column `(n,)` whose filled cells are all numbers, in any dtype, NaN where empty; None if some are not.

    Text counts where every filled cell is a plain number, or every one is true or false. A column without a filled
    cell has no kind, and is None too.
    """
    cells = column.astype(object)
    filled = cells.notna().to_numpy()
    values = cells.to_numpy()[filled]
    texts = np.array([isinstance(value, str) for value in values], dtype=bool)
    blank = texts & np.array([isinstance(value, str) and not value.strip() for value in values], dtype=bool)
    values, filled = values[~blank], np.flatnonzero(filled)[~blank]
    if not len(values):
        return None
    if all(isinstance(value, str) for value in values):
        found: list[float | None] = [TRUTH.get(value.strip().lower()) for value in values]
        if found[0] is None:
            found = list(map(number, values))
    else:
        found = list(map(number, values))
    if any(value is None for value in found):
        return None
    out = np.full(len(column), np.nan)
    out[filled] = np.array(found, dtype=np.float64)
    return out


def with_decimal_commas(texts: Sequence[str], *, told: bool) -> list[float] | None:
    """Read filled cells as numbers with decimal commas; None if one is none, or could be meant otherwise.

    Args:
        told: whether the owner has said that commas are decimal signs; points and spaces then group thousands. Else at
            least one cell must be no group of thousands (`1,234`), and there must be no point.
    """
    if told:
        plain = [THOUSANDS.sub(_digits, text.strip()) for text in texts]
    else:
        plain = [text.strip() for text in texts]
        if not any(CERTAIN_COMMA.fullmatch(text) for text in plain):
            return None
    if not all(DECIMAL_COMMA.fullmatch(text) for text in plain):
        return None
    return [float(text.replace(",", ".")) for text in plain]


def without_groups(texts: Sequence[str]) -> list[float] | None:
    """Read filled cells as numbers whose thousands are grouped by commas or spaces, where points are decimal signs."""
    plain = [COMMA_THOUSANDS.sub(_digits, text.strip()) for text in texts]
    return [float(text) for text in plain] if all(PLAIN.fullmatch(text) for text in plain) else None


def _digits(match: re.Match[str]) -> str:
    return re.sub(r"[^0-9]", "", match[0])


def holds_fractions(frame: pd.DataFrame) -> bool:
    """True if a column of numbers has one that is not whole, so that a point is the decimal sign there."""
    values = frame.select_dtypes("number").to_numpy(dtype=np.float64)
    return bool((np.isfinite(values) & (values != np.round(values))).any())


def are_plain(texts: Sequence[str]) -> Bools:
    """`(n,)` True for texts that are plain numbers."""
    return np.array([bool(PLAIN.fullmatch(text)) for text in texts], dtype=bool)


def are_about(texts: Sequence[str]) -> Bools:
    """`(n,)` True for texts that are no plain number but hold one: `<5`, `45%`, `1,234`, `61.2 y`, `5*`.

    Letters that stand right behind the digits are a unit where all texts have the same ones; else `2a` and `2b` are
    levels.
    """
    folded = [_latin(text) for text in texts]
    matches = [None if PLAIN.fullmatch(text) and text.isascii() else ABOUT.fullmatch(text) for text in folded]
    behind = [match["rest"] if match else "" for match in matches]
    glued = Counter(rest for rest in behind if rest[:1].isalpha())
    one_unit = len(glued) == 1 and sum(glued.values()) > 1
    said = [bool(match) and (one_unit or not rest[:1].isalpha()) for match, rest in zip(matches, behind, strict=True)]
    # a plain number in digits of another script, or with a sign that is no hyphen
    said = [own or (not PLAIN.fullmatch(text) and bool(PLAIN.fullmatch(other.replace("\u2212", "-"))))
            for own, text, other in zip(said, texts, folded, strict=True)]  # fmt: skip
    return np.array(said, dtype=bool)


def _latin(text: str) -> str:
    """Write the digits of any script as 0 to 9, and wide or raised signs as plain ones."""
    plain = unicodedata.normalize("NFKC", text).strip()
    return "".join(str(unicodedata.decimal(sign)) if sign.isdecimal() else sign for sign in plain)


def are_dates(texts: Sequence[str]) -> Bools:
    """`(n,)` True for texts that are dates, times or durations; `1:40` is a titre where all begin so."""
    plain = [text.strip() for text in texts]
    titres = sum(bool(TITRE.fullmatch(text)) for text in plain)
    if titres and all(TITRE.fullmatch(text) for text in plain if TIME.fullmatch(text)):
        return np.array([bool(DATE.fullmatch(text)) for text in plain], dtype=bool)
    return np.array([bool(DATE.fullmatch(text) or TIME.fullmatch(text)) for text in plain], dtype=bool)


def are_marks(texts: Sequence[str]) -> Bools:
    """`(n,)` True for texts that usually stand for a missing value."""
    return np.array([text.strip().lower() in MARKS for text in texts], dtype=bool)
