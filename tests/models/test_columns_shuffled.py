"""What a shuffled column is worth: who gives whom values, known sizes and losses, and intervals that hold."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from model_of_sums import Sums
from scipy.stats import norm  # type: ignore[import-untyped]

import chiasm
from chiasm.cohort import Cohort
from chiasm.models.explain import shuffling
from chiasm.models.explain.columns import Scoring, worth_of
from chiasm.models.explain.pieces import Piece, column_pieces
from chiasm.models.explain.shuffling import Shuffles, predicts, repeated, shuffles_of
from chiasm.protocols import Model
from examples import ALL
from small_recipes import at_night


def of_m1(*columns: str) -> list[Piece]:
    return [*column_pieces({"m1": columns}), Piece("m1", "set", "both", columns)]


def test_who_gives_whom_values_is_of_the_same_modalities_and_the_same_half(cohort: Cohort) -> None:
    found = shuffles_of(cohort, "m1", 3, 0)
    pattern = cohort.pattern()[found.rows]
    for donors, half in zip(found.donors, found.half, strict=True):
        assert (pattern[donors] == pattern).all() and (half[donors] == half).all()
        assert (donors != np.arange(len(donors))).all() and len(set(donors)) == len(donors)
        for name in np.unique(pattern):  # either half has as many of a pattern, or one more
            assert abs(int(half[pattern == name].sum()) - int((~half)[pattern == name].sum())) <= 1
    assert not found.few and len(found.rows) == len(cohort.rows_of("m1"))


def test_the_size_of_a_column_is_its_mean_change_and_one_that_is_not_read_has_none(cohort: Cohort) -> None:
    model = Sums(lambda frame: 3 * frame["m1_0"] - frame["m1_1"])
    found = worth_of(predicts(model), cohort, of_m1("m1_0", "m1_9"), ["value"], permutations=3, seed=0)
    shuffles, values = found[0].shuffles, cohort.raw("m1")["m1_0"].to_numpy()
    expected = 3 * np.mean([np.abs(values - values[donors]).mean() for donors in shuffles.donors])
    assert found[0].size[0, 0] == pytest.approx(expected) and found[2].size[0, 0] == pytest.approx(expected)
    assert found[0].size[0, 1] < expected < found[0].size[0, 2]
    assert not found[1].size.any() and not found[1].halves.any()
    assert model.seen == {("m1", "m1+m2")}  # nobody gains or loses a modality
    first = np.abs(values - values[shuffles.donors[0]])
    assert found[0].halves[0] == pytest.approx([3 * first[shuffles.half[0] == side].mean() for side in (False, True)])


def test_copies_that_are_predicted_together_are_those_predicted_one_by_one(
    late: Model, cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {"permutations": 2, "seed": 0}
    both = column_pieces({"m1": ["m1_0", "m1_3"]})
    together = worth_of(predicts(late), cohort, both, ["p_1"], **asked)
    monkeypatch.setattr(shuffling, "VALUES_AT_ONCE", 1)
    for first, second in zip(together, worth_of(predicts(late), cohort, both, ["p_1"], **asked), strict=True):
        np.testing.assert_allclose(first.size, second.size)
    twice = predicts(late)(repeated(cohort, 2))
    np.testing.assert_allclose(twice.iloc[:90].to_numpy(), twice.iloc[90:].to_numpy())


def test_the_metric_loses_what_a_column_tells_and_nothing_by_one_that_is_not_read(cohort: Cohort) -> None:
    assert cohort.outcome is not None
    member = pd.Series(cohort.outcome.value, index=cohort.ids)
    frame = cohort.raw("m1").copy()
    frame["m1_0"] = member.loc[frame.index]

    class Knows(Sums):
        def predict(self, cohort: Cohort) -> pd.DataFrame:
            frame = super().predict(cohort)
            return frame.assign(p_0=1 - frame["value"], p_1=frame["value"]).drop(columns="value")

    own = cohort.with_modalities(["m1"]).with_values("m1", "table", frame, np.ones(len(frame), bool), None)
    scoring = Scoring("classification", cohort.outcome, ("0", "1"))
    model, both = Knows(lambda frame: frame["m1_0"]), column_pieces({"m1": ["m1_0", "m1_5"]})
    read, unread = worth_of(predicts(model), own, both, ["p_1"], permutations=4, seed=0, scoring=scoring)
    assert 0.3 < read.loss[1] <= read.loss[0] <= read.loss[2] < 0.7  # from 1 to chance
    assert not unread.loss.any()


def test_a_pattern_of_few_is_left_out_and_one_of_few_alone_is_not_estimable(late: Model, cohort: Cohort) -> None:
    only = np.flatnonzero(cohort.pattern() == "m1")
    both = np.flatnonzero(cohort.pattern() == "m1+m2")
    found = shuffles_of(cohort.subset(np.r_[only[:9], both]), "m1", 2, 0)
    assert found.few == 9 and len(found.rows) == len(both)
    told = chiasm.explain_columns(late, cohort.subset(only[:9]), permutations=2, checks=False)
    row = told.table.query("way == 'permutation'").iloc[0]
    assert np.isnan(row["size"]) and np.isnan(row["loss"]) and row["note"] == "not estimable"
    assert any("'m1' is not estimable" in sentence for sentence in told.said)


def test_records_of_a_person_are_drawn_together_and_give_each_other_nothing(cohort: Cohort) -> None:
    group = np.array([f"person {row // 4}" for row in range(len(cohort))])
    frame = cohort.raw("m1").copy()
    _, own = np.unique(group[cohort.rows_of("m1")], return_inverse=True)
    frame["m1_0"] = np.random.default_rng(0).normal(size=len(cohort))[own]  # the same in all records of a person
    alone = cohort.with_values("m1", "table", frame, np.ones(len(frame), bool), None)
    alone = alone.subset(alone.rows_of("m1"))
    together = replace(alone, group=group[cohort.rows_of("m1")])
    found = shuffles_of(together, "m1", 3, 0)
    person = together.group[found.rows]  # type: ignore[index]
    for donors, half in zip(found.donors, found.half, strict=True):
        assert (person[donors] != person).all() and len(set(donors)) == len(donors)
        assert not set(zip(alone.pattern()[found.rows][half], person[half], strict=True)) & set(
            zip(alone.pattern()[found.rows][~half], person[~half], strict=True)
        )
    model = Sums(lambda frame: frame["m1_0"])
    one, several = (
        worth_of(predicts(model), given, of_m1("m1_0")[:1], ["value"], permutations=5, seed=0)[0].size[0]
        for given in (alone, together)
    )
    assert several[2] - several[1] > 1.4 * (one[2] - one[1])  # a fourth as many persons as records
    same = replace(cohort, group=np.full(len(cohort), "one person"))
    told = chiasm.explain_columns(model, same, permutations=2, checks=False)
    assert told.table["size"].isna().all() and any("too few groups" in sentence for sentence in told.said)


def test_a_model_that_predicts_in_the_order_of_its_file_is_told_as_any_other(cohort: Cohort) -> None:
    model = Sums(lambda frame: 2 * frame["m1_0"])
    mixed = replace(cohort, file_rows=np.random.default_rng(0).permutation(len(cohort)) + 2)
    assert list(model.predict(mixed).index) != list(mixed.ids)
    sorted_, found = (
        worth_of(predicts(model), own, of_m1("m1_0", "m1_5")[:2], ["value"], permutations=2, seed=0)
        for own in (cohort, mixed)
    )
    np.testing.assert_array_equal(found[0].size, sorted_[0].size)
    assert not found[1].size.any()


@pytest.mark.parametrize("lognormal", [False, *at_night(True)])
def test_an_interval_of_95_percent_holds_the_size_about_as_often(lognormal: bool) -> None:
    often = 300 if os.environ.get(ALL) else 50
    ids = [f"p{number:03d}" for number in range(100)]
    empty = pd.DataFrame({"x": np.zeros(100)}, index=ids)
    base = chiasm.cohort_from_frames(pd.DataFrame(index=ids), {"m1": empty})
    rng, held = np.random.default_rng(0), 0
    truth = 2 * np.exp(0.5) * (2 * norm.cdf(np.sqrt(0.5)) - 1) if lognormal else 2 / np.sqrt(np.pi)

    def predict(own: Cohort) -> pd.DataFrame:
        return own.raw("m1")[["x"]].set_axis(["value"], axis=1)

    for seed in range(often):
        drawn = rng.normal(size=100)
        frame = pd.DataFrame({"x": np.exp(drawn) if lognormal else drawn}, index=ids)
        own = base.with_values("m1", "table", frame, np.ones(100, bool), None)
        (worth,) = worth_of(predict, own, of_m1("x")[:1], ["value"], permutations=5, seed=seed)
        held += int(worth.size[0, 1] <= truth <= worth.size[0, 2])
    assert held / often >= (0.88 if lognormal else 0.93)  # drawn as receivers alone: 0.69 and 0.85


def test_large_cohorts_are_drawn_from(cohort: Cohort, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shuffling, "MOST_PATIENTS", 40)
    found: Shuffles = shuffles_of(cohort, "m1", 2, 0)
    assert found.drawn_from == len(cohort.rows_of("m1")) and len(found.rows) + found.few == 40
