"""Reader of DICOM: a file, or a folder of one series, as a volume in the units of its modality."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chiasm.errors import count
from chiasm.limits import BOMB_RATIO, DECODED_BYTES, MEGABYTE, RUNS_RATIO, is_swollen
from chiasm.readers.guard import files_of, guarded
from chiasm.readers.image.codestream import check_stream
from chiasm.readers.image.dicom_codecs import add_decoders
from chiasm.readers.image.dicom_header import DEFLATED, SECONDARY_CAPTURE, Header, read_header, read_pixels, read_rows
from chiasm.readers.image.dicom_series import Series, Slice, order
from chiasm.readers.image.large import HELD_BYTES
from chiasm.readers.reading import LIMITS, Floats, Item, Limits, ReadError, Volume, check_values
from chiasm.readers.registry import missing
from chiasm.room import copy_by_cubes, is_in_order, is_large, let_go, room

NOUN, FIX = "a DICOM image", "export the series again"
GREY, RGB = ("grey",), ("red", "green", "blue")
INDEX = "DICOMDIR"
BLOCK = 1 << 20  # pixels that are brought to their units at a time
MOST_PIXEL_BYTES = 1 << 26  # of a file whose pixels are held together
RLE, RLE_HEADER = "1.2.840.10008.1.2.5", 4096  # its syntax, and bytes that it may add to a small frame


class DicomReader:
    """Reader of a `Volume`: `(1 or 3, D, H, W)` float32, the axes of the series turned to the nearest patient axes.

    In whatever plane and direction the slices were taken, d runs from foot to head, h from front to back, w from the
    patient's right to the left: the array that NIfTI of the same scan gives. A single slice has D = 1, its rows from
    head to foot (axial: from front to back). Without positions nothing is turned: a cine has its frames as D.

    Values pass the modality LUT, or slope and intercept (for a dose, its scaling to Gy); a CT that has them is in `HU`.
    MONOCHROME1 is inverted within its bits, unless the unit is HU; palettes and YBR become RGB. `spacing` is 1 mm if
    the header has none or a zero, which `inspect` notes.

    Only the tags in `dicom_header.KEYWORDS` are read into memory: no name, no date, no identifier but the series' own,
    which is only compared. The preamble is not used, and private tags are only detected.
    """

    kind = "dicom"
    version = "2"
    accepts = ("1",)

    def inspect(self, item: Item, limits: Limits = LIMITS) -> tuple[str, ...]:
        """Note burned-in text, private tags, uneven slices, assumed spacing and a CT not in HU; pixels are not read."""
        with guarded(NOUN, FIX):
            series = series_of(item, limits)
            headers = list({id(part.header): part.header for part in series.slices}.values())
            notes = (*_privacy(headers), *series.notes, *_units(headers))
        return notes

    def read(self, item: Item, limits: Limits = LIMITS) -> Volume:
        """Read the volume.

        Raises:
            ReadError: not DICOM, no image, damaged, over a limit, several series, slices that do not stack.
            Unsupported: pydicom, or a decoder of this compression, is missing.
        """
        with guarded(NOUN, FIX):
            series = series_of(item, limits)
            first = series.slices[0].header
            shape = (first.channels, len(series.slices), first.rows, first.columns)
            values, placed = _turned(shape, series)
            stacked = placed if not is_large(values.size) or is_in_order(placed[0]) else room(placed.shape)
            tags, held = None, None
            for place, part in enumerate(series.slices):
                if held is not part.header:
                    held = part.header
                    tags = held.tags if _is_read_by_rows(held) else read_pixels(held)
                _decode(part, tags, stacked[:, place])
            if stacked is not placed:
                copy_by_cubes(stacked, placed)
            unit = "HU" if all(_hounsfield(part) for part in series.slices) else ""
            volume = Volume(values, RGB if first.channels == 3 else GREY, series.spacing, unit)
        return volume


def series_of(item: Item, limits: Limits) -> Series:
    """The ordered slices of a file or folder, by their headers; to be called inside `guarded`.

    Raises:
        ReadError: no image, over a limit, several series, slices that do not stack.
        Unsupported: a decoder is missing.
    """
    files = [file for file in files_of(item, limits) if file.name.upper() != INDEX]
    if not files:
        raise ReadError("the folder holds a DICOMDIR alone", "copy the images beside it")
    headers = []
    values = stored = 0
    for file in files:
        header = read_header(file, limits)
        values += header.frames * header.channels * header.rows * header.columns
        check_values((values,), limits)
        stored += file.stat().st_size
        headers.append(header)
    runs = all(header.syntax in (RLE, DEFLATED) for header in headers)
    if is_swollen(values, stored, ratio := RUNS_RATIO if runs else BOMB_RATIO):
        what = f"the series would take over {DECODED_BYTES >> 20} MB of memory and over {ratio} times its size"
        raise ReadError(f"{what}, as no scan does", "check the files, which hold almost nothing")
    for syntax, bits in sorted({(header.syntax, int(header.tags.get("BitsStored") or 0)) for header in headers}):
        _check_decoder(syntax, bits)
    for header in headers:
        _check_held(header)
    return order(headers)


def _check_held(header: Header) -> None:
    """Refuse pixels that are only to be had in one piece, of more bytes than may be held beside the volume."""
    from pydicom.uid import UID

    if header.start:
        return
    packed = UID(header.syntax).is_encapsulated  # all of the file is held then, and one frame as it is decoded
    held = header.path.stat().st_size + 2 * header.native_bytes // header.frames if packed else 2 * header.native_bytes
    if held > HELD_BYTES:
        raise ReadError(
            f"its pixels have to be decoded in one piece, in over {HELD_BYTES // MEGABYTE} MB of memory",
            "export it uncompressed, in little-endian order and not by planes, or in smaller frames",
        )


def _check_decoder(syntax: str, bits: int) -> None:
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import UID, JPEGExtended12Bit

    add_decoders()
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        raise ReadError("the pixels are compressed in a way that is not read", "export them uncompressed") from None
    deep = syntax == JPEGExtended12Bit and bits > 8  # more than Pillow decodes
    if not decoder.is_available or (deep and decoder.available_plugins == ("pillow",)):
        raise missing("imagecodecs", "imaging", f"pixels in {UID(syntax).name}")


def _turned(shape: tuple[int, ...], series: Series) -> tuple[Floats, Floats]:
    """Return the array of the volume, and a view of it `(C, slices, rows, columns)` that is filled slice by slice."""
    values = room((shape[0], *(shape[1 + axis] for axis in series.axes)))
    back = np.argsort(series.axes)
    return values, values[:, *(slice(None, None, step) for step in series.steps)].transpose(0, *(1 + back))


def _decode(part: Slice, tags: Any, out: Floats) -> None:
    """Decode one slice into `(C, H, W)` in the units of its modality, some rows at a time."""
    header = part.header
    pixels = None if _is_read_by_rows(header) else _stored(part, tags)
    for start in range(0, header.rows, step := max(1, BLOCK // header.columns)):
        stop = min(start + step, header.rows)
        rows = out[:, start:stop]
        if pixels is None:
            stored = _stored(replace(part, frame=0), read_rows(header, part.frame, start, stop))
            rows[...] = _measured(part, tags, stored)
        else:
            rows[...] = _measured(part, tags, pixels[start:stop])
        if not np.isfinite(rows).all():
            raise ReadError("the pixels hold values that are not finite", FIX)
        let_go(out)


def _is_read_by_rows(header: Header) -> bool:
    """True if the pixels are many and lie in the file as they are, so that none need be held beside the volume."""
    return header.start > 0 and header.native_bytes > MOST_PIXEL_BYTES


def _stored(part: Slice, tags: Any) -> NDArray[Any]:
    """Decode one slice to `(H, W)` or `(H, W, 3)` as it is stored."""
    from pydicom.pixels.utils import pixel_array
    from pydicom.uid import UID

    header = part.header
    if "PixelData" in tags and tags["PixelData"].is_undefined_length:
        from pydicom.encaps import get_frame

        stream = get_frame(tags.PixelData, part.frame, number_of_frames=header.frames)
        check_stream(stream, header.rows, header.columns)
        if header.syntax == RLE and len(stream) > RLE_HEADER + 2 * header.native_bytes // header.frames:
            # runs are decoded to their end; what packs to more than it is was never packed by this scheme
            raise ReadError("a compressed part is longer than what it announces", "export it again")
    tags.file_meta.TransferSyntaxUID = tags.file_meta.get("TransferSyntaxUID") or header.syntax
    try:
        return np.asarray(pixel_array(tags, index=part.frame))
    except RuntimeError:  # each of pydicom's decoders gave up
        raise ReadError(
            f"no installed decoder reads the pixels ({UID(header.syntax).name}): they are damaged, or coded in a way "
            "that is rare",
            "pip install python-gdcm, which decodes more, or export the files uncompressed",
        ) from None


def _measured(part: Slice, tags: Any, pixels: NDArray[Any]) -> NDArray[np.float64]:
    """Bring stored pixels to `(C, h, W)` in the units of the modality."""
    from pydicom.pixels.processing import apply_color_lut, apply_modality_lut

    if part.header.samples == 3:
        return np.moveaxis(pixels, -1, 0).astype(np.float64)
    if tags.get("PhotometricInterpretation") == "PALETTE COLOR":
        return np.moveaxis(apply_color_lut(pixels, tags), -1, 0).astype(np.float64)
    slope, intercept = _rescale(part)

    def measured(stored: NDArray[Any]) -> NDArray[np.float64]:
        if tags.get("ModalityLUTSequence"):
            return np.asarray(apply_modality_lut(stored, tags), dtype=np.float64)
        return stored * float(1 if slope is None else slope) + float(0 if intercept is None else intercept)

    values = measured(pixels)
    if tags.get("PhotometricInterpretation") == "MONOCHROME1" and not _hounsfield(part):
        bits = int(tags.BitsStored)
        low = -(1 << (bits - 1)) if tags.get("PixelRepresentation") else 0
        values = measured(np.array([low, low + (1 << bits) - 1], dtype=np.int64)).sum() - values
    return values[None]


def _rescale(part: Slice) -> tuple[Any, Any]:
    if part.header.tags.get("DoseGridScaling") is not None:
        return part.header.tags.DoseGridScaling, 0
    group = "PixelValueTransformationSequence"
    return part.tag(group, "RescaleSlope"), part.tag(group, "RescaleIntercept")


def _hounsfield(part: Slice) -> bool:
    unit = part.tag("PixelValueTransformationSequence", "RescaleType")
    grey = part.header.samples == 1
    return grey and part.header.tags.get("Modality") == "CT" and None not in _rescale(part) and unit in (None, "", "HU")


def _privacy(headers: Sequence[Header]) -> tuple[str, ...]:
    def files(chosen: list[Header]) -> str:
        return f"{len(chosen):,} of {count(len(headers), 'file')}"

    said = [header for header in headers if str(header.tags.get("BurnedInAnnotation") or "").upper() == "YES"]
    unsaid = [
        header
        for header in headers
        if not header.tags.get("BurnedInAnnotation")
        and str(header.tags.get("SOPClassUID") or "").startswith(SECONDARY_CAPTURE)
    ]
    private = [header for header in headers if header.private]
    notes = (
        (said, "text is burned into the pixels, perhaps a name, in"),
        (unsaid, "a secondary capture does not say whether text is burned into its pixels, in"),
        (private, "private tags, which are not read and may name the patient, stand in"),
    )
    return tuple(f"{what} {files(chosen)}" for chosen, what in notes if chosen)


def _units(headers: Sequence[Header]) -> tuple[str, ...]:
    if any(header.tags.get("Modality") == "CT" for header in headers) and not all(
        _hounsfield(Slice(header, 0, None, None, None)) for header in headers
    ):
        return ("a CT without slope and intercept in HU: its numbers are not Hounsfield units",)
    return ()
