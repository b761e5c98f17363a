"""A plan of the networks that draw label maps: spacing, window and batch, from what the images of a cohort are like.

It is a file that a person can read and change. What it holds are shapes and spacings, which say nothing of an outcome;
numbers inside labels are told, and are learnt anew of the training patients wherever a network is fitted.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from chiasm.artifact.files import write_text
from chiasm.cohort import Cohort, Unsupported
from chiasm.cohort.kinds import kind_of_source
from chiasm.encoders.image.grid import of_rows
from chiasm.errors import FindingWarning, nearest
from chiasm.segmentation.grids import ALIKE, CUT, ImageGrids, grids_of, of_row
from chiasm.segmentation.parts import grid_for
from chiasm.targets.label_maps import LabelMap
from chiasm.targets.mask import maps_of
from chiasm.targets.outcome import Outcome

ANISOTROPIC = 3.0
FINEST = 10
"""Percentile of the spacings of an axis that is much coarser than the others, at which it is read; nnU-Net's."""
WINDOW = {2: 256**2, 3: 64**3}
"""Pixels of a window, by the number of axes."""
STEP = {2: 2**19, 3: 2**21}
"""Pixels of all windows of a step."""
MOST_PATIENTS, SHARE = 8, 0.05
UNITS = ("image", "labels")
HOUNSFIELD = -500.0
"""Numbers of which a twentieth lie below this are in Hounsfield units: nothing else is read so low."""
SAMPLE = 10_000  # pixels inside labels of a patient whose numbers are looked at
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Plan:
    """How images are read, and what a step of training reads.

    Args:
        spacing: millimetres a pixel along each axis at which images are read, 0 for each image's own; empty: each
            image's own along all.
        window: sides of a window on that grid.
        batch: patients of a step.
        crops: windows of each.
        scale: of a modality `image`, by the mean and spread of all its pixels, or `labels`, by those inside labels, cut
            to their percentiles .5 and 99.5.
        found: what it was planned from; read by nobody but people.
    """

    spacing: tuple[float, ...]
    window: tuple[int, ...]
    batch: int
    crops: int = 2
    scale: Mapping[str, str] = field(default_factory=dict)
    found: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for wrong, what in (
            (len(self.window) not in (2, 3) or not all(1 <= own <= 1024 for own in self.window),
             "'window' is two or three sides from 1 to 1,024, as [32, 64, 64]"),
            (bool(self.spacing) and len(self.spacing) != len(self.window), "'spacing' is as many lengths as 'window'"),
            (not all(np.isfinite(own) and own >= 0 for own in self.spacing),
             "'spacing' is millimetres, 0 for an image's own, as [2.5, 0.8, 0.8]"),
            (not 1 <= self.batch <= 1024 or not 1 <= self.crops <= 64, "'batch' is 1 to 1,024 patients, 'crops' 1 to "
             "64 windows of each"),
            (not all(own in UNITS for own in self.scale.values()), "'scale' of a modality is image or labels"),
        ):  # fmt: skip
            if wrong:
                raise ValueError(f"the plan cannot be followed: {what}")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the file of a plan.

        Raises:
            FileNotFoundError: there is none.
            ValueError: it is no plan, or a key is unknown; the message names it.
        """
        try:
            held = json.loads(path.read_text(encoding="utf-8"))
            known = set(cls.__dataclass_fields__)
            for key in held:
                if key not in known:
                    like = nearest(key, sorted(known))
                    raise ValueError(f"'{key}' is no part of a plan" + (f": did you mean '{like}'?" if like else ""))
            spacing, window = (tuple(held.get(name, ())) for name in ("spacing", "window"))
            whole = all(isinstance(own, int) for own in (*window, held.get("batch"), held.get("crops", 2)))
            if not whole or not isinstance(held.get("scale", {}), dict):
                raise ValueError("'window', 'batch' and 'crops' of a plan are whole numbers, 'scale' a name a modality")
            if not all(isinstance(own, int | float) for own in spacing):
                raise ValueError("'spacing' of a plan is numbers, millimetres along each axis")
            numbers = tuple(float(own) for own in spacing)
            return cls(
                numbers, window, held["batch"], held.get("crops", 2), held.get("scale", {}), held.get("found", {})
            )
        except (KeyError, TypeError, AttributeError, UnicodeDecodeError, json.JSONDecodeError, RecursionError):
            raise ValueError(f"{path.name} is no plan: write it by `chiasm plan`, and change numbers alone") from None

    def require_suits(self, cohort: Cohort, names: Sequence[str]) -> None:
        """Raise `Unsupported` unless the plan is of images like those of these modalities of a cohort.

        A plan may scale more modalities than a cohort has, as of several contrasts where one is read alone; but where
        it names a strange one and omits one that is read, that is a slip.
        """
        for name in names:
            axes = 2 if kind_of_source(cohort, name) == "image" else 3
            if axes != len(self.window):
                raise Unsupported(f"the plan is of images of {len(self.window)} axes, and these have {axes}: plan anew")
        strange = sorted(set(self.scale) - set(cohort.modalities))
        omitted = sorted(set(names) - set(self.scale))
        if strange and omitted:
            like = nearest(strange[0], omitted)
            raise Unsupported(
                f"'scale' of the plan names '{strange[0]}', which is no modality, and not '{like or omitted[0]}': it "
                f"names modalities of the cohort, of which {', '.join(names)} are read"
            )

    def write(self, path: Path) -> None:
        """Write the plan as JSON that a person can read, a key a line."""
        lines = [f"  {json.dumps(name)}: {json.dumps(own)}" for name, own in asdict(self).items() if name != "found"]
        found = json.dumps(dict(self.found), indent=2).replace("\n", "\n  ")
        write_text(path, "{\n" + ",\n".join([*lines, f'  "found": {found}']) + "\n}\n")


def plan_of(cohort: Cohort, names: Sequence[str]) -> Plan:
    """Plan networks that draw label maps in these modalities of an encoded cohort, whose outcomes are known.

    Spacing is nnU-Net's: the median along each axis; along one that is over three times coarser than the others and
    has less than a third of their pixels, the tenth percentile, but not below the others. A window is as isotropic in
    millimetres as its pixels allow, and no larger than the median image. Source: Isensee and others, Nature Methods
    2021; there is no search over networks, and a window has fewer pixels, as a processor affords.

    Raises:
        Unsupported: nobody has an image and a known label map, or an image lies on far too large a grid.
    """
    shapes, spacings, rows, inside, low = list[tuple[int, ...]](), list[tuple[float, ...]](), list[int](), {}, {}
    outcome = cohort.outcome
    maps = None if outcome is None else maps_of(outcome)
    for name in names:
        grid, raw, seen, lowest = grids_of(cohort, name), cohort.raw(name), list[Floats](), list[float]()
        for k, row in enumerate(cohort.rows_of(name).tolist()):
            if maps is None or outcome is None or not outcome.known[row]:
                continue
            values, spacing = of_rows(np.asarray(raw[k]), grid.channels)
            shapes.append(values.shape[1:])
            spacings.append(spacing)
            rows.append(row)
            lowest.append(float(np.percentile(values.reshape(-1)[:: max(1, values.size // SAMPLE)], 5)))
            drawn = maps.of(row)
            if drawn.shape == values.shape[1:]:
                seen.append(values_inside(values, drawn))
        inside[name], low[name] = np.concatenate([np.zeros((grid.channels, 0)), *seen], 1), lowest
    if not shapes or len({len(own) for own in shapes}) > 1:
        raise Unsupported("a plan needs images with known label maps, pictures and volumes in cohorts of their own")
    spacing = spacing_for(np.array(spacings), np.array(shapes))
    for row, shape, own in zip(rows, shapes, spacings, strict=True):
        with of_row(int(cohort.file_rows[row])):
            grid_for(shape, own, spacing)
    spacing_or_own = spacing or tuple(np.median(spacings, axis=0).tolist())
    median = np.median(np.multiply(shapes, spacings) / np.array(spacing_or_own), axis=0)
    window = window_for(median, spacing_or_own)
    axes, pixels = len(window), float(np.prod(window))
    crops = 2
    most = max(2, round(SHARE * len(shapes) / len(names) * float(np.prod(median)) / pixels / crops))
    batch = int(np.clip(STEP[axes] // (crops * pixels), 2, min(MOST_PATIENTS, max(most, 2))))
    hounsfield = {name: bool(own) and float(np.median(own)) < HOUNSFIELD for name, own in low.items()}
    scale = {name: "labels" if hounsfield[name] and inside[name].size else "image" for name in names}
    return Plan(spacing, window, batch, crops, scale, {
        "images": len(shapes),
        "median shape": np.median(shapes, axis=0).tolist(),
        "median shape as read": [round(own, 1) for own in median.tolist()],
        "spacing of images": {f"percentile {p}": _rounded(np.percentile(spacings, p, axis=0)) for p in (10, 50, 90)},
        "numbers inside labels": {
            name: {
                **{f"percentile {p:g}": round(float(np.percentile(own, p)), 4) for p in (CUT[0], 50, CUT[1])},
                "mean": round(float(own.mean()), 4), "spread": round(float(own.std()), 4),
            }
            for name, own in inside.items() if own.size
        },
    })  # fmt: skip


def _rounded(values: NDArray[np.floating]) -> list[float]:
    return [round(float(own), 4) for own in values]


def spacing_for(spacings: Floats, shapes: NDArray[np.integer]) -> tuple[float, ...]:
    """Millimetres a pixel at which images are read, of theirs `(n, axes)` and their shapes; empty: all have one."""
    if np.allclose(spacings, spacings[0], rtol=ALIKE):
        return ()
    wanted, sides = np.median(spacings, axis=0), np.median(shapes, axis=0)
    worst = int(np.argmax(wanted))
    others = [axis for axis in range(len(wanted)) if axis != worst]
    coarse = wanted[worst] > ANISOTROPIC * wanted[others].max()
    if coarse and sides[worst] * ANISOTROPIC < sides[others].min():
        finest = float(np.percentile(spacings[:, worst], FINEST))
        wanted[worst] = max(finest, float(wanted[others].max()))
    return tuple(round(float(own), 6) for own in wanted)


def window_for(shape: Floats, spacing: Sequence[float]) -> tuple[int, ...]:
    """Sides of a window of at most `WINDOW` pixels, as long in millimetres along each axis as the image allows."""
    most, per_mm = float(WINDOW[len(shape)]), 1 / np.asarray(spacing, dtype=np.float64)
    sides, free = np.minimum(shape, 1024.0), np.ones(len(shape), dtype=bool)
    while free.any():
        room = most / np.prod(sides[~free])
        wide = per_mm * (room / np.prod(per_mm[free])) ** (1 / free.sum())
        over = free & (wide >= sides)
        if not over.any():
            sides = np.where(free, wide, sides)
            break
        free &= ~over
    cut = (sides < shape - 1e-6) & (sides >= 8)  # to fours, which a network halves twice
    whole = [max(1, round(float(own))) for own in sides]
    for axis in np.flatnonzero(cut):  # what others were rounded up by is taken off the ones that are cut
        room = most / np.prod([side for other, side in enumerate(whole) if other != axis])
        whole[axis] = int(max(4, (min(float(sides[axis]), room) + 1e-6) // 4 * 4))
    return tuple(whole)


def values_inside(values: NDArray[np.float32], drawn: LabelMap) -> Floats:
    """Numbers `(C, n)` of an image at pixels that have a label, evenly taken, `SAMPLE` at most."""
    many = int(drawn.length.sum())
    chosen = np.arange(0, many, max(1, -(-many // SAMPLE)))
    behind = np.cumsum(drawn.length)
    run = np.searchsorted(behind, chosen, "right")
    at = drawn.start[run] + chosen - (behind[run] - drawn.length[run])
    return values.reshape(len(values), -1)[:, at].astype(np.float64)


def grid_as_planned(cohort: Cohort, name: str, outcome: Outcome, plan: Plan | None) -> ImageGrids:
    """How the images of a modality are read, fitted to an encoded cohort of training patients, as a plan says.

    Where it cannot be followed, as where no number lies inside a label, a `FindingWarning` says so.
    """
    grid, raw = grids_of(cohort, name), cohort.raw(name)
    if plan is None:
        return grid.fit(raw)
    grid = replace(grid.fit(raw), spacing=plan.spacing)
    if plan.scale.get(name) != "labels":
        return grid
    maps, seen = maps_of(outcome), list[Floats]()
    for k, row in enumerate(cohort.rows_of(name).tolist()):
        values, drawn = of_rows(np.asarray(raw[k]), grid.channels)[0], maps.of(row)
        if drawn.shape == values.shape[1:]:
            seen.append(values_inside(values, drawn))
    inside = np.concatenate([np.zeros((grid.channels, 0)), *seen], 1)
    scaled = grid.fit_inside(inside) if inside.size else grid
    if not scaled.clip:
        what = "there are none of" if not inside.size else "are all alike inside labels"
        warnings.warn(
            f"the plan scales modality '{name}' by numbers inside labels, which {what}: all its pixels are taken",
            FindingWarning, stacklevel=2,
        )  # fmt: skip
    return scaled
