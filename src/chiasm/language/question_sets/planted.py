"""Made pictures of a shape, its shade and its side, and questions that only who looks at them can answer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
SHAPES, SHADES, SIDES = ("square", "cross", "ring"), ("dark", "bright"), ("left", "right")
QUESTIONS = {"which shape is it?": SHAPES, "how is its shade?": SHADES, "on which side is it?": SIDES}
SIZE, PATCH = 16, 4


def picture(shape: int, shade: int, side: int, rng: np.random.Generator) -> Floats:
    """A noisy picture `(16, 16)` of one shape of seven pixels, on one side, in one shade."""
    grid = np.zeros((7, 7))
    if shape == 0:
        grid[1:6, 1:6] = 1
    elif shape == 1:
        grid[3, :] = grid[:, 3] = 1
    else:
        grid[[0, 6], 1:6] = 1
        grid[1:6, [0, 6]] = 1
    found = rng.normal(0, 0.05, (SIZE, SIZE))
    top, left = 1 + int(rng.integers(8)), int(rng.integers(2)) + (8 if side else 0)
    found[top : top + 7, left : left + 7] += grid * (1.0 if shade else 0.4)
    return found


def patches(image: Floats) -> Floats:
    """Patches of four pixels, `(16, 16)`, each with its place in the picture behind it."""
    n = SIZE // PATCH
    cut = image.reshape(n, PATCH, n, PATCH).swapaxes(1, 2).reshape(n * n, -1)
    return np.concatenate([cut, np.eye(n * n)], axis=1).astype(np.float32)
