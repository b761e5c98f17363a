"""The page of a finer scan: before, after, what was added to interpolation, and where not to trust it."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chiasm.generation.finer import Finer
from chiasm.report.page import filled
from chiasm.shown import in_percent

TEMPLATE = "enhanced.html.j2"
LONGEST = 512  # pixels of a picture's side
AXES = ("first", "second", "third")
QUANTILES = (0.5, 0.9, 0.99, 1.0)
BRIGHTEST = 0.995  # share of voxels of less than the strongest colour
# what is darker, the same, and brighter than interpolation; none of doubt to much of it
LESS_OR_MORE = ((0, 114, 178), (245, 245, 245), (213, 94, 0))
DOUBT = ((16, 16, 24), (160, 40, 90), (255, 220, 90))
Values = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Row:
    """Four pictures of one plane: where it lies, and each with its caption and words for who cannot see it."""

    where: str
    aspect: float  # width by height, in the patient
    pictures: tuple[tuple[str, str, str], ...]


def render_enhanced(
    before: Values,
    finer: Finer,
    mark: Mapping[str, Any],
    sentences: Sequence[str],
    spacing: Sequence[float] = (1, 1, 1),
    *,
    upright: bool = False,
) -> str:
    """Render the page as text. Its pictures are of the scan itself, and it is to be kept as the scan is.

    Args:
        before: the scan that was given.
        mark: what the header of the finer file says.
        sentences: of `api.enhancing.Enhanced`.
        spacing: of the scan that was given, along its axes.
        upright: planes are shown as they are, rows downwards; else as viewers of NIfTI show them.
    """
    low, high = float(before.min()), float(before.max())
    wide = high - low
    added = finer.values - finer.smooth
    most = float(np.quantile(np.abs(added), BRIGHTEST)) or 1.0
    worst = float(np.quantile(finer.doubt, BRIGHTEST)) or 1.0
    rows = []
    for where, axis, place in planes(finer.doubt):
        each = (before, finer.values, added, finer.doubt)
        of, after, change, doubt = (_plane(own, axis, place, upright) for own in each)
        lengths = [side * step for side, step in zip(before.shape, spacing, strict=False)]
        sides = [length for own, length in enumerate(lengths) if own != axis]
        rows.append(Row(where, sides[1] / sides[0] if axis is None or upright else sides[0] / sides[1], (
            ("before", _picture((of - low) / wide), "the scan as it was measured"),
            ("after", _picture((after - low) / wide), "the finer scan"),
            ("after less cubic interpolation", _picture(0.5 + change / most / 2, LESS_OR_MORE), "orange: brighter"),
            ("doubt", _picture(doubt / worst, DOUBT), "bright: not to be trusted"),
        )))  # fmt: skip
    shares = np.quantile(finer.doubt, QUANTILES) / wide
    return filled(
        TEMPLATE,
        title="A finer scan",
        rows=rows,
        mark=mark,
        sentences=list(sentences),
        most=in_percent(most / wide, 1),
        worst=in_percent(worst / wide, 1),
        doubt=[[_share(q), in_percent(own, 2)] for q, own in zip(QUANTILES, shares, strict=True)],
        departure=[
            [name, in_percent(own, 3)]
            for name, own in zip(("the finer scan", "cubic interpolation"), finer.departure, strict=True)
        ],
    )


def planes(doubt: Values) -> list[tuple[str, int | None, float]]:
    """Planes to be shown: their words, axis, and place between 0 and 1; None for the axis of a picture."""
    if doubt.ndim == 2:
        return [("The picture", None, 0.0)]
    found: list[tuple[str, int | None, float]] = [
        (f"The middle, across the file's {AXES[axis]} axis", axis, 0.5) for axis in range(3)
    ]
    each = np.asarray(doubt.mean((1, 2)))
    worst = int(each.argmax())
    return [*found, ("The plane of most doubt, across the file's first axis", 0, (worst + 0.5) / len(each))]


def _plane(values: Values, axis: int | None, place: float, upright: bool) -> Values:
    """A picture, or a plane of a volume as viewers of NIfTI show it: the first axis to the right, the next upwards.

    With `upright` it is shown as it is, the first axis downwards.
    """
    if axis is None:
        return values
    plane: Values = np.take(values, int(place * values.shape[axis]), axis=axis)
    return plane if upright else plane.T[::-1]


def _share(quantile: float) -> str:
    return "all voxels" if quantile == 1 else f"{in_percent(quantile)} of voxels"


def _picture(values: Values, colours: Sequence[Sequence[int]] = ((0, 0, 0), (255, 255, 255))) -> str:
    """Values between 0 and 1 `(H, W)` as a data URL of PNG."""
    from PIL import Image

    step = max(1, -(-max(values.shape) // LONGEST))
    shown = np.clip(values[::step, ::step], 0, 1)
    stops = np.linspace(0, 1, len(colours))
    channels = [np.interp(shown, stops, [own[k] for own in colours]) for k in range(3)]
    buffer = io.BytesIO()
    Image.fromarray(np.rint(np.stack(channels, -1)).astype(np.uint8)).save(buffer, format="png")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
