"""Labels of a MEDS dataset: records end at the time of prediction, and what is wrong is one sentence."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import chiasm
from chiasm.readers import ReadError
from chiasm.readers.record.labels import read_labels, records_until
from command_line import Run

DAY = pd.Timestamp("2026-01-31")


@pytest.fixture
def meds(tmp_path: Path) -> Path:
    """Two subjects: one of a birth, a static code and events at hours 0, 10 and 20; one of an event at hour 0."""
    pytest.importorskip("meds")
    born, first = pd.Timestamp("1960-01-31"), [DAY + pd.Timedelta(hours=own) for own in (0, 10, 20)]
    rows = [(1, pd.NaT, "SEX//F", None), (1, born, "MEDS_BIRTH", None), (2, DAY, "HR", 70.0)]
    rows += [(1, when, "HR", value) for when, value in zip(first, (80.0, 90.0, 100.0), strict=True)]
    frame = pd.DataFrame(rows, columns=["subject_id", "time", "code", "numeric_value"])
    folder = tmp_path / "meds"
    (folder / "data").mkdir(parents=True)
    frame.astype({"time": "datetime64[us]", "numeric_value": "float32"}).to_parquet(folder / "data" / "0.parquet")
    return folder


def labels(folder: Path, *rows: tuple[int, float, object], value: str = "boolean_value") -> Path:
    """Write labels of subjects at hours of `DAY`, beside an empty column, as aces-cli does."""
    frame = pd.DataFrame(
        {
            "subject_id": [own[0] for own in rows],
            "prediction_time": pd.to_datetime([DAY + pd.Timedelta(hours=own[1]) for own in rows]),
            value: [own[2] for own in rows],
        }
    )
    file = folder / "labels.parquet"
    frame.assign(**({"float_value": pd.NA} if value != "float_value" else {})).to_parquet(file)
    return file


def test_a_sample_holds_what_is_known_at_its_time_and_the_moment_itself(meds: Path, tmp_path: Path) -> None:
    found = records_until(labels(tmp_path, (1, 15.0, False), (1, 10.0, True), (2, -5.0, None)), meds)
    assert found.samples.to_numpy().tolist() == [
        ["1-1", "1", 10.0, 1],
        ["1-2", "1", 15.0, 0],
        ["2-1", "2", 0.0, pd.NA],
    ]
    for sample, values in (("1-1", [80.0, 90.0]), ("1-2", [80.0, 90.0])):
        own = found.events[found.events["sample"] == sample]
        assert own["code"].tolist() == ["MEDS_BIRTH", "HR", "SEX//F", "HR"]
        assert own["hours"].tolist()[1:] == [0.0, 0.0, 10.0] and own["hours"].iloc[0] < -500_000
        assert own["numeric_value"].dropna().tolist() == values
    assert found.without == 1 and found.kind == "classification"


def test_the_cohort_that_is_written_opens_and_passes_the_check(meds: Path, tmp_path: Path) -> None:
    out = tmp_path / "cohort"
    chiasm.label_records(meds, labels(tmp_path, (1, 10.0, True), (1, 20.0, False), (2, 1.0, True)), out)
    cohort = chiasm.open_cohort(out / "cohort.toml")
    assert cohort.group is not None and cohort.group.tolist() == ["1", "1", "2"]
    assert cohort.index_hours["events"].tolist() == [10.0, 20.0, 1.0]
    assert cohort.outcome is not None and cohort.target is not None and cohort.target.names == ("0", "1")
    assert not [own for own in chiasm.check_cohort(cohort) if "index" in own.finding]


def test_the_command_writes_it_and_says_so(meds: Path, tmp_path: Path, run: Run) -> None:
    command = [
        "label",
        str(meds),
        str(labels(tmp_path, (1, 10.0, True), (2, 1.0, False))),
        "--out",
        str(tmp_path / "c"),
    ]
    assert "2 samples of 2 subjects, 5 events" in run(*command)[1]
    code, _, said = run(*command)
    assert code == 2 and "already" in said


def test_what_cannot_be_read_is_one_sentence(meds: Path, tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="two labels at one time"):
        read_labels(labels(tmp_path, (1, 1.0, True), (1, 1.0, False)))
    with pytest.raises(ReadError, match="no column of the table holds labels"):
        read_labels(labels(tmp_path, (1, 1.0, None)))
    with pytest.raises(ReadError, match="subjects or of times of prediction is missing"):
        pd.DataFrame({"subject_id": [1]}).to_parquet(tmp_path / "half.parquet")
        read_labels(tmp_path / "half.parquet")
    (tmp_path / "text.parquet").write_text("subject_id")
    with pytest.raises(ReadError, match="damaged or not Parquet"):
        read_labels(tmp_path / "text.parquet")
    with pytest.raises(ReadError, match="no table of labels"):
        read_labels(tmp_path / "nothing.parquet")
    with pytest.raises(chiasm.CohortError, match="no subject of the labels"):
        chiasm.label_records(meds, labels(tmp_path, (7, 1.0, True)))
    with pytest.raises(ReadError, match="boolean_value holds something else"):
        read_labels(labels(tmp_path, (1, 1.0, "perhaps")))
    assert read_labels(labels(tmp_path, (1, 1.0, 3), value="integer_value"))[1] == "regression"
