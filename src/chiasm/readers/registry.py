"""Readers by kind of modality; each is imported when it is first needed."""

from __future__ import annotations

from chiasm.cohort import Unsupported
from chiasm.cohort.kinds import KINDS, brought_readers
from chiasm.readers.reading import Reader
from chiasm.specs import loaded

# kind of modality -> place of the class; a reader is made without arguments
READERS = {name: f"chiasm.readers.{kind.reader}" for name, kind in KINDS.items() if kind.reader}


def reader_for(kind: str) -> Reader:
    """Create the reader of a kind: a built-in one, or one that a package brings by the entry point `chiasm.readers`.

    Raises:
        Unsupported: nothing installed reads this kind.
    """
    if kind in READERS:
        reader: Reader = loaded(READERS[kind])()
        return reader
    for cls in brought_readers(kind):
        made: Reader = cls()
        return made
    raise Unsupported(f"nothing reads modalities of kind '{kind}': turn them into a table or a bag, or leave them out")


def missing(package: str, extra: str, what: str) -> Unsupported:
    """Build the error for an extra that is not installed."""
    return Unsupported(f'{what} need {package}: pip install "chiasm[{extra}]"')
