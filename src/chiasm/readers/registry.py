"""Readers by kind of modality; each is imported when it is first needed."""

from __future__ import annotations

from importlib import import_module

from chiasm.cohort import Unsupported
from chiasm.cohort.kinds import KINDS, brought_readers
from chiasm.readers.reading import Reader

# kind of modality -> module and class; a reader is made without arguments
READERS: dict[str, tuple[str, str]] = {
    name: (module, cls) for name, kind in KINDS.items() for module, _, cls in [kind.reader.partition(":")] if cls
}


def reader_for(kind: str) -> Reader:
    """Create the reader of a kind: a built-in one, or one that a package brings by the entry point `chiasm.readers`.

    Raises:
        Unsupported: nothing installed reads this kind.
    """
    if kind in READERS:
        module, name = READERS[kind]
        reader: Reader = getattr(import_module(f"chiasm.readers.{module}"), name)()
        return reader
    for cls in brought_readers(kind):
        made: Reader = cls()
        return made
    raise Unsupported(f"nothing reads modalities of kind '{kind}': turn them into a table or a bag, or leave them out")


def missing(package: str, extra: str, what: str) -> Unsupported:
    """Build the error for an extra that is not installed."""
    return Unsupported(f'{what} need {package}: pip install "chiasm[{extra}]"')
