"""Groups of a trial by hand: a group counts once in each fold, and an item once however many repeats test it."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from chiasm.evaluation.intervals import TestFold, patient_draws
from chiasm.evaluation.patient_by_patient import grouped_document
from chiasm.targets import Classification, Outcome

RIGHT = np.array([1, 1, 0, 1, 0, 0, 1, 1], dtype=bool)
GROUPS = ["a", "a", "b", "b", "c", "c", "", "d"]


def made_trial(repeats: int, groups: list[str]) -> SimpleNamespace:
    """Eight items of class a, told rightly or not, tested in two folds of each repeat."""
    folds, frames = dict[tuple[int, str], TestFold](), dict[tuple[int, str], pd.DataFrame]()
    named = np.array(groups)
    for repeat in range(repeats):
        for fold, patients in (("0", np.array([0, 1, 2, 3])), ("1", np.array([4, 5, 6, 7]))):
            outcome = Outcome(np.zeros(4), None, np.ones(4, dtype=bool))
            folds[repeat, fold] = TestFold(repeat, fold, patients, outcome, outcome, named[patients])
            p = np.where(RIGHT[patients], 0.9, 0.2)
            frames[repeat, fold] = pd.DataFrame({"p_a": p, "p_b": 1 - p})
    draws = patient_draws(list(folds.values()), 8, 200, 0)
    return SimpleNamespace(
        target=Classification("y"), classes=("a", "b"), outcomes=pd.DataFrame({"group": groups}),
        folds=folds, frames={"r": frames}, draws=draws,
    )  # fmt: skip


@pytest.mark.parametrize("repeats", [1, 3])
def test_groups_and_items_are_counted_once(repeats: int) -> None:
    (row,) = grouped_document(made_trial(repeats, GROUPS), ["r"])  # type: ignore[arg-type]
    assert (row["groups"], row["items"]) == (5, 8)
    assert row["all_right"] == pytest.approx((1 / 2 + 2 / 3) / 2)  # a, not b; the one of no group and d, not c
    assert row["most_right"] == row["all_right"] and row["share_right"] == pytest.approx((3 / 4 + 2 / 3) / 2)
    assert row["all_right_low"] < row["all_right"] < row["all_right_high"]


def test_nothing_is_said_where_each_item_is_its_own_group() -> None:
    assert grouped_document(made_trial(1, list("abcdefgh")), ["r"]) == []  # type: ignore[arg-type]
