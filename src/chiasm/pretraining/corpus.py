"""What is pretrained on: distinct items of a modality, the patients they are of, and who is held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from chiasm.cohort import Unsupported
from chiasm.errors import count

FEWEST = 20  # patients, or groups of them, from which anything is pretrained
FEWEST_HELD_OUT = 3

Ints = NDArray[np.int64]
Value = TypeVar("Value")


@dataclass(frozen=True, repr=False)
class Corpus:
    """Distinct items, each read once however many patients share it.

    Args:
        items: the values that differ, in the order in which they came first.
        held_out: `(n,)` bool, items of patients who are held out, by whom the training is stopped.
        patients: number of patients who have one; held_out_patients: of whom so many are held out.
        units: number of groups of patients that were kept on one side, patients alone among them.
        dropped: number of items that patients of both sides have: they are trained on, and judge nothing.
    """

    items: tuple[str, ...]
    held_out: NDArray[np.bool_]
    patients: int
    held_out_patients: int
    units: int
    dropped: int

    def __repr__(self) -> str:
        return f"Corpus: {len(self.items):,} items of {self.patients:,} patients"


def corpus_of(values: Sequence[str], units: Sequence[str], share: float, seed: int) -> Corpus:
    """Draw who is held out, whole units alone, and return the distinct items of both sides.

    Units are dealt in a random order, each held out while fewer than `share` of the patients are. An item that a
    patient of each side has is one of training.

    Args:
        values: the item of each patient.
        units: of each patient the group that stays on one side.
        share: share of the patients that is held out, between 0 and 1.
        seed: seed of the draw.

    Raises:
        Unsupported: fewer than 20 units, fewer than 3 of them held out, or no item left that judges.
    """
    if not 0 < share < 1:
        raise ValueError(f"the share held out is {share:g}, and lies between 0 and 1")
    names, unit, sizes = np.unique(np.asarray(units, dtype=str), return_inverse=True, return_counts=True)
    if len(names) < FEWEST:
        raise Unsupported(
            f"{count(len(names), 'patient')}, or groups of patients, have the modality, and pretraining needs "
            f"{FEWEST}: take an encoder that is not trained, or bring more patients"
        )
    order = np.random.default_rng(seed).permutation(len(names))
    before = np.concatenate([[0], np.cumsum(sizes[order])[:-1]])
    chosen = np.zeros(len(names), bool)
    chosen[order[before < share * len(values)]] = True
    if not FEWEST_HELD_OUT <= int(chosen.sum()) < len(names):
        raise Unsupported(
            f"{int(chosen.sum())} of {len(names):,} patients or groups would be held out, and {FEWEST_HELD_OUT} are "
            "the fewest by whom a training is stopped: hold out a larger share, or bring more patients"
        )
    apart = chosen[unit]
    items = list(dict.fromkeys(values))
    place = {item: number for number, item in enumerate(items)}
    trained = np.zeros(len(items), bool)
    judged = np.zeros(len(items), bool)
    for value, is_apart in zip(values, apart.tolist(), strict=True):
        (judged if is_apart else trained)[place[value]] = True
    held_out = judged & ~trained
    if not held_out.any():
        raise Unsupported(
            "every item of a held-out patient is one of a patient trained on too: name what they share as `group`, or "
            "pretrain on a modality whose values differ"
        )
    return Corpus(tuple(items), held_out, len(values), int(apart.sum()), len(names), int((judged & trained).sum()))


def in_order_of_names(values: Sequence[Value], patients: Sequence[str]) -> tuple[list[Value], list[str]]:
    """Return the values of patients and their names, so sorted that the order of the rows changes nothing.

    Args:
        patients: name of each; where there are others than values, the rows are their names.
    """
    names = list(patients) if len(patients) == len(values) else [str(row) for row in range(len(values))]
    order = np.argsort(np.array(names), kind="stable")
    return [values[k] for k in order], [names[k] for k in order]
