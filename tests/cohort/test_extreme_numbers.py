"""Numbers near the ends of double precision, and whole numbers of hundreds of digits, are named with column and row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from chiasm import check_cohort
from chiasm.cohort import Classification, Multilabel, Regression, Survival, cohort_from_frames
from chiasm.cohort.manifest import open_cohort
from chiasm.targets.reach import is_extreme

LARGE = ["1.7e308", "-1.7e308", "1e400", "5e-324", "-1e-200", "1e120", "1" + "0" * 400, "9" * 5000, "1" + "0" * 101]
IDS = [f"p{k:02d}" for k in range(36)]
MANIFEST = """\
[patients]
table = "p.csv"
id = "id"
[target]
kind = "regression"
column = "y"
[modalities.labs]
kind = "table"
columns = ["u", "v"]
"""


def manifest(folder: Path, text: str, cells: dict[str, str]) -> Path:
    frame = pd.DataFrame({"id": IDS, "y": np.arange(36) + 0.5, "u": np.arange(36) * 1.5, "v": np.arange(36) % 5 + 0.5})
    frame["event"] = np.arange(36) % 2
    frame = frame.astype(str)
    for column, value in cells.items():
        frame.loc[5, column] = value
    frame.to_csv(folder / "p.csv", index=False)
    (folder / "cohort.toml").write_text(text)
    return folder / "cohort.toml"


@pytest.mark.parametrize("value", LARGE, ids=range(len(LARGE)))
@pytest.mark.parametrize("where", ["u", "y", "time"])
def test_check_names_column_and_row_and_no_value(value: str, where: str, tmp_path: Path) -> None:
    text = MANIFEST
    if where == "time":
        text = text.replace('kind = "regression"\ncolumn = "y"', 'kind = "survival"\ntime = "y"\nevent = "event"')
    cohort = open_cohort(manifest(tmp_path, text, {"y" if where == "time" else where: value}))
    errors = [own for own in check_cohort(cohort) if own.severity == "error"]
    assert errors and all(own.row == 7 for own in errors), errors
    said = " ".join(map(str, errors))
    assert f"'{'u' if where == 'u' else 'y'}'" in said and value not in said


@pytest.mark.parametrize("value", [10**400, -(10**400), 10**5000, 1.7e308, np.float64(5e-324)], ids=range(5))
def test_so_does_a_cohort_of_frames(value: object) -> None:
    patients = pd.DataFrame({"y": np.arange(36) + 0.5, "t": np.arange(36) + 1.0, "e": np.arange(36) % 2}, index=IDS)
    labs = pd.DataFrame({"u": np.arange(36) * 1.5}, index=IDS, dtype=object)
    labs.iloc[5, 0] = value
    cohort = cohort_from_frames(patients[["y"]], {"labs": labs}, target=Regression("y"))
    errors = [own for own in check_cohort(cohort) if own.severity == "error"]
    assert [own.row for own in errors] == [7] and "'u'" in str(errors[0])
    patients["y"] = patients["y"].astype(object)
    patients.iloc[5, 0] = value
    patients["t"] = patients["y"]
    plain = pd.DataFrame({"u": np.arange(36) * 1.5}, index=IDS)
    for target in (Regression("y"), Survival("t", event="e")):
        errors = [
            own
            for own in check_cohort(cohort_from_frames(patients, {"labs": plain}, target=target))
            if own.severity == "error"
        ]
        assert errors and errors[0].row == 7


def test_units_of_any_measurement_are_not_extreme() -> None:
    values = np.array([0.0, np.nan, 1e-9, 1e-30, -1e30, 6e23, 1e9 * 1e80, 1e-99])
    assert not is_extreme(values).any()
    assert is_extreme(np.array([1.1e100, -1e308, 5e-324])).all()


@pytest.mark.parametrize("value", [10**400, 10**5000], ids=["400 digits", "5,000 digits"])
def test_a_whole_number_of_any_length_may_be_a_name(value: int) -> None:
    """Of a class, a status, a label, a group or a patient; Python itself writes no more than 4,300 digits."""
    labs = pd.DataFrame({"u": np.arange(len(IDS)) * 1.5}, index=IDS)
    patients = pd.DataFrame(
        {"y": np.arange(len(IDS)) % 2, "t": np.arange(len(IDS)) + 1.0, "g": np.arange(len(IDS)) % 3}, index=IDS
    )
    patients = patients.astype(object)
    patients.iloc[5, 2] = value
    grouped = cohort_from_frames(patients, {"labs": labs}, Classification("y"), group="g")
    assert grouped.group is not None and len(set(grouped.group)) == 4
    patients.iloc[5, 0] = value
    target = cohort_from_frames(patients, {"labs": labs}, Classification("y")).target
    assert isinstance(target, Classification) and len(target.classes) == 3
    for own in (Survival("t", event="y"), Multilabel(("y",))):
        (problem,) = cohort_from_frames(patients, {"labs": labs}, own).findings
        assert problem.row == 7 and problem.what == "column 'y' is neither 0 nor 1"
    names = pd.Index([*range(1, len(IDS)), value], dtype=object)
    cohort = cohort_from_frames(patients[["g"]].set_axis(names, axis=0), {"labs": labs.set_axis(names, axis=0)})
    assert len(cohort) == len(IDS) and len(cohort.rows_of("labs")) == len(IDS)
