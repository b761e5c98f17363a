"""What a console or a notebook shows of an object: short, with no identifier and no value of a patient."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, Protocol

LONGEST, MOST_ITEMS, MOST_ROWS = 60, 6, 30
LEAST = 5
"""Fewest patients, but for none, whose number is told."""
NOT_ESTIMABLE, NO_INTERVAL = "not estimable", "no interval"


class Sized(Protocol):
    """Protocol of an array: what of it is shown."""

    @property
    def shape(self) -> Sequence[int]: ...
    @property
    def dtype(self) -> Any: ...


def number(value: float | None, digits: int = 3) -> str:
    """Format with fixed decimals and without the sign of a zero; "not estimable" for None and NaN."""
    if value is None or not math.isfinite(value):
        return NOT_ESTIMABLE
    return f"{round(value, digits) + 0.0:,.{digits}f}"


def ends(low: float | None, high: float | None, digits: int = 3) -> str:
    """Format the two ends of an interval as `0.774 to 0.845`; "no interval" where one is None or NaN."""
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return NO_INTERVAL
    return f"{number(low, digits)} to {number(high, digits)}"


def interval(mean: float | None, low: float | None, high: float | None, digits: int = 3) -> str:
    """Format as `0.812 (0.774 to 0.845)` or `0.812 (no interval)`; "not estimable" where there is no mean."""
    told = number(mean, digits)
    return told if told == NOT_ESTIMABLE else f"{told} ({ends(low, high, digits)})"


def interval_cells(mean: float | None, low: float | None, high: float | None) -> tuple[str, str]:
    """Format an estimate for two cells of a table, the value and its interval; the second is empty without a value."""
    told = number(mean)
    return told, "" if told == NOT_ESTIMABLE else ends(low, high)


def times(number: int) -> str:
    """Format how often something happened: `once`, `twice`, `3 times`."""
    return {1: "once", 2: "twice"}.get(number, f"{number:,} times")


def short_repr(part: Any) -> str:
    """Format a dataclass by its fields: arrays by shape and dtype, long sequences by length, parts by their class."""
    values = ", ".join(f"{own.name}={_short(getattr(part, own.name))}" for own in dataclasses.fields(part) if own.repr)
    return f"{type(part).__name__}({values})"


class Table(str):
    """HTML of a table that `html_table` made; every other text is escaped."""


def html_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """Write a table of at most `MOST_ROWS` rows for a notebook; it sets no colour, for light and dark alike."""
    listed = [list(row) for row in rows]
    head = "".join(f'<th style="text-align:left">{escape(visible(name))}</th>' for name in columns)
    body = "".join(
        "<tr>" + "".join(f'<td style="text-align:left">{escape(visible(cell))}</td>' for cell in row) + "</tr>"
        for row in listed[:MOST_ROWS]
    )
    more = f"<p>and {len(listed) - MOST_ROWS:,} more</p>" if len(listed) > MOST_ROWS else ""
    return Table(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}")


def text_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Write a table as text, its columns side by side whatever their width: `print` of a wide frame leaves some out."""
    lines = [[visible(cell) for cell in row] for row in [columns, *rows]]
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    return "\n".join("   ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def html_page(title: str, *parts: str) -> str:
    """Put a title above sentences and tables; a part that is no `Table` is text."""
    texts = (part if isinstance(part, Table) else f"<p>{escape(visible(part))}</p>" for part in parts if part)
    return f"<div><p><strong>{escape(visible(title))}</strong></p>{''.join(texts)}</div>"


def visible(value: object) -> str:
    """Return a text with its control characters written out, so that a name in a file cannot steer the terminal."""
    return "".join(
        sign if sign in "\n\t" or (sign.isprintable() or sign == " ") else sign.encode("unicode_escape").decode()
        for sign in str(value)
    )


def _short(value: Any) -> str:
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return _sized(value)
    if isinstance(value, str):
        return repr(value) if len(value) <= LONGEST else f"<text of {len(value):,} characters>"
    if isinstance(value, Mapping):
        inside = ", ".join(f"{_short(key)}: {_short(own)}" for key, own in value.items())
        return (
            f"{{{inside}}}" if len(value) <= MOST_ITEMS and len(inside) <= 2 * LONGEST else f"<{len(value):,} by name>"
        )
    if isinstance(value, tuple | list) and any(isinstance(own, str) for own in value):
        return f"<{len(value):,} texts>"  # of columns, or levels that patients have
    if isinstance(value, tuple | list):
        inside = ", ".join(map(_short, value))
        return f"({inside})" if len(value) <= MOST_ITEMS and len(inside) <= 2 * LONGEST else f"<{len(value):,} of them>"
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return f"{type(value).__name__}(...)" if dataclasses.fields(value) else f"{type(value).__name__}()"
    return repr(value) if value is None or isinstance(value, bool | int | float) else f"<{type(value).__name__}>"


def _sized(value: Sized) -> str:
    return f"<{value.dtype} {' x '.join(f'{size:,}' for size in value.shape) or 'number'}>"


def in_percent(share: float, digits: int = 0) -> str:
    """A share in percent, as `4.2 %`."""
    return f"{100 * share:.{digits}f} %"
