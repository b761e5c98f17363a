"""Pages and pictures as files: an ending that is no page or picture is refused before anything is drawn."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from chiasm.artifact import write_text
from chiasm.report.drawing import Picture, require_format

PAGES = (".html", ".htm")


def require_html(path: Path) -> None:
    """Ask that a page's name says what it is.

    Raises:
        ValueError: another ending than .html or .htm.
    """
    if path.suffix not in PAGES:
        raise ValueError(f"'{path}' must end in .html: the page is a web page")


def write_page(path: Path | str, render: Callable[[], str]) -> Path:
    """Write a page, whole or not at all, and return where.

    Raises:
        ValueError: another ending than .html.
    """
    out = Path(path)
    require_html(out)
    write_text(out, render())
    return out


def write_picture(path: Path | str, draw: Callable[[], Picture]) -> Path:
    """Write a picture as the ending of its name asks for, and return where.

    Raises:
        ValueError: another ending than those of `FORMATS`.
    """
    out = Path(path)
    kind = require_format(out)
    out.write_bytes(draw().stored(kind))
    return out
