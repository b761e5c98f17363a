"""Check that boxes were drawn on the images that a cohort names: what their files say of the size, and the images."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from chiasm.cohort import Cohort, Problem
from chiasm.errors import Severity, count, first_rows
from chiasm.readers.image.orientation import TAG

APART = 0.02
"""Relative difference of height to width above which an image is of another shape, and no resized one."""
KIND = "image"


def box_size_problems(cohort: Cohort) -> list[Problem]:
    """List images of another shape than their boxes were drawn on, an error, and those of another size, a warning.

    Boxes are shares of the image, so that an image that was resized keeps them. Sizes stand in headers; no pixel is
    read, and an image whose header cannot be read is told of elsewhere. In a cohort of several images a patient has
    one of them that fits.
    """
    outcome, names = cohort.outcome, [name for name in cohort.modalities if cohort.kinds[name] == KIND]
    if outcome is None or outcome.boxes is None or not names:
        return []
    said = outcome.boxes.sizes
    shape, size = (np.zeros((len(names), len(cohort)), dtype=bool) for _ in range(2))
    seen = np.zeros((len(names), len(cohort)), dtype=bool)
    for place, name in enumerate(names):
        raw, rows = cohort.raw(name), cohort.rows_of(name)
        for k, row in enumerate(rows.tolist()):
            own = size_of(raw[k]) if np.isfinite(said[row]).all() and outcome.known[row] else None
            if own is not None:
                seen[place, row] = True
                shape[place, row] = abs(own[0] * said[row, 1] / (own[1] * said[row, 0]) - 1) > APART
                size[place, row] = own != tuple(said[row].tolist())
    some: NDArray[np.bool_] = np.asarray(seen.any(axis=0))
    other: NDArray[np.bool_] = np.asarray(some & (shape | ~seen).all(axis=0))
    resized: NDArray[np.bool_] = np.asarray(some & ~other & (size | ~seen).all(axis=0))
    what, fix = "boxes were drawn on an image of another shape", "name the file of boxes that belongs to the image"
    told = [of_rows(cohort, other, what, fix, "error")] if other.any() else []
    if resized.any():
        what, fix = "boxes were drawn on an image of another size", "right if it was resized, as a whole, since"
        told.append(of_rows(cohort, resized, what, fix, "warning"))
    return told


def size_of(item: object) -> tuple[float, float] | None:
    """Width and height of an upright picture by its header; None for what is no file, or what Pillow does not open."""
    from PIL import Image

    if not isinstance(item, Path | str):
        return None
    try:
        with Image.open(item) as picture:
            width, height = float(picture.size[0]), float(picture.size[1])
            turn = 1
            with suppress(Exception):  # damaged EXIF in a sound image; Pillow turns the size of a TIFF itself
                turn = 1 if picture.format == "TIFF" else int(Image.Image.getexif(picture).get(TAG, 1))
            return (height, width) if turn in (5, 6, 7, 8) else (width, height)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def of_rows(cohort: Cohort, wrong: np.ndarray, what: str, fix: str, severity: Severity) -> Problem:
    """A problem of the rows where it is wrong, `(B,)`, with their number and the first of them."""
    rows = np.sort(cohort.file_rows[wrong]).tolist()
    many = f" in {count(len(rows), 'row')} ({first_rows(rows)})" if len(rows) > 1 else ""
    finding = "unreadable-outcome" if severity == "error" else "unknown-outcome"
    return Problem(severity, rows[0], None, cohort.path, what + many, fix, finding)
