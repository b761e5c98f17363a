"""Catalogue of the kinds of modality: how a cohort holds each, and which reader decodes it; no reader is imported."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from chiasm.specs import parts_brought

if TYPE_CHECKING:
    from chiasm.cohort.cohort import Cohort

TABLE, FILES, CELL, EVENTS = "table", "files", "cell", "events"
FORMS = (TABLE, FILES, CELL, EVENTS)
GROUP = "chiasm.readers"


@dataclass(frozen=True)
class Kind:
    """One kind of modality.

    Args:
        name: the kind as a manifest names it.
        form: "table" (columns of numbers and categories), "files" (a file or folder for each patient), "cell" (one
            column of text) or "events" (many rows for each patient).
        reader: `module:Class` below `chiasm.readers`; empty for a table, which is read by the cohort itself.
        like: the kind whose values the reader gives, so that its encoders, the default one too, read this kind as well.
    """

    name: str
    form: str
    reader: str = ""
    like: str = ""


BUILT_IN = (
    Kind("table", TABLE),
    Kind("omics", TABLE),
    Kind("bag", FILES, "bag:BagReader"),
    Kind("image", FILES, "image.image:ImageReader"),
    Kind("volume", FILES, "image.volume:VolumeReader"),
    Kind("slide", FILES, "image.slide:SlideReader"),
    Kind("dicom", FILES, "image.dicom:DicomReader"),
    Kind("ecg", FILES, "signal.signal:EcgReader"),
    Kind("signal", FILES, "signal.signal:SignalReader"),
    Kind("audio", FILES, "signal.audio:AudioReader"),
    Kind("video", FILES, "image.video:VideoReader"),
    Kind("singlecell", FILES, "sequence.singlecell:CellReader"),
    Kind("text", CELL, "sequence.text:TextReader"),
    Kind("molecule", CELL, "sequence.molecule:MoleculeReader"),
    Kind("protein", CELL, "sequence.sequence:ProteinReader"),
    Kind("dna", CELL, "sequence.sequence:DnaReader"),
    Kind("events", EVENTS, "record.events:EventReader"),
)
KINDS: dict[str, Kind] = {kind.name: kind for kind in BUILT_IN}


@runtime_checkable
class SaysForm(Protocol):
    """Protocol of a reader class from elsewhere whose kind is not read from files: `form` is "files" or "cell"."""

    form: str


@runtime_checkable
class SaysLike(Protocol):
    """Protocol of a reader class from elsewhere that gives the values of another kind: see `Kind.like`."""

    like: str


def kind_named(name: str) -> Kind | None:
    """Return a built-in kind, or one whose reader a package brings by the entry point `chiasm.readers`; else None.

    A reader from elsewhere reads a file for each patient, unless its class says `form = "cell"`: then a column of text.
    Its class may say `like`, as a row here does.

    Raises:
        ValueError: the reader's `form` is neither.
    """
    return KINDS.get(name) or _brought(name)


def known_kinds() -> tuple[str, ...]:
    """Return the names of all kinds, built-in ones first."""
    return (*KINDS, *(point.name for point in parts_brought(GROUP) if point.name not in KINDS))


def has_form(name: str, form: str) -> bool:
    """True if a kind is held in this form; False for a kind that nothing reads."""
    kind = kind_named(name)
    return kind is not None and kind.form == form


def as_read(name: str) -> str:
    """Return the kind whose encoders read this one: the kind that it is like, or itself."""
    kind = kind_named(name)
    return (kind.like if kind else "") or name


@lru_cache
def kind_of_source(cohort: Cohort, modality: str) -> str:
    """Kind of a modality as the manifest names it, before it was encoded."""
    own = cohort.encodings.get(modality)
    return cohort.kinds[modality] if own is None else own.kind


def _brought(name: str) -> Kind | None:
    for reader in brought_readers(name):
        form = reader.form if isinstance(reader, SaysForm) else FILES
        if form not in (FILES, CELL):
            raise ValueError(f"the reader of kind '{name}' has form = {form!r}: write 'files' or 'cell'")
        return Kind(name, form, like=reader.like if isinstance(reader, SaysLike) else "")
    return None


def brought_readers(name: str) -> Iterator[type]:
    """Load the reader classes that other packages bring for a kind."""
    for point in parts_brought(GROUP):
        if point.name == name:
            yield point.load()
