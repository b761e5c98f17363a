"""Images as a network of label maps reads them: the pixels that the encoder `grid` keeps, in one unit over a cohort."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol, Self

import numpy as np
import torch
from torch import Tensor

from chiasm.artifact import storable
from chiasm.cohort import Cohort, Unsupported
from chiasm.encoders.catalogue import make_encoder
from chiasm.encoders.image.grid import WIDTH, ImageGrid, of_rows
from chiasm.segmentation.parts import Pixels, grid_for
from chiasm.tokens import Packed, PackedTokens, Tokens

KINDS = ("image", "volume", "dicom")
CUT = (0.5, 99.5)
"""Percentiles of numbers inside labels to which numbers are cut, where these scale the image; nnU-Net's."""
ALIKE = 1e-3
"""Relative difference up to which two spacings are one."""
AT_ONCE = 1 << 22  # numbers of an image that are summed up at a time


@storable("image-grids")
@dataclass(frozen=True)
class ImageGrids:
    """Tokens of `grid` as they are, and how their pixels are scaled: less their mean and by their spread in training.

    Args:
        channels: of the encoder `grid`.
        mean, spread: (channels,); empty before the fit.
        spacing: millimetres a pixel along each axis of the grid on which images are read, 0 for an image's own; empty:
            its own along each.
        clip: numbers below the first and above the second are taken for these; empty: none are.
    """

    channels: int
    mean: np.ndarray
    spread: np.ndarray
    spacing: tuple[float, ...] = ()
    clip: tuple[float, ...] = ()

    fitted_on_cohort: ClassVar[bool] = True
    slots: ClassVar[int] = 0
    width: ClassVar[int] = WIDTH

    def __post_init__(self) -> None:
        if not 1 <= self.channels <= 4096:
            raise ValueError("an image has between 1 and 4,096 channels")
        if self.mean.shape != self.spread.shape or self.mean.shape not in ((0,), (self.channels,)):
            raise ValueError("an image has a mean and a spread for each channel")
        if not np.isfinite(self.mean).all() or not (np.isfinite(self.spread) & (self.spread > 0)).all():
            raise ValueError("the mean and spread of a channel are finite, and the spread above zero")
        if self.spacing and (len(self.spacing) not in (2, 3) or not all(0 <= own < np.inf for own in self.spacing)):
            raise ValueError("the spacing at which images are read is a length along each axis")
        if self.clip and (len(self.clip) != 2 or not -np.inf < self.clip[0] < self.clip[1] < np.inf):
            raise ValueError("numbers are cut off below one and above another")

    def fit(self, raw: Any, patients: Sequence[str] = ()) -> Self:
        """Learn mean and spread of the channels from the stored pixels of training patients, some at a time."""
        total, square, many = np.zeros(self.channels), np.zeros(self.channels), 0
        for rows in raw:
            own = of_rows(np.asarray(rows), self.channels)[0].reshape(self.channels, -1)
            for start in range(0, own.shape[1], AT_ONCE):
                part = own[:, start : start + AT_ONCE].astype(np.float64)
                total += part.sum(1)
                square += np.square(part).sum(1)
            many += own.shape[1]
        mean = total / max(many, 1)
        spread = np.sqrt(np.maximum(square / max(many, 1) - mean**2, 0.0))
        return replace(self, mean=mean, spread=np.where(spread > 1e-6, spread, 1.0))

    def fit_inside(self, inside: np.ndarray) -> Self:
        """Learn mean, spread and where numbers are cut off from those `(channels, n)` inside labels of training."""
        low, high = (float(own) for own in np.percentile(inside, CUT))
        if not low < high:
            return self
        cut = np.clip(inside, low, high)
        spread = cut.std(1)
        return replace(self, mean=cut.mean(1), spread=np.where(spread > 1e-6, spread, 1.0), clip=(low, high))

    def encode(self, raw: Any) -> Tokens:
        """The stored tokens `(n, T, WIDTH)`."""
        values, real = raw.batch(np.arange(len(raw)))
        return Tokens(torch.from_numpy(values), torch.from_numpy(real))

    def image(self, tokens: Tokens, row: int) -> tuple[Pixels, tuple[float, ...]]:
        """The scaled pixels of a patient of a batch, and the spacing of his image."""
        return self.pixels(tokens.values[row][tokens.mask[row]].cpu().numpy(), tokens.values.device)

    def pixels(self, rows: np.ndarray, device: str | torch.device = "cpu") -> tuple[Pixels, tuple[float, ...]]:
        """The scaled pixels of an image of stored tokens `(T, WIDTH)`, read part by part, and its spacing."""
        values, spacing = of_rows(rows, self.channels)
        grid = grid_for(values.shape[1:], spacing, self.spacing)
        low, high = self.clip or (-np.inf, np.inf)
        return Pixels(values, self.mean, self.spread, grid, low, high, device), spacing


