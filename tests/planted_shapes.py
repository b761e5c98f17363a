"""Pictures of planted shapes with made questions about them: what is asked decides, and the picture alone answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

import chiasm

SHAPES, SHADES, SIDES = ("square", "cross", "ring"), ("dark", "bright"), ("left", "right")
QUESTIONS = {"which shape is it?": SHAPES, "how is its shade?": SHADES, "on which side is it?": SIDES}
SIZE, PATCH = 16, 4


def picture(shape: int, shade: int, side: int, rng: np.random.Generator) -> np.ndarray:
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


def patches(image: np.ndarray) -> np.ndarray:
    """Patches of four pixels, `(16, 16)`, each with its place in the picture behind it."""
    n = SIZE // PATCH
    cut = image.reshape(n, PATCH, n, PATCH).swapaxes(1, 2).reshape(n * n, -1)
    return np.concatenate([cut, np.eye(n * n)], axis=1).astype(np.float32)


def shapes_cohort(n: int, seed: int = 0, *, exchanged: bool = False) -> Any:
    """A cohort of pictures with one question each and its answers in an order of their own.

    With `exchanged` each picture is another patient's.
    """
    rng = np.random.default_rng(seed)
    facts = np.stack([rng.integers(3, size=n), rng.integers(2, size=n), rng.integers(2, size=n)], 1)
    asked = rng.integers(3, size=n)
    ids = [f"q{k:05d}" for k in range(n)]
    pictures = [patches(picture(*facts[k], rng)) for k in range(n)]
    if exchanged:
        pictures = [pictures[int(k)] for k in np.roll(rng.permutation(n), 1)]
    names = list(QUESTIONS)
    rows: list[list[str | None]] = []
    for k in range(n):
        options = list(QUESTIONS[names[asked[k]]])
        right = options[facts[k][asked[k]]]
        order = [options[int(j)] for j in rng.permutation(len(options))]
        rows.append([names[asked[k]], right, *order, *([None] * (3 - len(order)))])
    table = pd.DataFrame(rows, index=ids, columns=["question", "answer", "a", "b", "c"])
    return chiasm.cohort_from_frames(
        table[["answer", "a", "b", "c"]],
        {"image": dict(zip(ids, pictures, strict=True)), "question": table["question"]},
        chiasm.Choice("answer", ("a", "b", "c"), "text"),
        kinds={"question": "text"},
    )
