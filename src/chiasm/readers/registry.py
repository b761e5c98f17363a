"""Registry of readers by kind of modality; each is imported when it is first needed."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points

from chiasm.cohort import Unsupported
from chiasm.readers.reading import Reader

# kind of modality -> module and class; a reader is made without arguments
READERS: dict[str, tuple[str, str]] = {
    "image": ("chiasm.readers.image.image", "ImageReader"),
    "dicom": ("chiasm.readers.image.dicom", "DicomReader"),
    "volume": ("chiasm.readers.image.volume", "VolumeReader"),
    "slide": ("chiasm.readers.image.slide", "SlideReader"),
    "bag": ("chiasm.readers.bag", "BagReader"),
    "ecg": ("chiasm.readers.signal.signal", "EcgReader"),
    "signal": ("chiasm.readers.signal.signal", "SignalReader"),
    "events": ("chiasm.readers.record.events", "EventReader"),
    "text": ("chiasm.readers.sequence.text", "TextReader"),
    "molecule": ("chiasm.readers.sequence.molecule", "MoleculeReader"),
    "protein": ("chiasm.readers.sequence.sequence", "ProteinReader"),
    "dna": ("chiasm.readers.sequence.sequence", "DnaReader"),
    "singlecell": ("chiasm.readers.sequence.singlecell", "CellReader"),
}


def reader_for(kind: str) -> Reader:
    """Create the reader of a kind: a built-in one, or one that a package brings by the entry point `chiasm.readers`.

    Raises:
        Unsupported: nothing installed reads this kind.
    """
    if kind in READERS:
        module, name = READERS[kind]
        reader: Reader = getattr(import_module(module), name)()
        return reader
    for point in entry_points(group="chiasm.readers"):
        if point.name == kind:
            made: Reader = point.load()()
            return made
    raise Unsupported(f"nothing reads modalities of kind '{kind}': turn them into a table or a bag, or leave them out")


def missing(package: str, extra: str, what: str) -> Unsupported:
    """Build the error for an extra that is not installed."""
    return Unsupported(f'{what} need {package}: pip install "chiasm[{extra}]"')
