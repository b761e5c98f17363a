"""Pictures of planted shapes with made questions about them: what is asked decides, and the picture alone answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

import chiasm
from chiasm.language.question_sets.planted import QUESTIONS, patches, picture


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
