"""DICOM by pydicom, turned to the patient's axes by nibabel."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import permutations, product
from pathlib import Path
from shutil import copyfile
from typing import Any

import numpy as np
import pydicom
from nibabel.orientations import apply_orientation, axcodes2ornt, io_orientation, ornt_transform
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
    generate_uid,
)

from references.compared import Case, Found, files_below

UPRIGHT = "modality LUT or slope; MONOCHROME1 inverted within its bits; axes turned to S, P, L by nibabel"


def dicom_cases(folders: Sequence[Path], work: Path) -> Iterator[Case]:
    """Every file of pydicom and nibabel that begins as DICOM does, alone, and every series of several files."""
    series = defaultdict(list)
    for folder in folders:
        for name, path in files_below(folder, ""):
            with path.open("rb") as file:
                if file.read(132)[128:] != b"DICM" and path.suffix != ".dcm":
                    continue
            yield Case("DICOM", name, "dicom", path, lambda path=path: dicom([path]), convention=UPRIGHT)
            try:
                uid = pydicom.dcmread(path, stop_before_pixels=True).get("SeriesInstanceUID")
            except Exception:  # what is no DICOM, or too damaged, is no part of a series either
                continue
            series[folder, path.parent, uid].append(path)
    for number, ((folder, where, uid), paths) in enumerate(series.items()):
        if uid and len(paths) > 1:
            own = work / "series" / str(number)
            own.mkdir(parents=True)
            copies = [own / f"{k}.dcm" for k in range(len(paths))]
            for path, copy in zip(paths, copies, strict=True):
                copyfile(path, copy)
            name = f"{where.relative_to(folder.parent).as_posix()}: a series of {len(paths)}"
            yield Case("DICOM series", name, "dicom", own, lambda copies=copies: dicom(copies), convention=UPRIGHT)


def dicom(paths: Sequence[Path]) -> Found:
    """Stack of the slices of one file or several, in the patient's axes, with its spacing."""
    slices: list[tuple[np.ndarray, np.ndarray | None, np.ndarray | None, Any]] = []
    for path in paths:
        data = pydicom.dcmread(path)
        for frame, picture in enumerate(_pictures(data)):
            slices.append((picture, *_placed(data, frame), data))
    first = slices[0][3]
    measures = _group(first, 0, "PixelMeasuresSequence") or first
    spacing = measures.get("PixelSpacing") or first.get("ImagerPixelSpacing")
    down, across = map(float, spacing) if spacing and all(float(part) > 0 for part in spacing) else (1.0, 1.0)
    thick = next((float(value) for name in ("SpacingBetweenSlices", "SliceThickness")
                  if (value := measures.get(name)) is not None and float(value) > 0), 1.0)  # fmt: skip
    direction = slices[0][2]
    if direction is None or (len(slices) > 1 and slices[0][1] is None):
        if len(paths) > 1:
            slices.sort(key=lambda part: int(part[3].InstanceNumber))
        values = np.stack([part[0] for part in slices], axis=1)
        return {"values": values, "spacing": (thick, down, across)}
    normal = np.cross(direction[:3], direction[3:])
    if len(slices) > 1:
        slices.sort(key=lambda part: float(part[1] @ normal))
        thick = float(np.median(np.diff([float(part[1] @ normal) for part in slices])))
    to_ras = np.diag([-1.0, -1.0, 1.0])
    affine = np.eye(4)
    affine[:3, :3] = to_ras @ np.stack([normal * thick, direction[3:] * down, direction[:3] * across], axis=1)
    wanted = ("S", "P", "L")
    if len(slices) == 1:
        wanted = {"S": wanted, "A": ("P", "I", "L"), "R": ("L", "I", "P")}["RAS"[int(np.argmax(np.abs(normal)))]]
    turn = ornt_transform(io_orientation(affine), axcodes2ornt(wanted))
    stack = np.stack([part[0] for part in slices], axis=1)
    values = np.stack([apply_orientation(channel, turn) for channel in stack])
    sizes = [thick, down, across]
    placed = [sizes[int(np.flatnonzero(turn[:, 0] == axis)[0])] for axis in range(3)]
    return {"values": values, "spacing": tuple(placed)}


def _pictures(data: Any) -> Iterator[np.ndarray]:
    """Each frame as (C, H, W) in the units of its modality."""
    pixels = data.pixel_array
    palette = data.PhotometricInterpretation == "PALETTE COLOR"
    frames = pixels if int(data.get("NumberOfFrames") or 1) > 1 else pixels[None]
    for frame, picture in enumerate(frames):
        if int(data.SamplesPerPixel) == 3:
            yield np.moveaxis(picture, -1, 0)
        elif palette:
            yield np.moveaxis(apply_color_lut(picture, data), -1, 0)
        else:
            own = _group(data, frame, "PixelValueTransformationSequence")
            measured = _measured(picture, data, own)
            hounsfield = data.get("Modality") == "CT" and "RescaleSlope" in (own or data)
            if data.PhotometricInterpretation == "MONOCHROME1" and not hounsfield:
                low = -(2 ** (data.BitsStored - 1)) if data.PixelRepresentation else 0
                ends = _measured(np.array([low, low + 2**data.BitsStored - 1]), data, own)
                measured = ends[0] + ends[1] - measured
            yield measured[None]


def _measured(stored: np.ndarray, data: Any, own: Any) -> np.ndarray:
    if "DoseGridScaling" in data:
        return stored * float(data.DoseGridScaling)
    return apply_modality_lut(stored, own or data).astype(np.float64)