class Imaged(Protocol):
    """What reads a patient's image of a batch."""

    def image(self, tokens: Tokens, row: int) -> tuple[Pixels, tuple[float, ...]]: ...


@dataclass(frozen=True, eq=False)
class OnShelf:
    """Images that stay where they are stored: a token of a patient says which is his, and no more.

    Args:
        grid: how they are scaled.
        raw: their stored tokens.
        place: `(B,)` of each patient the place of his image there; -1 without.
    """

    grid: ImageGrids
    raw: Any
    place: np.ndarray

    @property
    def tokens(self) -> PackedTokens:
        """One token `(1,)` of each patient who has an image: his number."""
        rows = np.flatnonzero(self.place >= 0)
        return PackedTokens.scatter([np.full((1, 1), row, np.float32) for row in rows], rows, len(self.place), 1)

    def image(self, tokens: Tokens, row: int) -> tuple[Pixels, tuple[float, ...]]:
        """The scaled pixels of a patient of a batch, and the spacing of his image."""
        place = int(self.place[int(tokens.values[row, 0, 0])])
        return self.grid.pixels(np.asarray(self.raw[place]), tokens.values.device)


def on_shelves(cohort: Cohort, grids: Mapping[str, ImageGrids]) -> tuple[dict[str, OnShelf], dict[str, Packed]]:
    """The images of a cohort where they are stored, by modality, and tokens that say whose is which."""
    shelves = {}
    for name, grid in grids.items():
        place, known = np.full(len(cohort), -1), name in cohort.modalities
        rows = cohort.rows_of(name) if known else np.zeros(0, np.int64)
        place[rows] = np.arange(len(rows))
        shelves[name] = OnShelf(grid, cohort.raw(name) if len(rows) else [], place)
    return shelves, {name: own.tokens for name, own in shelves.items()}


def images_of(
    tokens: Mapping[str, Tokens], present: Tensor, grids: Mapping[str, Imaged], row: int
) -> tuple[dict[str, Pixels], tuple[float, ...]]:
    """The images of the modalities that are read of a patient of a batch, by name, and their spacing.

    All are read on the grid of the first that he has, whether that is read or not.

    Args:
        present: `(B, M)` bool, modalities sorted by name: what is read.

    Raises:
        Unsupported: they do not lie on one grid, or he has none.
    """
    names = sorted(grids)
    read = [name for m, name in enumerate(names) if bool(present[row, m])]
    if not read:
        raise Unsupported("a label map is drawn in an image, and a patient has none of the model's")
    first = next((name for name in names if name in tokens and bool(tokens[name].mask[row].any())), read[0])
    found = {name: grids[name].image(tokens[name], row) for name in dict.fromkeys((first, *read))}
    like, spacing = found[first]
    for name, (image, own) in found.items():
        what = "shape" if image.values.shape[1:] != like.values.shape[1:] else "" if alike(own, spacing) else "spacing"
        if what:
            raise Unsupported(
                f"the images of a patient in {first} and {name} differ in {what}: register and resample them to one "
                "grid"
            )
    return {name: replace(found[name][0], grid=like.grid) for name in read}, spacing


@contextmanager
def of_row(number: int) -> Iterator[None]:
    """Say of what is refused in this block in which row of the user's file it is."""
    try:
        yield
    except Unsupported as error:
        raise Unsupported(f"row {number}: {error}") from None


def alike(one: Sequence[float], other: Sequence[float]) -> bool:
    """True if two images of one shape have one spacing, or are pictures of which one does not say it."""
    unsaid = len(one) == 2 and (set(one) == {1.0} or set(other) == {1.0})
    return unsaid or bool(np.allclose(one, other, rtol=ALIKE, atol=0))


def grids_of(cohort: Cohort, modality: str) -> ImageGrids:
    """Return how the images of an encoded modality are read, not fitted yet.

    Raises:
        Unsupported: they were not encoded as grids.
    """
    own = cohort.encodings.get(modality)
    encoder = None if own is None else make_encoder(own.encoder, own.kind)
    if not isinstance(encoder, ImageGrid):
        raise Unsupported(
            f"label maps are drawn in the pixels of modality '{modality}', which were not kept as they are: write "
            'encoder = "grid"'
        )
    return ImageGrids(encoder.channels, np.zeros(0), np.zeros(0))
