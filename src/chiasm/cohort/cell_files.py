"""Open a file that a cell of a target names, within its folder and its limit, or say what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from chiasm.cohort.places import inside
from chiasm.errors import CohortError
from chiasm.limits import LimitError, require_regular
from chiasm.targets.channel_cells import Unread


def read_named(
    folder: Path | None, name: str, endings: Collection[str], otherwise: str, most: int, read: Callable[[Path], object]
) -> object:
    """Read the file of a name; an `Unread` where it cannot be opened.

    Args:
        folder: what the name is relative to, and must not leave; None where whoever made the cohort gave it.
        endings: lower-case ends of the names that `read` knows.
        otherwise: what to do about a file of another end.
        most: bytes that it may have.
        read: reads it; what is wrong with its content is its own to say.
    """
    try:
        path = Path(name) if folder is None else inside(folder, name)
    except CohortError as fault:
        return Unread(f"names a file of which {fault.problems[0].what}", fault.problems[0].fix)
    if path.suffix.lower() not in endings:
        return Unread(f"names a file that ends in none of {', '.join(endings)}", otherwise)
    try:
        require_regular(path, most)
        return read(path)
    except FileNotFoundError:
        return Unread("names a file that is not there", "correct the path, or empty the cell")
    except LimitError as fault:
        return Unread(f"names a file that {fault.what}", fault.fix)
    except OSError as fault:
        return Unread(f"names a file that cannot be read ({type(fault).__name__})", "look at its permissions")