def _group(data: Any, frame: int, name: str) -> Any:
    for groups, place in (("PerFrameFunctionalGroupsSequence", frame), ("SharedFunctionalGroupsSequence", 0)):
        if groups in data and len(data[groups].value) > place and name in data[groups].value[place]:
            return data[groups].value[place][name].value[0]
    return None


def _placed(data: Any, frame: int) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Position and direction of a frame, as numbers."""
    position = (_group(data, frame, "PlanePositionSequence") or data).get("ImagePositionPatient")
    direction = (_group(data, frame, "PlaneOrientationSequence") or data).get("ImageOrientationPatient")
    position = None if not position else np.array(position, float)
    direction = None if not direction else np.array(direction, float)
    if position is not None and direction is not None and "GridFrameOffsetVector" in data:
        offsets = data.GridFrameOffsetVector
        position = position + np.cross(direction[:3], direction[3:]) * (offsets[frame] - offsets[0])
    return position, direction


def written_cases(work: Path) -> Iterator[Case]:
    """Series in each direction that slices can have, then single files of each type, sign, colour and syntax."""
    rng = np.random.default_rng(0)
    for number, (axes, signs) in enumerate(product(permutations(range(3), 2), product((1, -1), repeat=2))):
        own = work / f"series-{number}"
        own.mkdir(parents=True)
        across, down = (np.eye(3)[axis] * sign for axis, sign in zip(axes, signs, strict=True))
        tilt = np.array([[1, 0, 0], [0, np.cos(0.1), -np.sin(0.1)], [0, np.sin(0.1), np.cos(0.1)]])
        across, down = tilt @ across, tilt @ down
        paths = []
        for place in rng.permutation(5):
            data = _new(rng.integers(0, 4000, (6, 7), dtype=np.uint16), ExplicitVRLittleEndian)
            data.SeriesInstanceUID, data.InstanceNumber = "1.2.3", int(place)
            data.ImageOrientationPatient = [f"{value:.6f}" for value in (*across, *down)]
            data.ImagePositionPatient = [f"{value:.4f}" for value in np.cross(across, down) * place * 2.5]
            data.PixelSpacing, data.RescaleSlope, data.RescaleIntercept = [0.5, 0.75], 1, -1024
            data.Modality, data.RescaleType = "CT", "HU"
            paths.append(own / f"{place}.dcm")
            data.save_as(paths[-1])
        name = f"written: columns along {axes[0]} {signs[0]:+d}, rows along {axes[1]} {signs[1]:+d}, oblique"
        yield Case("DICOM series", name, "dicom", own, lambda paths=paths: dicom(paths), convention=UPRIGHT)
    syntaxes = (
        ExplicitVRLittleEndian,
        ExplicitVRBigEndian,
        ImplicitVRLittleEndian,
        DeflatedExplicitVRLittleEndian,
        RLELossless,
    )
    for number, (syntax, kind, stored, photometric) in enumerate(
        product(syntaxes, ("u1", "u2", "i2"), (None, 12), ("MONOCHROME1", "MONOCHROME2"))
    ):
        if stored == 12 and kind == "u1":
            continue
        bits = stored or 8 * np.dtype(kind).itemsize
        low = -(2 ** (bits - 1)) if kind == "i2" else 0
        data = _new(rng.integers(low, low + 2**bits, (9, 11)).astype(kind), syntax, photometric, bits)
        data.RescaleSlope, data.RescaleIntercept = "0.5", "-7"
        yield _saved(data, syntax, work / f"{number}.dcm", f"{syntax.name}, {kind} of {bits} bits, {photometric}")
    for number, (syntax, plane, frames) in enumerate(product(syntaxes, (0, 1), (1, 3))):
        shape = (frames, 3, 8, 9) if plane else (frames, 8, 9, 3)
        pixels = rng.integers(0, 256, shape, dtype=np.uint8)
        data = _new(pixels, syntax, "RGB", 8, plane)
        yield _saved(data, syntax, work / f"rgb-{number}.dcm", f"{syntax.name}, RGB, planes {plane}, {frames} frames")


def _new(pixels: np.ndarray, syntax: Any, photometric: str = "MONOCHROME2", bits: int = 16, plane: int = 0) -> Any:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian if syntax == RLELossless else syntax
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", generate_uid()
    data = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    data.set_original_encoding(meta.TransferSyntaxUID.is_implicit_VR, meta.TransferSyntaxUID.is_little_endian)
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    colour = photometric == "RGB"
    shape = pixels.shape[1:] if colour else pixels.shape
    data.Rows, data.Columns = (shape[1:] if plane else shape[:2]) if colour else shape
    data.SamplesPerPixel, data.PhotometricInterpretation = 3 if colour else 1, photometric
    if colour:
        data.PlanarConfiguration, data.NumberOfFrames = plane, len(pixels)
    data.BitsAllocated, data.BitsStored, data.HighBit = 8 * pixels.itemsize, bits, bits - 1
    data.PixelRepresentation = int(pixels.dtype.kind == "i")
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    data.PixelData = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    data.PixelData += b"\0" * (len(data.PixelData) % 2)
    data["PixelData"].VR = "OB" if pixels.itemsize == 1 else "OW"
    return data


def _saved(data: Any, syntax: Any, path: Path, name: str) -> Case:
    path.parent.mkdir(parents=True, exist_ok=True)
    if syntax == RLELossless:
        data.compress(RLELossless, generate_instance_uid=False)
    data.save_as(path)
    return Case("DICOM", f"written: {name}", "dicom", path, lambda: dicom([path]), convention=UPRIGHT)
