"""What few patients have tells nobody: levels of numbers, records of one patient, groups that stay together."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.api.generating import _held_out
from chiasm.cohort import Unsupported
from chiasm.generation.mixed_columns import MixedColumns
from chiasm.generation.record_words import RecordWords
from chiasm.generation.records import Records
from chiasm.generation.rows import Rows


def table(**columns: object) -> Rows:
    frame = pd.DataFrame(columns)
    return Rows({"clinical": frame}, {"clinical": np.ones(len(frame), dtype=bool)}, {})


def records(values: list[list[float]]) -> Records:
    """One code an hour, with these values of each patient."""
    lengths = [len(own) for own in values]
    hours = np.concatenate([np.arange(1.0, n + 1) for n in lengths])
    starts = np.concatenate([[0], np.cumsum(lengths)])
    return Records(starts, hours, np.array(["lab"] * sum(lengths)), np.concatenate(values))


def test_under_privacy_a_number_has_no_levels_and_one_patient_changes_none() -> None:
    one, other = ([0.0, 1.0] * 40 + [7.5, last] for last in (9.5, 5.25))
    for values in (one, other):
        found = MixedColumns.fit(table(x=values, sex=["f", "m"] * 41), of_range=True).margins["clinical"]
        assert found.levels == {"sex": ("f", "m")} and found.decimals.tolist() == [2 if 5.25 in values else 1]
    empty = MixedColumns.fit(table(x=[np.nan] * 60, y=[1.0] * 60), of_range=True)
    assert empty.coded(table(x=[np.nan] * 60, y=[1.0] * 60)).numbers.shape == (60, 2)


def test_levels_that_were_merged_are_learnt_as_often_as_they_are_there() -> None:
    rows = table(x=[0.0] * 26 + [10.0, 20, 30, 40, 50, 60] * 4)
    columns = MixedColumns.fit(rows)
    codes = columns.coded(rows).codes[:, 0]
    assert codes.min() == 0 and (codes > 0).mean() == 24 / 50  # none of them is unknown


def test_a_level_that_was_merged_away_from_the_nearest_one_is_learnt_as_often_too() -> None:
    rows = table(x=[0.0] * 40 + [1.0, 100.0] * 4)  # 1 and 100 become 50, and 0 is nearer to 1
    columns = MixedColumns.fit(rows)
    assert columns.margins["clinical"].levels == {"x": ("0.0", "50.0")}
    assert (columns.coded(rows, fitted=True).codes[:, 0] == 1).sum() == 8 > columns.coded(rows).codes[:, 0].sum()


def test_a_column_that_nobody_has_is_no_reason_to_stop() -> None:
    rows = table(x=np.arange(60.0), y=[np.nan] * 60)
    says, there = MixedColumns.fit(rows).indicators()
    assert says.any() and (there == 0).all()


def test_no_quantile_and_no_level_of_a_record_is_one_patients() -> None:
    rng = np.random.default_rng(0)
    many = [rng.normal(size=10).round(4).tolist() for _ in range(19)] + [[123.4567] * 300]
    words = RecordWords.fit(records(many))
    assert (words.values.knots == 123.4567).sum() == 0 and words.longest == 10
    few = [[1.0, 2.0]] * 19 + [[66.6]]
    assert "66.6" not in RecordWords.fit(records(few)).values.levels["lab"]


def test_one_value_of_each_patient_that_leaves_few_values_keeps_no_level_of_one_patient() -> None:
    """Of more than ten values one of each patient is taken: these may be few again, and then they are levels."""
    many = [[5.0]] * 19 + [np.arange(100.0, 400).tolist()]
    words = RecordWords.fit(records(many))
    assert max(map(float, words.values.levels["lab"])) < 100
    alone = [[5.0, 5.0]] * 19 + [[5.0, 70.0, 71.0, 72.0, 73.0, 74.0]]  # five values, and of one patient all of them
    assert max(map(float, RecordWords.fit(records(alone)).values.levels["lab"])) < 70


def test_hours_of_one_patient_are_no_level() -> None:
    rng = np.random.default_rng(0)
    own = [np.cumsum(np.r_[rng.random(), np.ones(9)]) for _ in range(19)] + [np.cumsum(np.full(300, 7.123))]
    starts = np.concatenate([[0], np.cumsum([len(hours) for hours in own])])
    words = RecordWords.fit(Records(starts, np.concatenate(own), np.array(["lab"] * starts[-1]), np.ones(starts[-1])))
    assert not np.isclose([float(level) for level in words.gaps.levels["hours"]], 7.123).any()
    few = Records(np.arange(0, 61, 3), np.tile([0.0, 0.0, 0.0], 20), np.array(["lab"] * 60), np.ones(60))
    few.hours[2] = 7.123
    assert RecordWords.fit(few).gaps.levels == {"hours": ()}


def test_rare_hours_between_events_come_back_as_often_as_they_were() -> None:
    between = np.where(np.arange(2000) % 40, 6.0, 24.0).reshape(100, 20)
    starts, hours = np.arange(0, 2001, 20), between.cumsum(1).ravel()
    own = Records(starts, hours, np.array(["lab"] * 2000), np.full(2000, np.nan))
    words = RecordWords.fit(own)
    back = words.records(words.worded(own), np.random.default_rng(0))
    np.testing.assert_allclose(back.hours, own.hours)


def test_rare_levels_of_records_come_back_as_often_as_they_were() -> None:
    own = records([[1.0] * 8 + [2.0], [1.0] * 9] * 10)
    words = RecordWords.fit(own)
    again = words.records(words.worded(own), np.random.default_rng(0))
    assert sorted(again.values) == sorted(own.values)


def test_who_are_of_one_group_are_held_out_together() -> None:
    frame = pd.DataFrame({"x": np.arange(80.0)}, index=[f"p{k}" for k in range(80)])
    patients = pd.DataFrame({"family": np.repeat(np.arange(20), 4)}, index=frame.index)
    cohort = chiasm.cohort_from_frames(patients, {"clinical": frame}, group="family")
    held = _held_out(cohort, 0)
    assert 0 < held.sum() <= 16
    for _, own in pd.Series(held).groupby(cohort.group):
        assert own.nunique() == 1


def test_large_groups_are_held_out_too() -> None:
    for families in (np.repeat([0, 1, 2], 30), np.repeat([0, *range(1, 31)], [60] + [1] * 30)):
        frame = pd.DataFrame({"x": np.arange(90.0)}, index=[f"p{k}" for k in range(90)])
        patients = pd.DataFrame({"family": families}, index=frame.index)
        cohort = chiasm.cohort_from_frames(patients, {"clinical": frame}, group="family")
        for seed in range(5):
            assert _held_out(cohort, seed).sum() == (30 if families[-1] == 2 else 18)
    whole = chiasm.cohort_from_frames(patients.assign(family=1), {"clinical": frame}, group="family")
    with pytest.raises(Unsupported, match="nobody can be held out"):
        _held_out(whole, 0)
