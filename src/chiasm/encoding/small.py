"""Which modalities are small enough that a check reads their sources, as encoding does."""

from __future__ import annotations

from pathlib import Path

from chiasm.cohort import Items

MOST_SOURCES = 20_000
MOST_BYTES = 256 << 20  # on disk; larger modalities would take over a minute to decode


def is_small(items: Items) -> bool:
    """Tell whether there are at most 20,000 sources, and their files take 256 MB or less; cells and rows take none."""
    if len(items) > MOST_SOURCES:
        return False
    found = 0
    for item in (items[number] for number in range(len(items))):
        if isinstance(item, Path):
            found += _bytes(item)
        if found > MOST_BYTES:
            return False
    return True


def _bytes(file: Path) -> int:
    """Return the bytes of a file, a folder, or the files of a record."""
    parts = file.rglob("*") if file.is_dir() else [file] if file.is_file() else file.parent.glob(f"{file.name}.*")
    return sum(part.stat().st_size for part in parts if part.is_file())
