"""Tables as spreadsheets, R and pandas write them: what is unambiguous is read, the rest its owner says."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.cohort import CohortError
from chiasm.cohort.tables import Table

N = 12
FRAME = pd.DataFrame(
    {"id": [f"p{i:02d}" for i in range(N)], "age": [60.5 + i for i in range(N)], "sex": ["m", "f"] * 6}
)
FRAME["y"] = ["a", "b"] * 6


def write(folder: Path, content: str | bytes, *, keys: str = "", name: str = "patients.csv") -> Path:
    data = content.encode() if isinstance(content, str) else content
    (folder / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    (folder / "cohort.toml").write_text(
        f'[patients]\ntable = "{name}"\nid = "id"\n{keys}[target]\nkind = "classification"\ncolumn = "y"\n'
        '[modalities.clin]\nkind = "table"\ncolumns = ["age", "sex"]\n'
    )
    return folder / "cohort.toml"


def semicolons(decimal: str = ",") -> str:
    return FRAME.to_csv(sep=";", decimal=decimal, index=False)


def short_header() -> str:
    lines = FRAME.to_csv(index=False).splitlines()
    return "\n".join([lines[0].removeprefix("id,"), *lines[1:]])


COMMAS = FRAME.to_csv(index=False)
READ: dict[str, str | bytes] = {
    "commas": COMMAS,
    "semicolons and decimal commas": semicolons(),
    "semicolons and decimal points": semicolons("."),
    "tabs in a .csv": FRAME.to_csv(sep="\t", index=False),
    "bars": FRAME.to_csv(sep="|", index=False),
    "a spreadsheet's sep=;": "sep=;\n" + semicolons(),
    "a spreadsheet's sep=,": "sep=,\r\n" + COMMAS,
    "a quoted sep": '"sep=,"\n' + COMMAS,
    "comments": "# written by a tool, in May\n# version 2\n" + COMMAS,
    "a hash before the names": "#" + COMMAS,
    "comments and a hash": "## version 2\n#" + COMMAS,
    "UTF-8 with a mark": b"\xef\xbb\xbf" + COMMAS.encode(),
    "UTF-16": COMMAS.encode("utf-16"),
    "UTF-16, big end first": b"\xfe\xff" + COMMAS.encode("utf-16-be"),
    "UTF-16 without a mark": COMMAS.encode("utf-16-le"),
    "UTF-16, semicolons, sep": ("sep=;\r\n" + semicolons()).encode("utf-16"),
    "R's short header": short_header(),
    "R's short header, quoted": short_header().replace("age,sex,y", '"age","sex","y"'),
    "pandas' index without a name": FRAME.set_index("id").rename_axis(None).to_csv(),
    "commas at the end of each row": COMMAS.replace("\n", ",\n"),
    "Windows' ends of lines": COMMAS.replace("\n", "\r\n"),
    "names in quotes and spaces": COMMAS.replace("id,age,sex,y", '"id" , "age","sex"," y"'),
    "semicolons in quotes": COMMAS.replace("sex", '"sex"'),
    "quoted decimal commas": FRAME.assign(age=FRAME["age"].astype(str).str.replace(".", ",")).to_csv(index=False),
}


@pytest.mark.parametrize("how", READ)
def test_what_is_unambiguous_is_read(how: str, tmp_path: Path) -> None:
    name = "patients.csv.gz" if how == "comments" else "patients.csv"
    cohort = chiasm.open_cohort(write(tmp_path, READ[how], name=name))
    assert cohort.ids.tolist() == FRAME["id"].tolist()
    raw = cohort.raw("clin")
    assert raw["age"].tolist() == FRAME["age"].tolist() and raw["sex"].tolist() == FRAME["sex"].tolist()
    assert not [p for p in chiasm.check_cohort(cohort) if p.severity == "error"]


TOLD: dict[str, tuple[str | bytes, str]] = {
    "missing marks": (COMMAS.replace("60.5", "-").replace("61.5", "ND"), 'missing = ["-", "ND"]\n'),
    "latin-1": (COMMAS.replace("m", "männlich").encode("latin-1"), 'encoding = "latin-1"\n'),
    "colons": (COMMAS.replace(",", ":"), 'separator = ":"\n'),
    "decimal commas that look like thousands": (
        FRAME.assign(age=[f"{i},125" for i in range(10, 10 + N)]).to_csv(sep=";", index=False),
        'decimal = ","\n',
    ),
    "thousands in groups": (
        FRAME.assign(age=[f"{i},125" for i in range(10, 10 + N)]).to_csv(index=False),
        'decimal = "."\n',
    ),
    "points in groups": (
        FRAME.assign(age=[f"{i}.125" for i in range(10, 10 + N)]).to_csv(index=False),
        'decimal = ","\n',
    ),
}
AGES = {
    "missing marks": [np.nan, np.nan, *FRAME["age"][2:]],
    "decimal commas that look like thousands": [i + 0.125 for i in range(10, 10 + N)],
    "thousands in groups": [1000.0 * i + 125 for i in range(10, 10 + N)],
    "points in groups": [1000.0 * i + 125 for i in range(10, 10 + N)],
}


@pytest.mark.parametrize("how", TOLD)
def test_what_cannot_be_told_is_said_in_the_manifest(how: str, tmp_path: Path) -> None:
    content, keys = TOLD[how]
    raw = chiasm.open_cohort(write(tmp_path, content, keys=keys)).raw("clin")
    np.testing.assert_array_equal(raw["age"].to_numpy(dtype=float), AGES.get(how, FRAME["age"].tolist()))
    if how == "latin-1":
        assert set(raw["sex"]) == {"männlich", "f"}


def test_decimal_commas_beside_points_are_asked_about(tmp_path: Path) -> None:
    frame = FRAME.assign(age=[f"{i},5" for i in range(N)], sex=[f"{i}.250" for i in range(1, N + 1)])
    manifest = write(tmp_path, frame.to_csv(sep=";", index=False))
    (problem,) = [own for own in chiasm.check_cohort(manifest) if own.severity == "error"]
    assert problem.finding == "numbers-in-text" and "'age'" in problem.what and "decimal" in problem.fix
    told = write(tmp_path, frame.to_csv(sep=";", index=False), keys='decimal = ","\n')
    raw = chiasm.open_cohort(told).raw("clin")
    assert raw["sex"].tolist() == [1000.0 * i + 250 for i in range(1, N + 1)]
    assert raw["age"].tolist() == [i + 0.5 for i in range(N)]


def test_decimal_commas_of_a_survival_time_are_read_or_told_of(tmp_path: Path) -> None:
    frame = FRAME.assign(days=[f"{i + 1},5" for i in range(N)], died=[i % 2 for i in range(N)])
    for content in (frame.to_csv(sep=";", decimal=",", index=False), frame.to_csv(index=False)):
        manifest = write(tmp_path, content)
        manifest.write_text(
            manifest.read_text().replace(
                'kind = "classification"\ncolumn = "y"', 'kind = "survival"\ntime = "days"\nevent = "died"'
            )
        )
        cohort = chiasm.open_cohort(manifest)
        assert cohort.outcome is not None
        if ";" in content:
            assert cohort.outcome.value.tolist() == [i + 1.5 for i in range(N)] and not cohort.findings
        else:
            assert "'days' is not a number" in cohort.findings[0].what and "point" in cohort.findings[0].fix


def test_what_may_be_thousands_or_decimals_is_an_error(tmp_path: Path) -> None:
    frame = FRAME.assign(age=[f"{i},125" for i in range(10, 10 + N)])
    (problem,) = [p for p in chiasm.check_cohort(write(tmp_path, frame.to_csv(index=False))) if p.severity == "error"]
    assert problem.finding == "numbers-in-text" and 'decimal = ","' in problem.fix


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (COMMAS.replace(",", ":"), r'name what separates them, as in separator = ";"'),
        (COMMAS.replace("m", "ä").encode("latin-1"), 'is not UTF-8 text; .*encoding = "latin-1"'),
        (COMMAS.replace("id,", "").encode() + b"\0\1\2", "binary"),
        ("", "the file is empty"),
        ("# only comments\n# and more", "no such column 'id'"),
        (FRAME.drop(columns="id").to_csv(), "only counts the rows: name the one that holds the identifiers"),
        ("\n" + COMMAS, "has no header"),
    ],
)
def test_what_cannot_be_read_says_what_to_do(content: str | bytes, words: str, tmp_path: Path) -> None:
    with pytest.raises(CohortError, match=words):
        chiasm.open_cohort(write(tmp_path, content))


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ('decimal = "x"\n', "hold a decimal sign that is none"),
        ('separator = "ab"\n', "not one character"),
        ('separator = ","\ndecimal = ","\n', "one character as separator and as decimal sign"),
        ('encoding = "klingon"\n', "an encoding that is not known"),
        ('missing = "-"\n', "wrong type"),
    ],
)
def test_keys_that_say_nothing_sensible_are_refused(keys: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(CohortError, match=words):
        chiasm.open_cohort(write(tmp_path, COMMAS, keys=keys))


def test_two_sections_may_not_say_two_things_of_one_table(tmp_path: Path) -> None:
    manifest = write(tmp_path, COMMAS, keys='missing = ["-"]\n')
    more = '[modalities.more]\nkind = "table"\ntable = "patients.csv"\ncolumns = ["age"]\nmissing = ["ND"]\n'
    manifest.write_text(manifest.read_text() + more)
    with pytest.raises(CohortError, match="say of one table what another section does not"):
        chiasm.open_cohort(manifest)
    manifest.write_text(manifest.read_text().replace('table = "patients.csv"\ncolumns', "columns"))
    with pytest.raises(CohortError, match="belong to the section that names the table"):
        chiasm.open_cohort(manifest)


@pytest.mark.parametrize("index", ["named", "unnamed", "a range with a name"])
def test_the_index_of_pandas_in_parquet_is_read(index: str, tmp_path: Path) -> None:
    write(tmp_path, COMMAS)
    frame = FRAME.set_index("id")
    if index == "unnamed":
        frame = frame.rename_axis(None)
    if index.startswith("a range"):
        frame = frame.set_axis(pd.RangeIndex(5, 5 + N, name="id"), axis=0)
    frame.to_parquet(tmp_path / "patients.parquet")
    manifest = tmp_path / "cohort.toml"
    manifest.write_text(manifest.read_text().replace("patients.csv", "patients.parquet"))
    cohort = chiasm.open_cohort(manifest)
    expected = sorted(map(str, range(5, 5 + N))) if index.startswith("a range") else FRAME["id"].tolist()
    assert cohort.ids.tolist() == expected and sorted(cohort.raw("clin")["age"]) == FRAME["age"].tolist()


def test_an_index_of_parquet_that_only_counts_is_no_identifier(tmp_path: Path) -> None:
    write(tmp_path, COMMAS)
    FRAME.drop(columns="id").to_parquet(tmp_path / "patients.parquet")
    manifest = tmp_path / "cohort.toml"
    manifest.write_text(manifest.read_text().replace("patients.csv", "patients.parquet"))
    with pytest.raises(CohortError, match="only counts the rows"):
        chiasm.open_cohort(manifest)


def test_levels_and_classes_spelt_as_missing_values_are_said(tmp_path: Path) -> None:
    spelt = FRAME.assign(sex=["None", "mild", "None"] * 4, y=["NA", "EU"] * 6).to_csv(index=False)
    found = [p for p in chiasm.check_cohort(write(tmp_path, spelt)) if p.finding == "spelt-missing"]
    assert len(found) == 2 and all("missing = []" in p.fix for p in found)
    cohort = chiasm.open_cohort(write(tmp_path, spelt, keys="missing = []\n"))
    assert cohort.target.classes == ("EU", "NA") and set(cohort.raw("clin")["sex"]) == {"None", "mild"}
    assert not [p for p in chiasm.check_cohort(cohort) if p.finding == "spelt-missing"]


def test_classes_that_differ_in_case_are_said(tmp_path: Path) -> None:
    spelt = FRAME.assign(y=["case", "Case", "control"] * 4).to_csv(index=False)
    found = [p for p in chiasm.check_cohort(write(tmp_path, spelt)) if p.finding == "spelt-differently"]
    assert [p.severity for p in found] == ["warning"] and "'y'" in found[0].what


def test_rows_of_messages_count_from_the_header(tmp_path: Path) -> None:
    write(tmp_path, "# a comment\n" + COMMAS.replace("62.5", "<5"))
    (problem,) = [p for p in chiasm.check_cohort(tmp_path / "cohort.toml") if p.severity == "error"]
    assert problem.row == 4
    assert len(Table(tmp_path / "patients.csv", "patients.csv")) == N
