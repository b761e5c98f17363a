"""Public function that shows the frames of a moving scan as finely as a static scan of the same subject."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from chiasm.compute.isolation import own_randomness, seeded
from chiasm.generation.dynamic import FrameNet, FrameOptions, followed_frames, learnt
from chiasm.generation.frames import on_grid_of, read_frames, require_series, write_frames
from chiasm.generation.marks import mark_of
from chiasm.generation.scans import Scan, read_scan, require_numbers
from chiasm.progress import followed
from chiasm.shown import in_percent

GENERATOR = "static-scan-frames"
STEPS = 300
BRIGHT = 0.999  # of voxels are at most as bright as 1
TUNED = 0.5
"""Rate and steps of tuning, as a share of those of learning from others."""


@dataclass(frozen=True, repr=False)
class EnhancedFrames:
    """Frames on the grid of a static scan.

    Attributes:
        values: `(F, X, Y, Z)` in the axes of the static scan's file.
        measured: the same frames with nothing beyond what was measured of k-space.
        share: of k-space that was measured.
        mark: what the header of the file says.
        sentences: what there is to know.
    """

    values: NDArray[np.float32]
    measured: NDArray[np.float32]
    share: float
    mark: dict[str, Any]
    sentences: tuple[str, ...]

    def __repr__(self) -> str:
        return f"EnhancedFrames: {len(self.values):,} frames of {' x '.join(map(str, self.values.shape[1:]))} voxels"


def enhance_frames(
    series: str | os.PathLike[str],
    static: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    *,
    others: Sequence[str | os.PathLike[str]] = (),
    share: float | None = None,
    steps: int = STEPS,
    seed: int = 0,
    progress: Callable[..., None] | None = None,
) -> EnhancedFrames:
    """Show a series of frames on the finer grid of one static scan of the same subject.

    A network learns what little of k-space lacks from the static scan, moved smoothly, and tells each frame beside the
    one before; what was measured of k-space stays as it was.

    Args:
        series: a 4-D file (.nii.gz).
        static: a volume of the same field of view and kind of contrast, of finer voxels or of as fine ones.
        out: .nii.gz or .nii, with a mark in its header that its voxels were generated; None writes nothing.
        others: static scans of other subjects on as many voxels, which are learnt from first.
        share: of k-space that was measured, where both have one grid.
        steps: of learning; those of tuning are half as many where there are others.

    Raises:
        ValueError: a share that is missing, given beside a coarser grid, or none; fewer steps than one.
        Unsupported: scans of other fields of view, of one value, or that were generated; a name that does not suit.
        ReadError: a file cannot be read.
    """
    if steps < 1:
        raise ValueError(f"{steps} steps learn nothing: give one or more")
    if out is not None:
        require_series(Path(out))
    frames, scan = read_frames(Path(series)), read_scan(Path(static))
    low, kept = on_grid_of(frames, scan, share)
    own, several = _scaled(scan), [_scaled(read_scan(Path(other))) for other in others]
    for place, other in enumerate(several):
        if other.shape != own.shape:
            raise ValueError(f"other scan {place + 1:,} has another number of voxels than the static scan: resample it")
    bright = float(np.quantile(frames.values, BRIGHT)) or 1.0
    options, tuning = FrameOptions(steps=steps), FrameOptions(steps=steps)
    if several:
        tuning = replace(options, steps=max(1, round(steps * TUNED)), learning_rate=options.learning_rate * TUNED)
    with own_randomness(seeded(seed, "frame-net")):
        net = FrameNet(3)
    with followed("steps", progress) as told:
        if several:
            net = learnt(net, torch.stack(several), kept, options, seed, told)
        net = learnt(net, own[None], kept, tuning, seed, told)
    found = followed_frames(net, low / bright, kept) * bright
    part = float(kept.float().mean())
    mark = mark_of(GENERATOR, seed, frames=len(low), others=len(several), share=round(part, 6))
    made = EnhancedFrames(found.numpy(), low.numpy(), part, mark, _sentences(found, low, part, bright, len(several)))
    if out is not None:
        write_frames(Path(out), made.values, frames, scan, mark)
    return made


def _scaled(scan: Scan) -> torch.Tensor:
    require_numbers(scan.values)
    bright = float(np.quantile(scan.values, BRIGHT)) or 1.0
    return torch.from_numpy(np.ascontiguousarray(scan.values / bright, np.float32))


def _sentences(found: torch.Tensor, low: torch.Tensor, share: float, bright: float, others: int) -> tuple[str, ...]:
    added = float((found - low).abs().mean()) / bright
    beside = f" and of {others:,} other subjects" if others else ""
    return (
        f"{len(low):,} frames are told on {' x '.join(map(str, low.shape[1:]))} voxels, of whose k-space "
        f"{in_percent(share, 1)} was measured and stays as it was. The rest was generated from one static scan of the "
        f"subject{beside}: it is a guess of how the frames would look, no observation, and nothing to diagnose by.",
        f"What was added changes brightness by {in_percent(added, 1)} of the frames' own on average.",
        "What moves, comes or goes in the frames and is not in the static scan is not seen more finely by it, and a "
        "scan of another subject, contrast or position makes it worse: compare with the frames as they were measured.",
    )


__all__ = ["EnhancedFrames", "enhance_frames"]
