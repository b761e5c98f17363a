"""Public functions that learn what pictures of a class look like, and edit one towards it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chiasm import artifact
from chiasm.cohort import Unsupported
from chiasm.cohort.opened import Given, as_cohort
from chiasm.generation.marks import mark_of, png_mark
from chiasm.generation.picture_diffusion import PictureDiffusion
from chiasm.generation.picture_editor import KINDS, PictureEditor
from chiasm.generation.picture_editor import fit_editor as fitted
from chiasm.generation.pictures import MOST_SIDE
from chiasm.generation.progressive import Rounds
from chiasm.generation.scans import Scan, require_suits, write_scan
from chiasm.generation.turned_scans import is_volume, read_mask, read_turned, turned_back
from chiasm.progress import followed
from chiasm.readers.image.generated import mark_text
from chiasm.readers.image.image import ImageReader, sixteen_bits
from chiasm.shown import in_percent

Floats = NDArray[np.float32]
Picture = str | os.PathLike[str] | NDArray[Any]
GENERATOR = "progressive-edit"
PNG = ".png"
DEEPEST: dict[int, type[np.unsignedinteger[Any]]] = {255: np.uint8, 65535: np.uint16}


@dataclass(frozen=True, repr=False)
class Edited:
    """A picture that was edited.

    Attributes:
        rounds: `(N + 1, H, W)`, of colours `(N + 1, 3, H, W)`, of a volume `(N + 1, D, H, W)` from foot to head, front
            to back, right to left: the picture as it was and after each round.
        mark: what the header of the file says.
        sentences: what there is to know.
    """

    rounds: Floats
    mark: dict[str, Any]
    sentences: tuple[str, ...]

    @property
    def values(self) -> Floats:
        """The picture after the last round."""
        return np.asarray(self.rounds[-1], np.float32)

    def __repr__(self) -> str:
        return f"Edited: towards '{self.mark['towards']}' in {len(self.rounds) - 1} rounds"


def fit_editor(
    cohort: Given,
    out: str | os.PathLike[str] | None = None,
    *,
    modality: str = "",
    size: int = 32,
    steps: int = 2000,
    seed: int = 0,
    progress: Callable[..., None] | None = None,
) -> PictureEditor:
    """Learn a diffusion model of a cohort's pictures that is told the class of each patient.

    Args:
        cohort: with a modality of kind `image` or `volume` and an outcome of classes, or the path of its manifest.
        out: a folder that keeps the model; None: none. It keeps no picture, but may draw one that is like one it was
            fitted to: keep it as you keep them.
        modality: whose pictures; empty: the one that there is.
        size: pixels a side that it draws at most, 64 of images and 32 of volumes.
        steps: of training.

    Raises:
        Unsupported: no such modality, or several; another outcome; fewer than 50 patients, or who were generated.
        ArtifactError: `out` is there and holds something else.
    """
    own = as_cohort(cohort)
    if own.generated is not None:
        raise Unsupported(f"'{own.name}' was generated: learn from the real cohort")
    able = [name for name in own.modalities if own.kinds[name] in KINDS]
    if (modality and modality not in able) or (not modality and len(able) != 1):
        raise Unsupported(
            f"name the modality whose pictures are edited; of kind image or volume there are: {', '.join(able) or 0}"
        )
    most = MOST_SIDE[2 if own.kinds[modality or able[0]] == "image" else 3]
    if not 8 <= size <= most:
        raise ValueError(f"{size} pixels a side cannot be drawn: give 8 to {most}")
    if out is not None:
        artifact.require_place(Path(out))
    with followed("steps", progress) as told:
        found = fitted(own, modality or able[0], PictureDiffusion(steps=steps), size=size, seed=seed, told=told)
    if out is not None:
        artifact.save(Path(out), found)
    return found


def edit(
    editor: PictureEditor | str | os.PathLike[str],
    picture: Picture,
    out: str | os.PathLike[str] | None = None,
    *,
    towards: str,
    mask: Picture | None = None,
    rounds: int = 10,
    strength: float = 0.5,
    inside: float = 0.75,
    outside: float = 0.0,
    guidance: float = 2.0,
    seed: int = 0,
    progress: Callable[..., None] | None = None,
) -> Edited:
    """Edit a picture towards a class in rounds, within a mask; outside of it nothing changes.

    Args:
        editor: what `fit_editor` returned, or its folder.
        picture: a file, or values `(H, W)`, of colours `(3, H, W)`; for an editor of volumes a file of one (.nii.gz),
            or `(D, H, W)`.
        out: .png, of a volume .nii.gz or .nii on its own grid, with a mark in its header that its pixels were
            generated; None writes nothing.
        towards: the class.
        mask: a picture or volume of the same size, or an array, not 0 where it is edited; None: everywhere.
        rounds, strength, inside, outside: see `chiasm.generation.progressive.Rounds`.
        guidance: how strongly the class leads, 1: as it was learnt.

    Raises:
        ValueError: no such class; a mask of another size, or one that marks nothing; an option out of range.
        Unsupported: a picture of one brightness, of other channels, or that was generated; a name that does not suit.
        ReadError: the picture or the mask cannot be read.
        ArtifactError: the folder holds no editor.
    """
    how = Rounds(rounds=rounds, strength=strength, inside=inside, outside=outside)
    if not guidance >= 0:
        raise ValueError(f"guidance {guidance:g} leads nowhere: give 0 or more")
    own = editor if isinstance(editor, PictureEditor) else _opened(Path(editor))
    scan: Scan | None = None
    depth: type[np.unsignedinteger[Any]] | None = None
    where: NDArray[np.bool_] | None = None
    if len(own.pictures.size) == 3:
        scan, values, where = _volume(picture, mask)
        if out is not None:
            if scan is None:
                raise Unsupported("an array says not where a volume lies: edit a file, or write the values yourself")
            require_suits(Path(out), scan)
    else:
        values = _read(picture, "picture")
        deep = not isinstance(picture, np.ndarray) and sixteen_bits(Path(picture))
        depth = None if out is None else _depth(Path(out), values, deep)
        where = None if mask is None else _read(mask, "mask").max(0) != 0
    with followed("rounds", progress) as told:
        found = own.edited(values, towards, how, where, guidance=guidance, seed=seed, told=told)
    mark = mark_of(
        GENERATOR, seed, towards=towards, rounds=rounds, strength=strength, inside=inside, outside=outside,
        guidance=guidance, masked=where is not None,
    )  # fmt: skip
    made = Edited(found[:, 0] if len(values) == 1 else found, mark, _sentences(own, found, where, towards))
    if out is not None and depth is not None:
        _write(Path(out), found[-1], depth, mark)
    if out is not None and scan is not None:
        _write_volume(Path(out), found[-1, 0], scan, mark)
    return made


def _opened(folder: Path) -> PictureEditor:
    found = artifact.load(folder)
    if not isinstance(found, PictureEditor):
        raise artifact.ArtifactError(f"'{folder.name}' holds no editor of pictures: make one by chiasm.fit_editor")
    return found


def _volume(picture: Picture, mask: Picture | None) -> tuple[Scan | None, Floats, NDArray[np.bool_] | None]:
    """A volume as its file has it, its values `(1, D, H, W)`, and where it is edited."""
    if isinstance(picture, np.ndarray):
        if picture.ndim != 3 or not np.isfinite(picture).all():
            raise ValueError(f"the volume has {picture.ndim} axes or values that are no number: give (D, H, W)")
        scan, values = None, np.asarray(picture, np.float32)
    elif not is_volume(Path(picture)):
        raise Unsupported(f"'{Path(picture).name}' is no volume, and volumes were learnt from: give .nii.gz")
    else:
        scan, values = read_turned(Path(picture))
    if mask is None or isinstance(mask, np.ndarray):
        return scan, values[None], None if mask is None else np.asarray(mask) != 0
    if scan is None:
        raise ValueError("the volume is an array: give the mask as one too")
    return scan, values[None], read_mask(Path(mask), scan)


def _write_volume(out: Path, values: Floats, scan: Scan, mark: dict[str, Any]) -> None:
    if scan.whole is not None:
        limits = np.iinfo(scan.whole)
        values = np.clip(values, limits.min, limits.max)
    write_scan(out, turned_back(values, scan), scan, mark)


def _read(picture: Picture, what: str) -> Floats:
    if isinstance(picture, np.ndarray):
        if picture.ndim not in (2, 3) or not np.isfinite(picture).all():
            raise ValueError(f"the {what} has {picture.ndim} axes or values that are no number: give (height, width)")
        return np.asarray(picture if picture.ndim == 3 else picture[None], np.float32)
    path = Path(picture)
    if not path.is_file():
        raise FileNotFoundError(2, f"is no file: name a {what}", str(path))
    found = ImageReader().read(path).values
    if what != "mask" and mark_text(path) is not None:
        raise Unsupported("the file's header says that it was generated: edit the picture that it was made from")
    return found


def _depth(out: Path, values: Floats, deep: bool) -> type[np.unsignedinteger[Any]]:
    if out.suffix.lower() != PNG:
        raise Unsupported(f"an edited picture is written as {PNG}, not as '{out.name}'")
    tops = DEEPEST if len(values) == 1 else {255: DEEPEST[255]}
    fits = [kind for top, kind in tops.items() if values.min() >= 0 and values.max() <= top]
    if not fits or bool((values % 1 != 0).any()):
        raise Unsupported(
            "the picture has fractions or values that no PNG holds: write whole numbers to 65,535, of colours to 255"
        )
    return fits[-1] if deep else fits[0]


def _write(out: Path, values: Floats, depth: type[np.unsignedinteger[Any]], mark: dict[str, Any]) -> None:
    from PIL import Image

    whole = np.clip(np.rint(values), 0, np.iinfo(depth).max).astype(depth)
    with artifact.whole_file(out) as place:
        Image.fromarray(whole[0] if len(whole) == 1 else np.moveaxis(whole, 0, -1)).save(
            place, format="PNG", pnginfo=png_mark(mark)
        )


def _sentences(editor: PictureEditor, found: Floats, mask: NDArray[np.bool_] | None, towards: str) -> tuple[str, ...]:
    wide, change = editor.high - editor.low, np.abs(found[-1] - found[0])
    inside = change if mask is None else change[:, mask]
    said = [
        f"The picture was edited towards '{towards}' in {len(found) - 1} rounds; where it was edited, brightness "
        f"changed by {in_percent(inside.mean() / wide, 1)} of the range of '{editor.modality}' on average, "
        f"{in_percent(inside.max() / wide, 1)} at most.",
        "What changed was generated: how pictures of that class differ, as a model says, and no forecast of how this "
        "patient will look.",
    ]
    if mask is not None:
        out, places = change[:, ~mask], "voxel" if found.ndim == 5 else "pixel"
        kept = out.size == 0 or float(out.max()) == 0
        said.append(
            f"Outside of the mask no {places} changed."
            if kept
            else f"Outside of the mask brightness changed by {in_percent(out.max() / wide, 1)} of the range at most."
        )
    if found.shape[2:] != editor.pictures.size:
        sides = " x ".join(map(str, editor.pictures.size))
        said.append(f"The model draws {sides} pixels: nothing finer than that was changed.")
    return tuple(said)


__all__ = ["Edited", "edit", "fit_editor"]
