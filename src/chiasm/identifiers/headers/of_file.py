"""Which reader of labels a file has, by its first bytes and its name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from chiasm.cohort import Unsupported
from chiasm.identifiers.headers import container, dicom, picture, signal, text
from chiasm.identifiers.headers.label import Label
from chiasm.limits import require_regular
from chiasm.readers.guard import guarded
from chiasm.readers.reading import LIMITS
from chiasm.readers.registry import missing

Labels = Callable[[Path], Iterator[Label]]
HDF5 = b"\x89HDF\r\n\x1a\n"
BY_START: tuple[tuple[int, bytes, str, Labels], ...] = (  # offset, bytes, what it is, reader
    (128, b"DICM", "DICOM", dicom.dicom_labels),
    (0, HDF5, "HDF5", container.hdf5_labels),
    (0, b"PAR1", "Parquet", container.parquet_labels),
    (0, b"\x89PNG", "pictures", picture.picture_labels),
    (0, b"\xff\xd8\xff", "pictures", picture.picture_labels),
    (0, b"II*\0", "TIFF", picture.tiff_labels),
    (0, b"MM\0*", "TIFF", picture.tiff_labels),
    (0, b"II+\0", "TIFF", picture.tiff_labels),
    (0, b"MM\0+", "TIFF", picture.tiff_labels),
    (0, b"0       ", "EDF", signal.edf_labels),
    (0, b"\xffBIOSEMI", "EDF", signal.edf_labels),
)
BY_NAME: dict[str, tuple[str, Labels]] = {
    **dict.fromkeys((".nii", ".nii.gz"), ("NIfTI", container.nifti_labels)),
    **dict.fromkeys((".xlsx", ".xlsm", ".ods"), ("workbooks", container.workbook_labels)),
    **dict.fromkeys((".json", ".ndjson", ".jsonl"), ("JSON", text.json_labels)),
    **dict.fromkeys((".fasta", ".fa", ".fna", ".faa"), ("FASTA", text.fasta_labels)),
    **dict.fromkeys((".wav", ".flac", ".ogg", ".aif", ".aiff"), ("sounds", container.sound_labels)),
    **dict.fromkeys((".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v"), ("films", container.film_labels)),
    **dict.fromkeys((".txt", ".md"), ("notes", text.plain_labels)),
    **dict.fromkeys((".jp2", ".bmp", ".gif", ".webp"), ("pictures", picture.picture_labels)),
    ".safetensors": ("safetensors", container.safetensors_labels),
    ".hea": ("WFDB", signal.wfdb_labels),
    ".xml": ("XML", text.xml_labels),
    ".vcf": ("VCF", text.vcf_labels),
    ".csv": ("tables of signals", text.first_line),
}
PACKAGES = {  # format -> package and extra
    "DICOM": ("pydicom", "imaging"), "HDF5": ("h5py", "omics"), "pictures": ("Pillow", "imaging"),
    "TIFF": ("tifffile", "imaging"), "NIfTI": ("nibabel", "imaging"), "sounds": ("soundfile", "audio"),
    "films": ("av", "video"),
}  # fmt: skip


class NoPackage(Exception):
    """Raised where a package is missing by which the headers of a format are read; `what` is the format."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


def labels_of(path: Path) -> list[Label] | None:
    """Return the labels of a file; None where nothing here reads the headers of its format.

    Raises:
        NoPackage: its package is not installed.
        ReadError: the file is damaged.
    """
    read = _reader(path)
    if read is None:
        return None
    what, labels = read
    try:
        with guarded("a header"):
            require_regular(path, LIMITS.bytes)
            try:
                return list(labels(path))
            except ModuleNotFoundError:
                raise missing(*PACKAGES[what], f"headers of {what}") from None
    except Unsupported:
        raise NoPackage(what) from None


def format_of(path: Path) -> str:
    """Return what the format of a file is called here; its suffix, where its headers are not read."""
    read = _reader(path)
    return read[0] if read else "files of other formats"


def _reader(path: Path) -> tuple[str, Labels] | None:
    name = path.name.lower()
    try:
        with path.open("rb") as file:
            start = file.read(132)
    except OSError:
        return None
    for offset, sign, what, read in BY_START:
        if start[offset : offset + len(sign)] == sign:
            return what, read
    return next((own for suffix, own in BY_NAME.items() if name.endswith(suffix)), None)
