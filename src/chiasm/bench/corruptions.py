"""Images made worse before a candidate sees them: noise, blur, darkness, coarse pixels, hard compression.

The kinds are those of Hendrycks and Dietterich 2019 (arXiv 1903.12261), by which PathMMU looks at robustness; each has
one strength, told here, and the same image gets the same noise in every run.
"""

from __future__ import annotations

import atexit
import hashlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING

import numpy as np

from chiasm.bench.item import Asked, Attachment, Item, asked

if TYPE_CHECKING:
    from PIL.Image import Image

NOISE = 0.15
"""Standard deviation of the noise, as a share of white."""
BLUR = 1 / 60
"""Radius of the blur, as a share of the shorter side."""
DARK, COARSE, QUALITY = 0.35, 10, 8
"""Share of light that is left; side of a pixel of those that are put together; quality of the JPEG."""


def noisy(image: Image, rng: np.random.Generator) -> Image:
    """Add Gaussian noise to each pixel and channel."""
    from PIL import Image as images

    values = np.asarray(image, dtype=np.float64) + rng.normal(0, NOISE * 255, (image.height, image.width, 3))
    return images.fromarray(np.clip(values, 0, 255).astype(np.uint8))


def blurred(image: Image, rng: np.random.Generator) -> Image:
    """Blur with a Gaussian."""
    from PIL import ImageFilter

    return image.filter(ImageFilter.GaussianBlur(max(1.0, BLUR * min(image.size))))


def darkened(image: Image, rng: np.random.Generator) -> Image:
    """Take light away."""
    return image.point(lambda value: int(DARK * value))


def coarse(image: Image, rng: np.random.Generator) -> Image:
    """Put pixels together."""
    from PIL import Image as images

    small = image.resize((max(1, image.width // COARSE), max(1, image.height // COARSE)), images.Resampling.BOX)
    return small.resize(image.size, images.Resampling.NEAREST)


def compressed(image: Image, rng: np.random.Generator) -> Image:
    """Compress as JPEG, and open it again."""
    from io import BytesIO

    from PIL import Image as images

    out = BytesIO()
    image.save(out, "JPEG", quality=QUALITY)
    return images.open(out).convert("RGB")


CORRUPTIONS: dict[str, tuple[str, Callable[[Image, np.random.Generator], Image]]] = {
    "noise": ("the same candidate with noise on the images", noisy),
    "blur": ("the same candidate with the images blurred", blurred),
    "dark": ("the same candidate with a third of the light on the images", darkened),
    "coarse": ("the same candidate with coarse pixels", coarse),
    "jpeg": ("the same candidate with the images compressed hard", compressed),
}
"""Name of a corruption to what is said of it, and what makes an image worse."""


@dataclass(frozen=True)
class Worse(Attachment):
    """An image that is made worse when it is handed to a candidate, in a folder that goes with the process."""

    corruption: str = "noise"

    @property
    def handed(self) -> Path:
        """The file that is handed, made when it is first asked for."""
        return _made(self.path, self.corruption)


@cache
def _folder() -> Path:
    folder = Path(mkdtemp(prefix="chiasm-images-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _made(path: Path, corruption: str) -> Path:
    from PIL import Image as images

    name = hashlib.sha256(f"{path}\0{corruption}".encode()).hexdigest()[:24]
    place = _folder() / f"{name}.png"
    if not place.exists():
        with images.open(path) as opened:
            CORRUPTIONS[corruption][1](opened.convert("RGB"), np.random.default_rng(int(name[:12], 16))).save(place)
    return place


def _require_image(path: Path, corruption: str) -> None:
    from PIL import Image as images

    try:
        with images.open(path):
            pass
    except (images.DecompressionBombError, OSError):  # Pillow's error of what is no image is one of these
        raise ValueError(
            f"'{path.name}' cannot be opened as an image, so that it cannot be made worse: leave '{corruption}' "
            "out of the controls"
        ) from None


def with_worse_images(
    items: Sequence[Item], seed: int = 0, *, corruption: str = "noise"
) -> list[tuple[Asked, tuple[int, ...]]]:
    """Show each item with its images made worse.

    Raises:
        ValueError: a file is no image that Pillow opens.
    """
    found = []
    for item in items:
        for own in item.attachments:
            if own.kind == "image" and own.is_there:
                _require_image(own.path, corruption)
        worse = tuple(Worse(own.kind, own.path, corruption) if own.kind == "image" else own for own in item.attachments)
        found.append((replace(asked(item), attachments=worse), tuple(range(len(item.options)))))
    return found


def worse_images() -> dict[str, tuple[str, Callable[[Sequence[Item], int], list[tuple[Asked, tuple[int, ...]]]]]]:
    """Name of each corruption to what is said of it, and how items are shown with it."""
    return {name: (told, partial(with_worse_images, corruption=name)) for name, (told, _) in CORRUPTIONS.items()}
