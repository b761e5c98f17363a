"""A table of events to a record: the order of rows changes nothing, and what cannot be is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chiasm.readers import Events, Limits, ReadError, reader_for
from chiasm.readers.record.events import EventReader
from examples import examples

SECRET = "Wanda-4711"
EVENT = st.tuples(
    st.sampled_from([0.0, -0.0, 0.5, 24.0, -3.0]),
    st.sampled_from(["HR", "HR ", "SpO2", "drug=D"]),
    st.sampled_from([np.nan, 1.0, -0.0, 0.0, -1e-300]),
)


def rows(events: list[tuple[float, object, float]]) -> pd.DataFrame:
    return pd.DataFrame(events, columns=["hours", "code", "numeric_value"])


def same(one: Events, other: Events) -> bool:
    pairs = [(one.hours, other.hours), (one.codes, other.codes), (one.values, other.values)]
    return all(a.dtype == b.dtype and a.tobytes() == b.tobytes() for a, b in pairs)


def test_events_come_by_time_then_code_then_value() -> None:
    found = reader_for("events").read(rows([(5, "b", 2.0), (0, "z", np.nan), (5, "a", 9.0), (5, "b", 1.0)]))
    assert found.hours.tolist() == [0, 5, 5, 5]
    assert found.codes.tolist() == ["z", "a", "b", "b"]
    assert found.values.dtype == np.float32
    np.testing.assert_array_equal(found.values, np.float32([np.nan, 9, 1, 2]))


@settings(max_examples=examples(60), deadline=None)
@given(events=st.lists(EVENT, min_size=1, max_size=12), order=st.randoms(use_true_random=False))
def test_the_order_of_rows_and_other_columns_change_nothing(events, order) -> None:
    frame = rows(events)
    turned = frame.sample(frac=1, random_state=order.randrange(2**31)).assign(note="never read")
    assert same(EventReader().read(frame), EventReader().read(turned[["note", "code", "numeric_value", "hours"]]))


@pytest.mark.parametrize("kind", ["category", "string", "string[pyarrow]"])
def test_columns_of_any_table_library_are_read(kind: str) -> None:
    frame = rows([(1, "b", 2.0), (0, "a", np.nan)])
    typed = frame.astype({"code": kind, "hours": "Int64", "numeric_value": "Float32"})
    assert same(EventReader().read(frame), EventReader().read(typed))


def test_values_may_be_missing_altogether_and_codes_may_be_whole_numbers() -> None:
    found = EventReader().read(pd.DataFrame({"hours": [0, 1], "code": [4019, 250]}))
    assert found.codes.tolist() == ["4019", "250"] and np.isnan(found.values).all()
    empty = pd.DataFrame({"hours": [0], "code": ["a"], "numeric_value": [None]})
    assert np.isnan(EventReader().read(empty).values).all()


def test_a_birth_before_the_record_is_kept_and_a_death_is_told() -> None:
    frame = rows([(-400_000, "MEDS_BIRTH", np.nan), (0, "HR", 70), (9, "MEDS_DEATH", np.nan)])
    assert EventReader().read(frame).hours[0] == -400_000
    assert "death" in EventReader().inspect(frame)[0]
    assert EventReader().inspect(frame.iloc[:2]) == ()


def test_values_under_another_name_are_not_passed_over_in_silence() -> None:
    frame = rows([(0, "LAB//sodium", 140.0)]).rename(columns={"numeric_value": "value"})
    assert "'value' is not read: call it 'numeric_value'" in EventReader().inspect(frame)[0]
    assert EventReader().notes(frame, EventReader().read(frame)) == EventReader().inspect(frame)
    assert EventReader().inspect(frame.assign(numeric_value=140.0)) == ()


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (rows([]), "no events"),
        (rows([(0, "a", 1)]).drop(columns="hours"), "no column 'hours'"),
        (rows([(0, "a", 1)]).drop(columns="code"), "no column 'code'"),
        (pd.concat([rows([(0, "a", 1)]), rows([(0, "a", 1)])], axis=1), "two columns"),
        (rows([(0, "a", 1)]).astype({"hours": str}), "'hours' does not hold numbers"),
        (rows([(0, "a", 1)]).astype({"hours": bool}), "'hours' does not hold numbers"),
        (rows([(0, "a", 1)]).astype({"hours": complex}), "'hours' does not hold numbers"),
        (rows([(0, "a", 1)]).assign(hours=pd.Timestamp("2020-01-01")), "'hours' does not hold numbers"),
        (rows([(0, "a", 1), (np.nan, "a", 1)]), "missing or infinite"),
        (rows([(0, "a", 1), (np.inf, "a", 1)]), "missing or infinite"),
        (rows([(0, "a", 1), (1.7e9, "a", 1)]), "150 years"),
        (rows([(0, None, 1)]), "no code"),
        (rows([(0, " ", 1)]), "no code"),
        (rows([(0, 250.0, 1)]), "not text"),
        (rows([(0, [SECRET], 1)]), "not text"),
        (rows([(0, b"a", 1)]), "not text"),
        (rows([(0, "a" * 257, 1)]), "longer than 256"),
        (rows([(0, SECRET + "\0", 1)]), "cannot be printed"),
        (rows([(0, "a", np.inf)]), "infinite"),
        (rows([(0, "a", 1e300)]), "infinite"),
        (rows([(0, "a", 1)]).assign(numeric_value=SECRET), "'numeric_value' does not hold numbers"),
        (rows([(0, "MEDS_BIRTH", 1), (-1, "a", 1)]), "before the birth"),
        (rows([(0, "MEDS_BIRTH", 1), (1, "MEDS_BIRTH", 1)]), "two births"),
    ],
)
def test_what_cannot_be_is_refused(frame: pd.DataFrame, said: str) -> None:
    with pytest.raises(ReadError, match=said) as caught:
        EventReader().read(frame)
    assert SECRET not in str(caught.value)


def test_too_many_events_are_refused() -> None:
    frame = rows([(0, "abc", 1)] * 11)
    with pytest.raises(ReadError, match="11 events, over the limit of 10"):
        EventReader().read(frame, Limits(characters=10))
    with pytest.raises(ReadError, match="too long"):
        EventReader().read(frame, Limits(values=32))


def test_a_cell_and_files_of_another_kind_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="not a cell"):
        EventReader().read(SECRET)
    for name, said in (
        (f"{SECRET}.csv", "of this kind"),
        (f"{SECRET}.json", "no such file"),
        ("folder", "of this kind"),
    ):
        with pytest.raises(ReadError, match=said) as caught:
            EventReader().read(tmp_path / name)
        assert SECRET not in str(caught.value) and str(tmp_path) not in str(caught.value)
    (tmp_path / "empty.ndjson").touch()
    with pytest.raises(ReadError, match="empty"):
        EventReader().inspect(tmp_path / "empty.ndjson")


@pytest.mark.parametrize("name", ["pbc-visits/visits", "eicu-day-one/events"])
def test_real_records(shared_data: Path, name: str) -> None:
    frame = pd.read_parquet(shared_data / f"{name}.parquet")
    for _, own in frame.groupby(frame.columns[0]):
        found = EventReader().read(own)
        assert len(found.hours) == len(own) and (np.diff(found.hours) >= 0).all()


@pytest.mark.parametrize("code", ["DOB", "dob", "BIRTH_DATE", "SNOMED//3950001"])
def test_a_birth_under_another_code_is_not_the_first_record(code: str) -> None:
    times = pd.to_datetime(["1987-05-06 00:00", "2019-07-25 02:00", "2019-07-25 05:00"])
    rows = pd.DataFrame({"time": times, "code": [code, "ADMISSION", "HR"], "numeric_value": [np.nan, np.nan, 70.0]})
    events = EventReader().read(rows)
    assert events.hours.tolist() == [-282434.0, 0.0, 3.0]
    assert "is that of a birth, and not MEDS_BIRTH" in EventReader().inspect(rows)[0]
