"""Read the files of a text target, one a patient: plain text in UTF-8."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from chiasm.cohort.places import inside
from chiasm.errors import CohortError
from chiasm.limits import LimitError, require_regular
from chiasm.targets.channel_cells import Unread
from chiasm.targets.text_cells import MOST_SIGNS

MOST_BYTES = 4 * MOST_SIGNS  # of UTF-8 a sign has four at most
SUFFIXES = (".txt", ".md")


def read_texts(folder: Path | None, cells: Sequence[object]) -> NDArray[np.object_]:
    """Read the text of every cell that is a path; empty cells are None.

    Args:
        folder: what paths are relative to, and must not leave; None where whoever made the cohort gave them.

    Returns:
        (n,) objects: a text, None, or an `Unread` that says what is wrong with a file.
    """
    found = np.full(len(cells), None, dtype=object)
    seen: dict[str, object] = {}
    for place, cell in enumerate(cells):
        if not isinstance(cell, str | Path) or not str(cell).strip():
            continue
        name = str(cell).strip()
        if name not in seen:
            seen[name] = _read(folder, name)
        found[place] = seen[name]
    return found


def _read(folder: Path | None, name: str) -> object:
    try:
        path = Path(name) if folder is None else inside(folder, name)
    except CohortError as fault:
        return Unread(f"names a file of which {fault.problems[0].what}", fault.problems[0].fix)
    if path.suffix.lower() not in SUFFIXES:
        return Unread(f"names a file that ends in none of {', '.join(SUFFIXES)}", "save each text as plain text, .txt")
    try:
        require_regular(path, MOST_BYTES)
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        return Unread("names a file that is not there", "correct the path, or empty the cell")
    except LimitError as fault:
        return Unread(f"names a file that {fault.what}", fault.fix)
    except UnicodeDecodeError:
        return Unread("names a file that is no text in UTF-8", "save it as plain text in UTF-8")
    except OSError as fault:
        return Unread(f"names a file that cannot be read ({type(fault).__name__})", "look who may read it")
    if "\0" in text:
        return Unread("names a file that is binary", "save it as plain text in UTF-8")
    if not text.strip():
        return Unread("names a file that is empty", "write the text, or empty the cell")
    return text
