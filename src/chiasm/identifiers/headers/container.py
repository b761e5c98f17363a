"""Labels of HDF5 and H5AD, Parquet, safetensors, workbooks, NIfTI, sounds and films."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from chiasm.artifact.tensors import require_header
from chiasm.cohort.hdf5_heaps import has_damaged_heap
from chiasm.cohort.workbook_parts import parts_of
from chiasm.identifiers.headers.label import LABELS, TEXT_BYTES, Label
from chiasm.readers.reading import ReadError

OWN_OF_ANNDATA = {"encoding-type", "encoding-version", "_index", "column-order", "shape", "ordered", "h5sparse_format"}
ROWS = 200  # texts of one dataset
PANDAS = {"pandas", "ARROW:schema", "org.apache.spark.sql.parquet.row.metadata", "huggingface"}
OFFICE = {
    "creator": "name",
    "lastModifiedBy": "name",
    "Manager": "name",
    "created": None,
    "modified": None,
    "Company": "place",
}
BYTES_OF_TEXT = 2_000


def hdf5_labels(path: Path) -> Iterator[Label]:
    """Yield the attributes and texts of an HDF5 file; of H5AD those of `uns` and `obs`, and what they are called."""
    import h5py  # type: ignore[import-untyped, unused-ignore]

    if has_damaged_heap(path):
        raise ReadError("the texts of the file are damaged", "write the file again")
    found: list[tuple[str, Any]] = []
    with h5py.File(path, "r") as file:
        annotated = "obs" in file and "var" in file
        file.visititems(lambda name, own: found.append((name, own)) if len(found) < LABELS else None)
        for name, own in [("", file), *found]:
            part = name.split("/")[0] if annotated else ""
            if annotated and part in ("var", "X", "varm", "varp", "layers", "raw"):
                continue
            where = part or "HDF5"
            for key, value in own.attrs.items():
                if key not in OWN_OF_ANNDATA and (text := _text(value)):
                    yield Label(f"attribute of {where}", f"{key}: {text}")
            if name and part in ("uns", "obs") and name.count("/"):
                yield Label(f"names in {where}", name.split("/")[1])
            if isinstance(own, h5py.Dataset) and own.dtype.kind in "OS" and own.size:
                values = own[()] if own.shape == () else own[:ROWS] if own.ndim == 1 else ()
                for text in sorted({_text(value) for value in ([values] if own.shape == () else values)} - {""}):
                    yield Label(f"text in {where}", text)


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")[:BYTES_OF_TEXT]
    if isinstance(value, str):
        return value[:BYTES_OF_TEXT]
    return (
        " ".join(map(str, value.ravel()[:50]))
        if getattr(value, "dtype", None) is not None and value.dtype.kind in "OSU"
        else ""
    )


def parquet_labels(path: Path) -> Iterator[Label]:
    """Yield the metadata of a Parquet file, but for those by which pandas and Arrow write a table."""
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    for key, value in (pq.read_metadata(path).metadata or {}).items():
        name, text = key.decode("utf-8", "replace"), value.decode("utf-8", "replace")
        if name == "pandas":
            attributes = json.loads(text).get("attributes")
            text = json.dumps(attributes) if attributes else ""
            name = "attributes of the frame"
        if name not in PANDAS and text:
            yield Label("Parquet metadata", f"{name}: {text[:TEXT_BYTES]}")


def safetensors_labels(path: Path) -> Iterator[Label]:
    """Yield the metadata of a safetensors file; its header is read, and no tensor."""
    require_header(path)
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    for name, text in (header.get("__metadata__") or {}).items():
        yield Label("safetensors metadata", f"{name}: {text}")


def workbook_labels(path: Path) -> Iterator[Label]:
    """Yield who made a workbook, its properties, the names of its sheets, comments, and every text of a cell."""
    for name, part in parts_of(path).items():
        lower = name.lower()
        if lower in ("docprops/core.xml", "docprops/app.xml", "docprops/custom.xml", "meta.xml"):
            for own in ElementTree.fromstring(part).iter():
                tag = own.tag.rpartition("}")[2]
                if (
                    own.text
                    and own.text.strip()
                    and tag not in ("Application", "AppVersion", "lpstr", "i4", "DocSecurity")
                ):
                    yield Label(f"property {tag}", own.text.strip(), OFFICE.get(tag))
        elif lower == "xl/workbook.xml":
            for own in ElementTree.fromstring(part).iter():
                if own.tag.endswith("}sheet"):
                    yield Label("name of a sheet", own.get("name", ""))
        elif re.fullmatch(r"xl/(?:threaded)?comments?.*\.xml|xl/persons/.*\.xml", lower):
            root = ElementTree.fromstring(part)
            for own in root.iter():
                if own.tag.endswith("}author") and (own.text or "").strip():
                    yield Label("author of a comment", own.text or "", "name")
                elif own.tag.endswith("}t") and (own.text or "").strip():
                    yield Label("comment on a cell", own.text or "")
        elif lower == "xl/sharedstrings.xml":
            for count, own in enumerate(ElementTree.fromstring(part).iter()):
                if own.tag.endswith("}t") and (own.text or "").strip() and count < 10 * LABELS:
                    yield Label("text in any sheet", own.text or "")


def nifti_labels(path: Path) -> Iterator[Label]:
    """Yield the free texts of a NIfTI header and its extensions; inside `guarded`."""
    import nibabel

    header: Any = nibabel.load(path).header
    for name in ("descrip", "aux_file", "db_name", "intent_name"):
        try:
            text = bytes(header[name]).decode("latin-1").strip("\0 ")
        except (KeyError, ValueError, TypeError):
            continue
        if text:
            yield Label(name, text)
    for own in getattr(header, "extensions", ()):
        content = own.get_content()
        text = content.decode("latin-1") if isinstance(content, bytes) else str(content)
        if text.strip("\0 "):
            yield Label("extension", re.sub(r"[^\x20-\xff]+", " ", text)[:TEXT_BYTES])


def sound_labels(path: Path) -> Iterator[Label]:
    """Yield title, artist, comment and the like of a sound."""
    import soundfile  # type: ignore[import-untyped, unused-ignore]

    with soundfile.SoundFile(path) as sound:
        for name, text in sound.copy_metadata().items():
            if name != "software" and text:
                yield Label(f"tag {name}", text, "name" if name == "artist" else None)


def film_labels(path: Path) -> Iterator[Label]:
    """Yield the tags of a film and of its streams."""
    import av

    with av.open(str(path)) as film:
        for tags in (film.metadata, *(stream.metadata for stream in film.streams)):
            for name, text in tags.items():
                key = str(name).lower()
                if key in (
                    "encoder",
                    "handler_name",
                    "language",
                    "major_brand",
                    "compatible_brands",
                    "minor_version",
                    "vendor_id",
                ):
                    continue
                kind = (
                    "place"
                    if "location" in key
                    else "date"
                    if key == "creation_time"
                    else "name"
                    if key in ("artist", "author")
                    else None
                )
                yield Label("tag of the film", f"{name}: {text}", kind)
