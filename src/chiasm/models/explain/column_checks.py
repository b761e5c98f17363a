"""The checks of an order of columns, and what of them speaks against it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from chiasm.models.explain.column_table import FAMILY, PERMUTATION
from chiasm.models.explain.columns import Worth
from chiasm.models.explain.soundness import FEWEST_RANKED, HIGH_LIKENESS, LOW_AGREEMENT, correlated, rank_agreement

HALVES, FITS, NOTHING = "halves", "fits", "nothing"
CHECKS = ("check", "modality", "what", "way", "things", "correlation", "low", "high", "note")
TOO_FEW, NO_ORDER, PASSED, UNKNOWN = "too few to say", "all are zero", "passed: it finds nothing", "not estimable"

SPLIT = {HALVES: "two halves of the patients", FITS: "models of two halves of the patients"}
"""Checks that should agree, in words."""
Row = tuple[object, ...]


def halves(found: Sequence[Worth], seed: int) -> Iterator[Row]:
    """Compare the order of what was shuffled between two halves of the patients."""
    families = dict.fromkeys((worth.piece.modality, worth.piece.what) for worth in found)
    for modality, what in families:
        own = [worth for worth in found if (worth.piece.modality, worth.piece.what) == (modality, what)]
        sizes = np.stack([worth.halves for worth in own], axis=1)  # (R, P, 2)
        agreed = rank_agreement(sizes[..., 0], sizes[..., 1], seed)
        note = "" if np.isfinite(agreed[0]) else why_none(len(own), sizes)
        yield HALVES, modality, what, PERMUTATION, len(own), *agreed, note


def likeness(table: pd.DataFrame, answers: Sequence[str], seed: int) -> Iterator[Row]:
    """Compare the order with that of a model of nothing; one that finds nothing at all is the best that can be."""
    answered = table[table["output"].isin(answers)]
    for family, rows in answered.groupby(FAMILY, sort=False):
        sizes = rows.groupby("name", sort=False)[["size", "nothing"]].mean()
        first, second = sizes["size"].to_numpy()[None], sizes["nothing"].to_numpy()[None]
        alike = rank_agreement(first, second, seed) if np.isfinite(second).all() else (np.nan,) * 3
        note = "" if np.isfinite(alike[0]) else why_none(len(sizes), first)
        if note == UNKNOWN and not second.any():
            note = PASSED
        yield NOTHING, *family, len(sizes), *alike, note


def why_none(things: int, sizes: np.ndarray) -> str:
    """Say why there is no correlation."""
    if things < FEWEST_RANKED:
        return TOO_FEW
    return NO_ORDER if not sizes.any() else UNKNOWN


def judged(checks: pd.DataFrame) -> Iterator[str]:
    """Say what speaks against an order of columns, and which check says so."""
    idle = set()
    for row in checks.to_dict("records"):
        things = f"the {row['what']}s of '{row['modality']}' by {row['way']}"
        found = correlated(row["correlation"], row["low"], row["high"])
        least = row["correlation"] if np.isnan(row["low"]) else row["low"]
        if row["note"] == NO_ORDER and things not in idle:
            idle.add(things)
            yield f"None of {things} moves the prediction, so that they have no order to check"
        elif row["note"] == UNKNOWN and row["check"] in SPLIT:
            yield f"Whether {SPLIT[row['check']]} agree on the order of {things} is not estimable"
        elif row["note"] == UNKNOWN:
            yield f"Whether the order of {things} is that of a model that has learned nothing is not estimable"
        elif row["check"] in SPLIT and row["correlation"] < LOW_AGREEMENT:
            yield f"The order of {things} differs between {SPLIT[row['check']]} ({found}): do not lean on it"
        elif row["check"] == NOTHING and least > HIGH_LIKENESS:
            yield (
                f"The order of {things} is much that of a model that has learned nothing ({found}): it tells how the "
                "columns are spread and go together, more than what was learned"
            )
