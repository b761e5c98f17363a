"""A diffusion model of a cohort's pictures that was told their classes, so that a picture is edited towards one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from chiasm.artifact import storable
from chiasm.cohort import Cohort, Unsupported
from chiasm.encoders.image.pixels import resized
from chiasm.errors import count, nearest
from chiasm.generation.diffusion import guided
from chiasm.generation.picture_diffusion import PREDICTION, SCHEDULE, FittedPictures, PictureDiffusion
from chiasm.generation.picture_generator import Told
from chiasm.generation.pictures import pictures_of
from chiasm.generation.progressive import Rounds, progressive_edit
from chiasm.generation.rows import LEAST_PATIENTS

Floats = NDArray[np.float32]
KINDS = ("image", "volume")
STRETCHED = {2: "bilinear", 3: "trilinear"}
BEYOND = 0.05  # share of pixels outside of the brightness that was learnt
NARROW = 1 / 200  # of the brightness that was learnt: 8 bits among 16 are 1 / 257
LEAST_PICTURES = 10  # of a class


@storable("picture-editor")
@dataclass(frozen=True)
class PictureEditor:
    """Weights of a diffusion model of pictures, and what it was told; no picture.

    Args:
        pictures: the diffusion model; its condition is one of `classes`, as 1 among 0.
        modality: whose pictures it was fitted to.
        classes: of the outcome, in the order of the condition.
        low, high: brightness of a file that is -1 and 1 to the network.
    """

    pictures: FittedPictures
    modality: str
    classes: tuple[str, ...]
    low: float
    high: float

    def of_training(self) -> str:
        """Say what a model folder holds of training patients by this part."""
        return self.pictures.of_training()

    def condition(self, towards: str) -> Tensor:
        """The condition `(1, K)` of a class.

        Raises:
            ValueError: there is no such class.
        """
        if towards not in self.classes:
            like = nearest(towards, self.classes)
            hint = f"did you mean '{like}'?" if like else f"there are {', '.join(self.classes)}"
            raise ValueError(
                f"no class of {LEAST_PICTURES} patients or more with a picture was learnt as '{towards}': {hint}"
            )
        return functional.one_hot(torch.tensor([self.classes.index(towards)]), len(self.classes)).float()

    def edited(
        self, values: Floats, towards: str, how: Rounds, mask: NDArray[np.bool_] | None = None, *,
        guidance: float = 2.0, seed: int = 0, told: Told | None = None,
    ) -> Floats:  # fmt: skip
        """Return a picture `(C, H, W)` as it is, and after each of N rounds: `(N + 1, C, H, W)`, in its own brightness.

        A volume is `(C, D, H, W)`. A picture of another size than the network's is edited on the network's grid, and
        what changed there is brought to its pixels by linear interpolation along each axis. Outside of the mask each
        pixel is as it was, if `how.outside` is 0.

        Args:
            mask: `(H, W)` or `(D, H, W)`, True where it is edited; None: everywhere.
            guidance: how strongly the class leads, 1: as it was learnt.

        Raises:
            ValueError: there is no such class, or the mask is of another size or marks no pixel.
            Unsupported: the picture has one brightness everywhere, or other channels than the network's.
        """
        condition, sides = self.condition(towards), values.shape[1:]
        if len(sides) != len(self.pictures.size):
            raise Unsupported(
                f"what was learnt from has {len(self.pictures.size)} axes, and what is to be edited {len(sides)}: give "
                f"{'an image' if len(self.pictures.size) == 2 else 'a volume'}"
            )
        if len(values) != self.pictures.design.channels:
            raise Unsupported(
                f"the picture has {count(len(values), 'channel')} and those that were learnt from have "
                f"{self.pictures.design.channels}: write it with as many"
            )
        if mask is not None and mask.shape != sides:
            raise ValueError(
                f"the mask has {_sides(mask.shape)} pixels and the picture {_sides(sides)}: give one of its size"
            )
        if mask is not None and not mask.any():
            raise ValueError("the mask marks no pixel, so that nothing would be edited")
        if values.min() == values.max():
            raise Unsupported("the picture has one brightness everywhere: there is nothing in it to be edited")
        size = self.pictures.size
        own = resized(torch.from_numpy(np.ascontiguousarray(values, np.float32)), cast("Any", size))
        own = (own - self.low) / (self.high - self.low) * 2 - 1
        if float((own.abs() > 1.001).float().mean()) > BEYOND or float(values.max() - values.min()) < NARROW * (
            self.high - self.low
        ):
            raise Unsupported(
                f"the picture's brightness of {values.min():,.6g} to {values.max():,.6g} does not suit the "
                f"{self.low:,.6g} to {self.high:,.6g} of those that were learnt from: write it with as many bits"
            )
        own = own.clamp(-1, 1)
        inside = torch.ones(size, dtype=torch.bool)
        if mask is not None:  # a pixel of the grid of which any part is marked
            pool: Any = functional.adaptive_max_pool2d if len(size) == 2 else functional.adaptive_max_pool3d
            inside = pool(torch.from_numpy(np.ascontiguousarray(mask))[None].float(), size)[0] > 0
        found = progressive_edit(
            guided(self.pictures.predict, guidance), own[None], condition, SCHEDULE, how=how, mask=inside[None, None],
            prediction=PREDICTION, clip=1.0, generator=torch.Generator().manual_seed(seed), progress=told,
        )[:, 0]  # fmt: skip
        changed = (found - found[0]) * (self.high - self.low) / 2  # (N + 1, C, ...)
        if size != sides:
            changed = functional.interpolate(changed, size=sides, mode=STRETCHED[len(size)], align_corners=False)
        change = changed.numpy()
        if mask is not None and how.outside == 0:
            change = np.where(mask, change, np.float32(0))
        edited = np.clip(values + change, min(self.low, values.min()), max(self.high, values.max()))
        return np.asarray(np.where(change == 0, values, edited), np.float32)


def fit_editor(
    cohort: Cohort, modality: str, how: PictureDiffusion, *, size: int, seed: int = 0, told: Told | None = None
) -> PictureEditor:
    """Fit a diffusion model to the pictures of a cohort, told the class of each patient whose outcome is known.

    Classes of fewer than ten patients with a picture are not learnt.

    Pictures are drawn as large as they are, or where a side is longer than `size` with sides of `size`.

    Raises:
        Unsupported: the outcome is not classes; fewer than 50 patients have a picture, or 10 of a class; the pictures
            cannot be learnt from.
        ReadError: a picture cannot be read.
    """
    target, outcome = cohort.target, cohort.outcome
    if target is None or outcome is None or not target.has_classes:
        raise Unsupported("a picture is edited towards a class: name an outcome of classes in [target]")
    rows = cohort.rows_of(modality)
    if len(rows) < LEAST_PATIENTS:
        raise Unsupported(
            f"{count(len(rows), 'patient')} have '{modality}', and among fewer than {LEAST_PATIENTS} nobody can hide: "
            "nothing is learnt"
        )
    own = pictures_of(cohort, modality)
    sides = [min(side, size) for side in own.scale.size]
    pictures = own.values
    if sides != [*own.scale.size]:
        pictures = torch.stack([resized(one, cast("Any", sides)) for one in own.values])
    known, codes = outcome.known[rows], np.nan_to_num(outcome.value[rows]).astype(np.int64)
    many = np.bincount(codes[known], minlength=len(target.names)) >= LEAST_PICTURES
    if not many.any():
        raise Unsupported(f"no class has {LEAST_PICTURES} patients with '{modality}': nothing is learnt of any")
    condition = functional.one_hot(torch.from_numpy(codes), len(target.names)).float()[:, torch.from_numpy(many)]
    condition[torch.from_numpy(~known | ~many[codes])] = torch.nan
    fitted = how.fit(pictures.clamp(-1, 1), condition, seed, told)
    return PictureEditor(
        fitted,
        modality,
        tuple(name for name, kept in zip(target.names, many, strict=True) if kept),
        own.scale.low,
        own.scale.high,
    )


def _sides(shape: tuple[int, ...]) -> str:
    return " x ".join(f"{side:,}" for side in shape)
