"""Pictures of a cohort that is generated: learnt from those who have them, drawn, measured and written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from chiasm.cohort import Cohort, Unsupported
from chiasm.cohort.generated import Generated
from chiasm.encoding.encode import encode_cohort
from chiasm.errors import count
from chiasm.generation.marks import mark_of
from chiasm.generation.picture_conditions import Conditions
from chiasm.generation.picture_files import ENDINGS, copy_as_drawn, require_copied, write_picture
from chiasm.generation.picture_generator import PictureGenerator
from chiasm.generation.picture_likeness import picture_likeness
from chiasm.generation.picture_privacy import picture_measures
from chiasm.generation.pictures import Pictures, Scale, pictures_of
from chiasm.generation.privacy import Measure
from chiasm.generation.rows import LEAST_PATIENTS, OUTCOME, Rows, pictured
from chiasm.progress import followed
from chiasm.store import TokenStore

LEAST_HELD = 5


@dataclass(frozen=True)
class DrawnPictures:
    """Pictures that were drawn of one modality.

    Args:
        values: `(n, C, ...)` in -1 to 1 of the patients `rows` `(n,)`.
        measures, likeness: what they give away, and how like real ones they are; empty where real ones stand beside.
        generator: the line by which it is asked for.
    """

    values: Tensor
    rows: NDArray[np.int_]
    scale: Scale
    generator: str
    measures: tuple[Measure, ...] = ()
    likeness: dict[str, Any] = field(default_factory=dict)

    def sentences(self, name: str) -> tuple[str, ...]:
        """Say how like real ones they are."""
        if not self.likeness:
            one = (
                f"One picture of '{name}' was drawn by '{self.generator}': what it gives away is measured; how like "
                "real ones such pictures are is told from two on."
            )
            return (one,) if self.measures else ()
        made, real = self.likeness["synthetic"], self.likeness["held_out"]
        size = " x ".join(map(str, self.scale.size))
        return (
            f"{count(len(self.rows), 'picture')} of '{name}' of {size} by '{self.generator}': their kernel distance to "
            f"training pictures is {made['kid']:.4f}, and that of {real['pictures']:,} pictures held out "
            f"{real['kid']:.4f}; two of them are alike by {made['ms_ssim']:.2f}, of those held out by "
            f"{real['ms_ssim']:.2f} (MS-SSIM).",
        )


def drawn_pictures(
    cohort: Cohort, held: NDArray[np.bool_], rows: Rows, made: Rows, generator: PictureGenerator, seed: int
) -> dict[str, DrawnPictures]:
    """Draw pictures of synthetic patients, each given the row that was drawn of him; modality to pictures.

    Args:
        held: `(B,)` who was held out. rows: what is known of all patients of the cohort. made: synthetic patients.

    Raises:
        Unsupported: fewer than 50 patients have such pictures, or fewer than 5 of those held out; images that no PNG
            holds.
    """
    found, read = {}, {name: pictures_of(cohort, name, held) for name in pictured(cohort)}
    for name, own in read.items():
        out = held[own.rows]
        if len(own.rows) < LEAST_PATIENTS or out.sum() < LEAST_HELD:
            raise Unsupported(
                f"{count(len(own.rows), 'patient')} have pictures of '{name}', {int(out.sum())} of them held out, and "
                f"among fewer than {LEAST_PATIENTS} nobody can hide: leave it out of the manifest"
            )
        own.require_png(name)
    for name, own in read.items():
        out = held[own.rows]
        train, inside = own.values[~out], rows.take(own.rows[~out])
        conditions = Conditions.fit(inside, {})
        known = None if conditions is None else conditions.of(inside, {})
        with followed(f"learning '{name}'", None) as told:
            fitted = generator.fit(train, known, seed, told)
        who = np.flatnonzero(made.present[name])
        asked = None if conditions is None else conditions.of(made.take(who), {})
        with followed(f"drawing '{name}'", None) as told:
            values = fitted.sample(len(who), seed, asked, told)
        measures: tuple[Measure, ...] = ()
        alike: dict[str, Any] = {}
        if len(who):
            values = own.scale.scaled(torch.from_numpy(_rounded(own.scale.values(values), own.scale)))
            measures = picture_measures(name, train, own.values[out], values)
        if len(who) > 1:
            alike = picture_likeness(train, values, own.values[out], seed)
        found[name] = DrawnPictures(values, who, own.scale, generator.name, measures, alike)
    return found


def filled_pictures(
    cohort: Cohort, rows: Rows, who: Mapping[str, NDArray[np.bool_]], generator: PictureGenerator, seed: int
) -> dict[str, DrawnPictures]:
    """Draw pictures of patients who lack them, given their tables and their pictures of other modalities.

    Args:
        rows: what is known of all patients, the outcome apart. who: modality to `(B,)` who lacks it.

    Raises:
        Unsupported: fewer than 50 patients have it; images that no PNG holds; real pictures of any modality cannot be
            copied beside drawn ones.
    """
    found, read = {}, dict[str, Pictures]()
    require_copied(cohort, pictured(cohort))
    inputs = rows.only([name for name in rows.blocks if name != OUTCOME])
    for other in pictured(cohort) if who else ():
        if bool(cohort.present[:, cohort.modalities.index(other)].any()):
            read[other] = pictures_of(cohort, other)
    for name in who:
        own = read[name]
        own.require_png(name)
        if len(own.rows) < LEAST_PATIENTS:
            raise Unsupported(
                f"{count(len(own.rows), 'patient')} have '{name}', and from fewer than {LEAST_PATIENTS} no picture of "
                "another patient is learnt"
            )
    for name, lacks in who.items():
        own = read[name]
        beside = {other: pictures for other, pictures in read.items() if other != name}
        conditions = Conditions.fit(inputs.take(own.rows), _of(beside, own.rows))
        assert conditions is not None  # who lacks it has another modality, or nobody is in `who`
        with followed(f"learning '{name}'", None) as told:
            fitted = generator.fit(own.values, conditions.of(inputs.take(own.rows), _of(beside, own.rows)), seed, told)
        places = np.flatnonzero(lacks)
        values = fitted.sample(len(places), seed, conditions.of(inputs.take(places), _of(beside, places)))
        if own.scale.stored != own.scale.size:
            mode = "bilinear" if values.ndim == 4 else "trilinear"
            values = functional.interpolate(values, size=own.scale.stored, mode=mode, align_corners=False)
        found[name] = DrawnPictures(values, places, _as_stored(own.scale), generator.name)
    return found


def write_drawn(
    folder: Path, places: Mapping[str, str], drawn: Mapping[str, DrawnPictures], ids: Sequence[str], mark: Generated
) -> None:
    """Write drawn pictures into the folders of a cohort, each with the mark in its header."""
    for name, own in drawn.items():
        said = mark_of(own.generator, mark.seed)
        values = own.scale.values(own.values)
        for place, row in enumerate(own.rows):
            path = folder / places[name] / f"{ids[row]}{ENDINGS[own.scale.kind]}"
            write_picture(path, values[place], own.scale, said)


def copy_real(folder: Path, places: Mapping[str, str], cohort: Cohort) -> None:
    """Copy the pictures that patients have beside those that were drawn, as `require_copied` lets them pass.

    A file whose name ends as the drawn ones' do is copied byte by byte, a plain NIfTI is packed, and an image of
    another format is written as PNG in the same numbers, upright.
    """
    for name, place in places.items():
        ending = ENDINGS[cohort.kinds[name]]
        for item, row in zip(cohort.raw(name), cohort.rows_of(name), strict=True):
            copy_as_drawn(Path(item), folder / place / f"{cohort.ids[row]}{ending}")


def encoded_beside(cohorts: Sequence[Cohort]) -> list[Cohort]:
    """The cohorts with their files as tokens, which are kept as long as it takes."""
    with TemporaryDirectory() as store:
        return [encode_cohort(own, store=TokenStore(Path(store))).cohort for own in cohorts]


def _of(beside: Mapping[str, Pictures], rows: NDArray[np.int_]) -> dict[str, Pictures]:
    """Pictures of some patients, at their places among these."""
    found = {}
    for name, own in beside.items():
        order = {int(row): place for place, row in enumerate(rows)}
        kept = [k for k, row in enumerate(own.rows) if int(row) in order]
        found[name] = replace(
            own, values=own.values[kept], rows=np.array([order[int(own.rows[k])] for k in kept], dtype=int)
        )
    return found


def _rounded(values: NDArray[np.float32], scale: Scale) -> NDArray[np.float32]:
    """Values as the files have them: of images whole."""
    return np.round(values) if scale.kind == "image" else values


def _as_stored(scale: Scale) -> Scale:
    spacing = scale.spacing
    if spacing is not None:
        spacing = tuple(own * a / b for own, a, b in zip(spacing, scale.size, scale.stored, strict=True))
    return replace(scale, size=scale.stored, spacing=spacing)
