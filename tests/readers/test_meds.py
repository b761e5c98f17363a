"""MEDS datasets: to hours and back, and shards that are not what they should be."""

from __future__ import annotations

import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chiasm.cohort import Unsupported
from chiasm.readers import Limits, ReadError
from chiasm.readers.record.events import EventReader
from chiasm.readers.record.meds import read_meds, read_subject, to_meds, write_meds
from examples import examples

pytest.importorskip("meds")
SECRET = "Wanda-4711"
START = pd.Timestamp("2150-03-04 05:06:07.000008")


def table(**columns: object) -> pa.Table:
    day = pd.Timestamp("2020-01-01")
    plain = {
        "subject_id": pa.array([7, 7, 7, 7], pa.int64()),
        "time": pa.array([None, day - pd.Timedelta(days=3650), day, day + pd.Timedelta(hours=5)], pa.timestamp("us")),
        "code": pa.array(["GENDER//F", "MEDS_BIRTH", "HR", "HR"]),
        "numeric_value": pa.array([None, None, 70.5, 80.0], pa.float32()),
        "text_value": pa.array([SECRET] * 4, pa.large_string()),
    }
    return pa.table({name: column for name, column in {**plain, **columns}.items() if column is not None})


def shard(path: Path, **columns: object) -> Path:
    pq.write_table(table(**columns), path)
    return path


def test_hours_count_from_the_first_record_that_is_not_the_birth(tmp_path: Path) -> None:
    found = read_subject(shard(tmp_path / "one.parquet"))
    assert found.columns.tolist() == ["id", "hours", "code", "numeric_value"]
    assert found["hours"].tolist() == [-87600, 0, 0, 5]
    assert found["code"].tolist() == ["MEDS_BIRTH", "GENDER//F", "HR", "HR"]
    events = EventReader().read(tmp_path / "one.parquet")
    assert events.hours.tolist() == [-87600, 0, 0, 5] and SECRET not in str(events)


@settings(max_examples=examples(20), deadline=None)
@given(
    hours=st.lists(st.integers(0, 10**12), min_size=1, max_size=8, unique=True),
    codes=st.lists(st.sampled_from(["HR", "RR//bpm"]), min_size=8, max_size=8),
)
def test_to_meds_is_the_inverse(tmp_path_factory, hours: list[int], codes: list[str]) -> None:
    folder = tmp_path_factory.mktemp("meds")
    microseconds = np.sort(np.array(hours)) - min(hours)
    events = pd.DataFrame(
        {"id": "12", "hours": microseconds / 3.6e9, "code": codes[: len(hours)], "numeric_value": np.float32(1.5)}
    )
    rows = to_meds(events, START)
    write_meds(rows, folder / "dataset")
    pd.testing.assert_frame_equal(read_meds(folder / "dataset"), events)
    assert (rows["time"] == START + pd.to_timedelta(microseconds, unit="us")).all()


def test_a_dataset_of_many_shards_and_starts(tmp_path: Path) -> None:
    events = pd.DataFrame({"id": ["10", "9", "9"], "hours": [0.0, 3.0, 0.0], "code": ["a", "b", "c"]})
    rows = to_meds(events, {"9": START, "10": pd.Timestamp("1999-01-01")})
    assert rows["subject_id"].tolist() == [9, 9, 10] and rows["numeric_value"].isna().all()
    write_meds(rows[rows["subject_id"] == 10], tmp_path)
    (tmp_path / "data" / "train").mkdir()
    shard(tmp_path / "data" / "train" / "1.parquet")
    assert read_meds(tmp_path)["id"].tolist() == ["7"] * 4 + ["10"]
    with pytest.raises(FileExistsError):
        write_meds(rows, tmp_path)
    with pytest.raises(ValueError, match="no start"):
        to_meds(events, {"9": START})
    with pytest.raises(ValueError, match="whole numbers") as caught:
        to_meds(events.assign(id=SECRET), START)
    assert SECRET not in str(caught.value)


