"""A combination is held out with the proof that training has each of its factors; related data help to predict it."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from chiasm.cohort.compositional import compositional_split

MODALITIES, AREAS, TASKS = ("CT", "MRI", "X-ray"), ("Brain", "Lung", "Bone"), ("Cancer", "COVID", "Fracture")
HELD_OUT = ("CT", "Lung", "Cancer")


def factors(each: int = 12) -> pd.DataFrame:
    """Every combination of three modalities, areas and tasks, `each` times; four items a person."""
    rows = [row for row in product(MODALITIES, AREAS, TASKS) for _ in range(each)]
    table = pd.DataFrame(rows, columns=["modality", "area", "task"])
    return table.assign(person=np.arange(len(table)) // 4)


def test_the_combination_is_never_in_training_and_each_factor_is() -> None:
    table = factors()
    split = compositional_split(table, HELD_OUT, seed=1)
    whole = (table[["modality", "area", "task"]] == HELD_OUT).all(axis=1).to_numpy()
    assert split.test.tolist() == np.flatnonzero(whole).tolist()
    assert len(split.related) == len(split.unrelated) == min((~whole).sum(), 8 * 12)
    assert not whole[split.related].any() and not whole[split.unrelated].any()
    for factor, value in zip(("modality", "area", "task"), HELD_OUT, strict=True):
        assert (table[factor].iloc[split.related] == value).any()
        assert not (table[factor].iloc[split.unrelated] == value).any()
    proof = split.proof
    assert (proof["related_rows"] > 0).all() and (proof["combinations"] > 0).all()
    assert (proof["whole"] == 0).all() and (proof["unrelated_rows"] == 0).all()
    assert proof["related_rows"].max() - proof["related_rows"].min() <= 2  # drawn evenly
    assert repr(split) == "held out CT + Lung + Cancer: 12 rows tested, 96 related and 96 unrelated rows to train on"


def test_the_rows_of_a_tested_person_are_in_no_training_set() -> None:
    table = factors(each=6)  # so that people have rows of two combinations
    split = compositional_split(table, HELD_OUT, group="person", size=30)
    tested = set(table["person"].iloc[split.test])
    for rows in (split.related, split.unrelated):
        assert len(rows) == 30 and not tested & set(table["person"].iloc[rows])
    assert split.dropped == table["person"].isin(tested).sum() - len(split.test) > 0


def test_equal_seeds_give_equal_sets_and_others_do_not() -> None:
    one, again, other = (compositional_split(factors(), HELD_OUT, size=20, seed=seed) for seed in (1, 1, 2))
    assert one.related.tolist() == again.related.tolist() != other.related.tolist()


def test_what_cannot_be_composed_is_refused() -> None:
    table = factors()
    lonely = table[(table["task"] != "Cancer") | (table[["modality", "area"]] == HELD_OUT[:2]).all(axis=1)]
    with pytest.raises(ValueError, match="task 'Cancer' stands in no row beside"):
        compositional_split(lonely, HELD_OUT)
    with pytest.raises(ValueError, match="no row is CT \\+ Lung \\+ Rash"):
        compositional_split(table, ("CT", "Lung", "Rash"))
    with pytest.raises(ValueError, match="nothing unrelated"):
        compositional_split(table[table["modality"] == "CT"], HELD_OUT)
    with pytest.raises(ValueError, match="ask for 3 to 96"):
        compositional_split(table, HELD_OUT, size=97)
    with pytest.raises(ValueError, match="no column 'organ'"):
        compositional_split(table, HELD_OUT, factors=("modality", "organ", "task"))
    with pytest.raises(ValueError, match="2 values for 3 factors"):
        compositional_split(table, HELD_OUT[:2])
    with pytest.raises(ValueError, match="'area' is empty in 1 row"):
        compositional_split(table.assign(area=table["area"].where(table.index != 5, " ")), HELD_OUT)


def test_related_training_sets_predict_the_held_out_combination_better() -> None:
    """Pictures in which a finding shows by its task, on a ground of modality and area: composition is possible."""
    rng = np.random.default_rng(0)
    table = factors(each=40)
    sick = rng.integers(0, 2, len(table))
    grounds = {name: rng.normal(size=30) for name in (*MODALITIES, *AREAS)}
    signs = {name: rng.normal(size=30) for name in TASKS}
    pictures = rng.normal(size=(len(table), 30))
    for row, (modality, area, task) in enumerate(table[["modality", "area", "task"]].itertuples(index=False)):
        pictures[row] += grounds[modality] + grounds[area] + (sick[row] - 0.5) * signs[task]
    split = compositional_split(table, HELD_OUT)
    right = []
    for rows in (split.related, split.unrelated):
        model = LogisticRegression(max_iter=200).fit(pictures[rows], sick[rows])
        right.append(model.predict(pictures[split.test]) == sick[split.test])
    gain = right[0].astype(float) - right[1]
    draws = rng.choice(gain, size=(500, len(gain))).mean(axis=1)
    assert gain.mean() > 0.15 and np.quantile(draws, 0.025) > 0
