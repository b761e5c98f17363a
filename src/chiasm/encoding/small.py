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
    if isinstance(items, Items) and items.are_rows:
        return True
    found = 0
    records = _Records()
    for item in (items[number] for number in range(len(items))):
        if isinstance(item, Path):
            found += _bytes(item, records)
        if found > MOST_BYTES:
            return False
    return True


def _bytes(file: Path, records: _Records) -> int:
    """Return the bytes of a file, a folder, or the files of a record."""
    if file.is_file():
        return file.stat().st_size
    parts = file.rglob("*") if file.is_dir() else records.of(file)
    return sum(part.stat().st_size for part in parts if part.is_file())


class _Records:
    """The files of records, `x.hea` and `x.dat` of `x`; each folder is listed once."""

    def __init__(self) -> None:
        self._listed: dict[Path, dict[str, list[str]]] = {}

    def of(self, record: Path) -> list[Path]:
        """Return the files whose name is that of the record, a dot and more."""
        folder = record.parent
        if folder not in self._listed:
            named: dict[str, list[str]] = {}
            for name in (part.name for part in folder.iterdir()) if folder.is_dir() else ():
                for place in (k for k, letter in enumerate(name) if letter == "."):
                    named.setdefault(name[:place], []).append(name)
            self._listed[folder] = named
        return [folder / name for name in self._listed[folder].get(record.name, ())]
