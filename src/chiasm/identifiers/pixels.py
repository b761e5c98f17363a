"""Text that is burned into pictures, by character recognition of a sample, where a package for it is installed."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chiasm.cohort import Cohort, Unsupported
from chiasm.cohort.sources import FileSource
from chiasm.identifiers.columns import Field
from chiasm.identifiers.tables import spread
from chiasm.readers.reading import Image, ReadError, Volume
from chiasm.readers.registry import reader_for

PICTURED = ("image", "dicom", "volume")
PICTURES = 12  # of a modality
SMALLEST = 64  # pixels a side below which nothing can be read
LARGEST = 1600  # pixels a side that are looked at; larger ones are thinned
SURE = 0.6  # confidence of a line of text
WANTING = ("text burned into pixels was not looked for, for want of rapidocr-onnxruntime: pip install --no-deps "
           "rapidocr-onnxruntime, with onnxruntime, opencv-python-headless, pyclipper and shapely")  # fmt: skip


@dataclass
class Pixels:
    """Lines of text by modality, pictures looked at and all, and what was not looked at."""

    fields: list[Field] = field(default_factory=list)
    looked: dict[str, int] = field(default_factory=dict)
    everything: int = 0
    not_looked: list[str] = field(default_factory=list)


def text_in_pixels(cohort: Cohort, seconds: float, progress: Callable[[str, int, int], None]) -> Pixels:
    """Recognise text in a sample of pictures of each modality, as long as there is time."""
    found = Pixels()
    modalities = [
        name
        for name in cohort.modalities
        if cohort.kinds[name] in PICTURED and isinstance(cohort.sources[name], FileSource)
    ]
    if not modalities:
        return found
    recognise = None
    end = time.monotonic() + seconds
    for modality in modalities:
        rows = cohort.rows_of(modality)
        own = Field("pixels", "", cohort.sources[modality].path, modality)
        looked = small = 0
        sample = list(spread(len(rows), PICTURES))
        for number, at in enumerate(sample):
            if time.monotonic() > end:
                break
            picture = _picture(cohort, modality, int(rows[at]))
            if picture is None or min(picture.shape[:2]) < SMALLEST:
                small += picture is not None
                continue
            recognise = recognise or _recogniser()
            if recognise is None:
                found.not_looked.append(WANTING)
                return found
            looked += 1
            for line in recognise(picture):
                own.values.append(line)
                own.rows.append(int(cohort.file_rows[rows[at]]))
            progress(f"identifiers, pixels of {modality}", number + 1, len(sample))
        found.looked[modality] = looked
        found.everything += len(rows)
        if own.values:
            found.fields.append(own)
        if small and not looked:
            found.not_looked.append(
                f"pictures of modality '{modality}' are smaller than {SMALLEST} pixels a side: no text in them is read"
            )
    return found


def _recogniser() -> Callable[[NDArray[np.uint8]], list[str]] | None:
    try:
        from rapidocr_onnxruntime import RapidOCR  # type: ignore[import-untyped, unused-ignore]
    except ImportError:
        return None
    engine: Any = RapidOCR()

    def recognise(picture: NDArray[np.uint8]) -> list[str]:
        lines, _ = engine(picture)
        read = [str(text) for _, text, sure in lines or () if float(sure) >= SURE]
        return [text for text in read if len(re.findall(r"\w", text)) >= 3]  # shorter are marks of a side

    return recognise


def _picture(cohort: Cohort, modality: str, row: int) -> NDArray[np.uint8] | None:
    """Return a picture as `(H, W, 3)` bytes; of a volume the slice in the middle; None if it cannot be read."""
    source = cohort.sources[modality]
    item = source.item(int(cohort.source_rows[modality][row])) if isinstance(source, FileSource) else None
    try:
        read = reader_for(cohort.kinds[modality]).read(item)  # type: ignore[arg-type]
    except (ReadError, Unsupported):
        return None
    if isinstance(read, Volume):
        values = read.values[:, read.values.shape[1] // 2]
    elif isinstance(read, Image):
        values = read.values
    else:
        return None
    values = values[:3] if len(values) >= 3 else np.repeat(values[:1], 3, axis=0)  # (3, H, W)
    step = max(1, int(np.ceil(max(values.shape[1:]) / LARGEST)))
    values = values[:, ::step, ::step]
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    scaled = (values - low) / (high - low or 1.0) * 255
    return np.ascontiguousarray(np.nan_to_num(scaled).astype(np.uint8).transpose(1, 2, 0))
