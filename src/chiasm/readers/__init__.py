"""Readers that decode raw files to arrays and strings with units: one module per kind, imported when needed."""

from chiasm.readers.reading import (
    LIMITS,
    Cells,
    Events,
    Image,
    Item,
    Limits,
    Reader,
    ReadError,
    Signal,
    Tiled,
    Volume,
    check_packed,
    check_size,
    check_values,
)
from chiasm.readers.registry import READERS, missing, reader_for

__all__ = [
    "LIMITS",
    "READERS",
    "Cells",
    "Events",
    "Image",
    "Item",
    "Limits",
    "ReadError",
    "Reader",
    "Signal",
    "Tiled",
    "Volume",
    "check_packed",
    "check_size",
    "check_values",
    "missing",
    "reader_for",
]