def test_folders_that_are_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="holds no data"):
        read_meds(tmp_path)
    (tmp_path / "set" / "data").mkdir(parents=True)
    shard(tmp_path / "set" / "data" / "0.parquet")
    (tmp_path / "set" / "data" / "1.parquet").symlink_to(shard(tmp_path / "outside.parquet"))
    with pytest.raises(ReadError, match="link out"):
        read_meds(tmp_path / "set")
    (tmp_path / "set" / "data" / "1.parquet").unlink()
    shard(tmp_path / "set" / "data" / "1.parquet")
    with pytest.raises(ReadError, match="two shards"):
        read_meds(tmp_path / "set")


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"code": None}, "'code' is missing"),
        ({"time": None}, "'time' is missing"),
        ({"subject_id": None}, "'subject_id' is missing"),
        ({"time": pa.array([SECRET] * 4)}, "'time' has another type"),
        ({"subject_id": pa.array([SECRET] * 4)}, "'subject_id' has another type"),
        ({"code": pa.array([1, 2, 3, 4])}, "'code' has another type"),
        ({"numeric_value": pa.array([SECRET] * 4)}, "'numeric_value' has another type"),
        ({"code": pa.array(["a", None, "b", "c"])}, "code is missing"),
        ({"subject_id": pa.array([7, None, 7, 7], pa.int64())}, "subject or a code is missing"),
        ({"subject_id": pa.array([7, 7, 8, 8], pa.int64())}, "several subjects"),
        ({"code": pa.array([SECRET * 30] * 4)}, "longer than 256"),
        ({"code": pa.array(["HR", "HR", "MEDS_BIRTH", "HR"])}, "before the birth"),
        ({"numeric_value": pa.array([1, 2, 3, np.inf], pa.float32())}, "infinite"),
    ],
)
def test_a_file_that_is_not_meds(tmp_path: Path, columns: dict[str, object], said: str) -> None:
    path = shard(tmp_path / f"{SECRET}.parquet", **columns)
    with pytest.raises(ReadError, match=said) as caught:
        EventReader().read(path)
    assert SECRET not in str(caught.value) and str(tmp_path) not in str(caught.value)


def test_values_may_be_missing_and_other_widths_are_converted(tmp_path: Path) -> None:
    wide = {"subject_id": pa.array([7] * 4, pa.int32()), "time": table()["time"].cast(pa.timestamp("ns", "UTC"))}
    found = read_subject(shard(tmp_path / "a.parquet", numeric_value=None, **wide))
    assert found["numeric_value"].isna().all() and found["hours"].tolist() == [-87600, 0, 0, 5]


def test_a_million_rows_of_one_long_code_stay_small(tmp_path: Path) -> None:
    many = 500_000
    code = pa.DictionaryArray.from_arrays(np.zeros(many, np.int32), [SECRET * 20_000])
    bomb = pa.table({"subject_id": np.ones(many, np.int64), "time": pa.nulls(many, pa.timestamp("us")), "code": code})
    pq.write_table(bomb, tmp_path / "bomb.parquet")
    tracemalloc.start()
    before = pa.total_allocated_bytes()
    with pytest.raises(ReadError, match="longer than 256"):
        EventReader().read(tmp_path / "bomb.parquet")
    assert tracemalloc.get_traced_memory()[1] < 2e8 and pa.total_allocated_bytes() - before < 2e8
    tracemalloc.stop()
    with pytest.raises(ReadError, match="over the limit"):
        EventReader().read(tmp_path / "bomb.parquet", Limits(characters=many - 1))


def test_damaged_files_give_a_value_or_a_read_error(tmp_path: Path) -> None:
    whole = shard(tmp_path / "whole.parquet").read_bytes()
    random = np.random.default_rng(0)
    spoilt = [random.bytes(200), whole[: len(whole) // 2], b"PAR1" + whole[4:-4] + b"XXXX"]
    spoilt += [whole[: random.integers(1, len(whole))] for _ in range(20)]
    for _ in range(80):
        flipped = bytearray(whole)
        flipped[random.integers(len(whole))] ^= 1 << random.integers(8)
        spoilt.append(bytes(flipped))
    path, refused = tmp_path / f"{SECRET}.parquet", 0
    for content in spoilt:
        path.write_bytes(content)
        try:
            EventReader().read(path)
        except ReadError as error:
            refused += 1
            assert SECRET not in str(error)
    assert refused > 23


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "meds.schema", None)
    with pytest.raises(Unsupported, match=r'pip install "chiasm\[ehr\]"'):
        EventReader().read(shard(tmp_path / "one.parquet"))
