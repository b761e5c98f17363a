"""Public function that shows a scan on a finer grid, and where that is not to be trusted."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chiasm.generation.finer import FIELDS, Finer, finer_shape, made_finer
from chiasm.generation.marks import mark_of
from chiasm.generation.scan_field import FieldOptions
from chiasm.generation.scans import Scan, finer_affine, read_scan, require_numbers, require_suits, write_scan
from chiasm.progress import followed
from chiasm.report.enhanced_page import render_enhanced
from chiasm.report.written import require_html, write_page
from chiasm.shown import in_percent

GENERATOR = "cube-field"


@dataclass(frozen=True, repr=False)
class Enhanced:
    """A finer scan before it is written or beside what was.

    Attributes:
        finer: its values, what there is to doubt about them, and cubic interpolation for comparison.
        shape: of the scan that was given.
        affine: of the finer scan, `(4, 4)`; None of a picture and of an array.
        mark: what the header of the file says.
        sentences: what there is to know.
    """

    finer: Finer
    shape: tuple[int, ...]
    affine: NDArray[np.float64] | None
    mark: dict[str, Any]
    sentences: tuple[str, ...]

    @property
    def values(self) -> NDArray[np.float32]:
        """The finer scan, in the axes of the file."""
        return self.finer.values

    def __repr__(self) -> str:
        return f"Enhanced: {_sides(self.shape)} to {_sides(self.values.shape)} voxels"


def enhance(
    scan: str | os.PathLike[str] | NDArray[np.floating],
    out: str | os.PathLike[str] | None = None,
    *,
    scale: float | Sequence[float] = 2.0,
    page: str | os.PathLike[str] | None = None,
    steps: int | None = None,
    seed: int = 0,
    device: str = "cpu",
    progress: Callable[..., None] | None = None,
) -> Enhanced:
    """Show a scan on a finer grid by a neural field that is learnt of this scan alone.

    Args:
        scan: a volume (NIfTI, MGH, MINC, a DICOM folder), a grey picture (PNG, TIFF, JPEG), or values of two or
            three axes.
        out: .nii.gz or .nii for a volume, .png for a picture, with a mark in its header that its pixels were generated;
            None writes nothing.
        scale: how much finer, at least 1 and above it somewhere; or one number for each axis of the file.
        page: an HTML page of before, after, their difference, and where not to trust it.
        steps: of learning, a thousand unless given; more is slower.
        seed: of the two fields whose mean is told.

    Raises:
        ValueError: a scale that makes nothing finer.
        Unsupported: a scan of one value everywhere, of fewer than four voxels along an axis, of several volumes or
            colours, or one that was generated; a finer scan of too many voxels; a name that does not suit.
        ReadError: the scan cannot be read, or has values that are no finite number.
    """
    own = Scan.of_array(scan) if isinstance(scan, np.ndarray) else read_scan(Path(scan))
    shape = finer_shape(own.values.shape, scale)
    require_numbers(own.values)
    if steps is not None and steps < 1:
        raise ValueError(f"{steps} steps learn nothing: give one or more")
    if out is not None:
        require_suits(Path(out), own)
        if not (folder := Path(out).absolute().parent).is_dir():
            raise FileNotFoundError(2, "is no folder: make it before a scan is written there", str(folder))
    if page is not None:
        require_html(Path(page))
    options = FieldOptions() if steps is None else FieldOptions(steps=steps)
    with followed("steps", progress) as told:
        finer = made_finer(own.values, shape, options, seed, device, told)
    affine = None if own.affine is None else finer_affine(own.affine, own.values.shape, shape)
    mark = mark_of(GENERATOR, seed, fields=FIELDS, from_shape=list(own.values.shape), shape=list(shape))
    wide = float(own.values.max()) - float(own.values.min())
    found = Enhanced(finer, own.values.shape, affine, mark, _sentences(finer, own.values.shape, wide))
    if out is not None:
        write_scan(Path(out), finer.values, own, mark)
    if page is not None:
        spacing = (1, 1, 1) if own.affine is None else np.sqrt((own.affine[:3, :3] ** 2).sum(0)).tolist()
        write_page(
            Path(page),
            lambda: render_enhanced(own.values, finer, mark, found.sentences, spacing, upright=own.slices_first),
        )
    return found


def _sentences(finer: Finer, shape: Sequence[int], wide: float) -> tuple[str, ...]:
    fields, cubic = finer.departure
    high = float(np.quantile(finer.doubt, 0.99)) / wide
    return (
        f"{_sides(shape)} voxels became {_sides(finer.values.shape)}. What lies between the voxels that were measured "
        "was generated: it is a guess of how the scan would look, no observation, and nothing to diagnose by.",
        f"Averaged over the measured voxels it departs from them by {in_percent(fields, 2)} of the scan's range; cubic "
        f"interpolation by {in_percent(cubic, 2)}.",
        "Two fields that differ in their seed alone, and the scan, leave a doubt of up to "
        f"{in_percent(high, 1)} of the range in 99 of 100 voxels.",
    )


def _sides(shape: Sequence[int]) -> str:
    return " x ".join(f"{side:,}" for side in shape)
