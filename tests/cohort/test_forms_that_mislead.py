"""Tables whose form could be taken for another: each is read as it is meant, or asked about, never changed silently."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.cohort.dialect import Form
from chiasm.cohort.meeting import advice_on_strangers, meets_nobody
from chiasm.cohort.notation import are_dates
from chiasm.cohort.schema import LONG_KEY
from chiasm.cohort.tables import Table
from cohort_folder import CohortFolder


def table(folder: Path, text: str, **form: str) -> Table:
    (folder / "x.csv").write_text(text, encoding=form.get("encoding", "utf-8"), newline="")
    return Table(folder / "x.csv", "x.csv", Form(**form))  # type: ignore[arg-type]


def test_a_declared_point_is_the_decimal_sign(tmp_path: Path) -> None:
    found = table(tmp_path, "id;a\n1;1,234\n2;3,500\n", decimal=".")
    assert found.frame(["a"])["a"].tolist() == [1234, 3500]


@pytest.mark.parametrize(
    "text", ["id;bmi;codes\n1;22.125;1,2\n2;25.500;3\n", 'id,bmi,codes\n1,22.4,"1,2"\n2,23.1,"3"\n']
)
def test_points_and_commas_in_one_file_are_left_for_the_check(tmp_path: Path, text: str) -> None:
    found = table(tmp_path, text).frame(["bmi", "codes"])
    assert found["bmi"].max() < 26 and found["codes"].tolist() == ["1,2", "3"]


@pytest.mark.parametrize("cell", ["0.125", "1234.567"])
def test_what_is_no_group_of_thousands_is_no_number_beside_decimal_commas(tmp_path: Path, cell: str) -> None:
    found = table(tmp_path, f"id;a;b\n1;{cell};1,5\n2;1.234,5;2,5\n", decimal=",")
    assert found.frame(["a"])["a"].tolist() == [cell, "1.234,5"] and found.frame(["b"])["b"].tolist() == [1.5, 2.5]


def test_declared_categories_keep_their_spelling(tmp_path: Path) -> None:
    codes = ["250.1", "250.10", "01", "1", "1E5", "100000"]
    frame = pd.DataFrame({"id": [f"p{k}" for k in range(60)], "y": range(60), "icd": codes * 10})
    frame.to_csv(tmp_path / "x.csv", index=False)
    (tmp_path / "cohort.toml").write_text(
        '[patients]\ntable = "x.csv"\nid = "id"\n[target]\nkind = "regression"\ncolumn = "y"\n'
        '[modalities.clin]\nkind = "table"\ncolumns = ["icd"]\ncategories = ["icd"]\n'
    )
    cohort = chiasm.open_cohort(tmp_path / "cohort.toml")
    assert set(cohort.raw("clin")["icd"]) == set(codes) and cohort.column_kinds("clin") == {"icd": "category"}


def test_the_counter_that_pandas_writes_is_no_feature(tmp_path: Path) -> None:
    found = table(tmp_path, ",id,age\n3,p0,50\n0,p1,60\n")
    assert found.columns_of("table", "id") == ["age"]


@pytest.mark.parametrize(
    ("text", "form", "columns"),
    [
        ("id;note;x\n1;a\x0bb;2\n2;c;3\n", {}, ["id", "note", "x"]),
        ("id;a;b\n1;x\x85y;3\n2;z;4\n", {"encoding": "latin-1"}, ["id", "a", "b"]),
        ('id,"age\n(years)",x\n1,2,3\n', {}, ["id", "age\n(years)", "x"]),
        ("id;weight, kg;height, cm;x\n1;80,5;170,2;1\n2;81,5;171,2;2\n", {}, ["id", "weight, kg", "height, cm", "x"]),
        ("# made, by x\nid,a\np1,b\np2,c\n", {}, ["id", "a"]),
        ("#id,a\n#made, by x\np1,2\np2,3\n", {}, ["id", "a"]),
    ],
)
def test_the_header_is_found(tmp_path: Path, text: str, form: dict[str, str], columns: list[str]) -> None:
    assert table(tmp_path, text, **form).columns == columns


def test_a_cell_of_many_lines_at_the_end_of_the_first_ones_hides_no_separator(tmp_path: Path) -> None:
    rows = ["id;note;c", '1;"a\nb";x', *(f"{k};n;x" for k in range(2, 19)), '19;"one', "two", 'three";x', "20;n;x"]
    assert table(tmp_path, "\n".join(rows) + "\n").columns == ["id", "note", "c"]


def test_a_header_of_many_names_with_line_breaks_is_whole(tmp_path: Path) -> None:
    names = ["id", '"a\nb"', '"c\nd"', *(f"g{k}" for k in range(20_000))]
    found = table(tmp_path, ",".join(names) + "\n" + ",".join("1" for _ in names) + "\n")
    assert len(found.columns) == len(names) and len(found.frame(["g19999"])) == 1


def test_people_of_two_sites_do_not_meet_by_their_numbers() -> None:
    assert meets_nobody(np.array(["A1"]), np.array(["B1", "B2"]), "rna", "rna.csv") is None
    ids = np.array([f"X{k}" for k in range(30)])
    found = meets_nobody(ids, np.array([f"patient {k}" for k in range(30)]), "rna", "rna.csv")
    assert found is not None and "30 patients" in found.fix
    assert meets_nobody(np.array(["1", "2", "3"]), np.array(["901", "902"]), "rna", "rna.csv") is None


def test_titres_are_no_times_and_times_are() -> None:
    assert not are_dates(["1:10", "1:20", "1:40", "1:80"]).any()
    assert are_dates(["10:30", "1:20", "12:05"]).all() and are_dates(["00:10:30"]).all()


def test_another_column_of_the_targets_name_is_none_of_it() -> None:
    ids = [f"p{k}" for k in range(40)]
    patients = pd.DataFrame({"time": np.arange(40.0)}, index=ids)
    other = pd.DataFrame({"time": np.arange(40.0)[::-1]}, index=ids)
    assert len(chiasm.cohort_from_frames(patients, {"labs": other}, chiasm.Regression("time"))) == 40
    with pytest.raises(chiasm.CohortError, match="is the target's"):
        chiasm.cohort_from_frames(patients, {"labs": patients[["time"]]}, chiasm.Regression("time"))


@pytest.mark.parametrize("target", ["died", "months"])
def test_the_targets_column_in_a_table_of_its_own_is_refused(target: str, cohort_folder: CohortFolder) -> None:
    clinical = cohort_folder.clinical()
    table = clinical[["case_id", "age", target]].iloc[5:30]  # not of everybody
    cohort_folder.edit('columns = ["age", "sex"]', 'table = "labs.csv"')
    table.to_csv(cohort_folder.path / "labs.csv", index=False)
    (problem,) = [own for own in chiasm.check_cohort(cohort_folder.manifest) if own.severity == "error"]
    assert problem.finding == "target-as-input" and problem.path == "labs.csv" and target in problem.what
    table.assign(**{target: table[target].shift(fill_value="0")}).to_csv(cohort_folder.path / "labs.csv", index=False)
    assert not [own for own in chiasm.check_cohort(cohort_folder.manifest) if own.severity == "error"]


def test_a_frame_of_other_numbers_under_a_counting_index_is_not_the_targets() -> None:
    patients = pd.DataFrame({"y": np.arange(20.0)}, index=[str(k) for k in range(20)])
    other = pd.DataFrame({"y": np.arange(20.0)[::-1], "g": 1.0 + np.arange(20.0) % 3})
    cohort = chiasm.cohort_from_frames(patients, {"labs": other}, chiasm.Regression("y"))
    assert cohort.present.all()
    with pytest.raises(chiasm.CohortError, match="is the target's"):
        chiasm.cohort_from_frames(patients, {"labs": other.assign(y=np.arange(20.0))}, chiasm.Regression("y"))


def test_small_numbers_are_no_reason_to_refuse_a_block() -> None:
    ids = [f"p{k}" for k in range(20)]
    omics = pd.DataFrame({"g": np.geomspace(1e-60, 1, 20)}, index=ids)
    patients = pd.DataFrame({"y": np.arange(20.0)}, index=ids)
    cohort = chiasm.cohort_from_frames(patients, {"rna": omics}, chiasm.Regression("y"), kinds={"rna": "omics"})
    assert np.isfinite(cohort.raw("rna").to_numpy()).all()


def test_nothing_here_grows_faster_than_its_work(tmp_path: Path) -> None:
    start = time.process_time()
    assert LONG_KEY.search("a" * 100_000 + " = '" + "." * 70 + "'") is None
    assert advice_on_strangers(np.array(["p1"]), np.array([False]), [f"x{k}" for k in range(200_000)]) == ""
    words = pd.DataFrame(np.full((1_000, 200), "word"), columns=[f"c{k}" for k in range(200)]).assign(c0="")
    words.to_csv(tmp_path / "x.csv", index=False)
    assert Table(tmp_path / "x.csv", "x.csv").spelt_missing(list(words.columns)) == []
    assert time.process_time() - start < 5
