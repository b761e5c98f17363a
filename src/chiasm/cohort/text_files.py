"""Read the files of a text target, one a patient: plain text in UTF-8."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from chiasm.cohort.cell_files import read_named
from chiasm.targets.channel_cells import Unread
from chiasm.targets.text_cells import MOST_SIGNS

MOST_BYTES = 4 * MOST_SIGNS  # of UTF-8 a sign has four at most
SUFFIXES = (".txt", ".md")
PLAIN = "save each text as plain text, .txt"


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
            seen[name] = read_named(folder, name, SUFFIXES, PLAIN, MOST_BYTES, _read)
        found[place] = seen[name]
    return found


def _read(path: Path) -> object:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        return Unread("names a file that is no text in UTF-8", "save it as plain text in UTF-8")
    if "\0" in text:
        return Unread("names a file that is binary", "save it as plain text in UTF-8")
    if not text.strip():
        return Unread("names a file that is empty", "write the text, or empty the cell")
    return text
