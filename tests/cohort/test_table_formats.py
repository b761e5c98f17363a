"""The same table is the same cohort in whatever format it comes: identifiers, values, features, predictions."""

from __future__ import annotations

import base64
import gzip
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyreadstat
import pytest

import chiasm
from chiasm.cohort import CohortError
from chiasm.cohort.tables import Table
from read_here import read_here

N = 36
MANIFEST = """
[patients]
table = "{name}"
id = "ID"
[target]
kind = "classification"
column = "Y"
[modalities.clin]
kind = "table"
columns = ["AGE", "SEX", "MARKER"]
[modalities.omics]
kind = "omics"
columns = ["G0", "G1"]
"""
# `sample.sas7bdat` and `missing_test.sas7bdat` of the tests of pyreadstat (Apache-2.0), packed: SAS alone writes such.
SAS = """
H4sIAAAAAAACA+3Vz4uUZRwA8PfdHXUqSRfmYBA0WOAeatl1lk0hcEZ2U2G3hJ1Dgv1YXU1pR0E0XAjaoIMHoR94KTp06A8IvEQUmR7yZmSHwA7VoYN0
MAxNU7d533nn19NuLqaH6vOB533m+53n+z7PO88zM1HUdvriGy+dLPSd+/zdfHTfV0PH1zyyuq+0NiqV4p6huDGkEEW9cVe+FD9aigqFqNgbN+8zWZks
Pr1tfGyyMrF9fKx4x0Yr1UrSJ/dct/eh/MvvXKg0+3Si4mfldp9MH0dx1G3jwODw4NBEaXz/gSNHO/LrB0YGSuufGNk4MjC0YeDJgaAsOrph5MWR4Xac
zPtK/6u1ZgvHf7PlTKVznREAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAMC/zPktZyoL
5U9czl70FKJV9e67G42wv7d73Kksvyao33e90T/X053/+Fqj/6SZiBvdzixfDfJf/97ojwf5Y1l+a5DfmuXLwXryi+TPXl04f2yR/NZF8vlF8mev/H0+
WH70/nuJXzclr+fOfVsvm4tOHryQ7dGlTZ19+Ycfy1NZXSl1uZHf//2p+s6sevbTn76MuqdP++Lzv5V3ZYm9ic1vnVr4dDTny7eWv7uzbu+VL9LgXJTM
M/dz//LT3fNl65z5pTzdPV/j/Vvz81198HxJfo+vKAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA
AAAAAHfBrT/mU2G+EPWmre3DKFe/fpBeb1+/st6KXZm308rjd1w/l1a+tsT6RH9XNBPl69fp9Hr7+vuz1laNltev4+n1TtZfTlf+1BLXH2etbTCNHw+y
txrl88PR2dej9P2GFdED9ZErsmh5ayeX1XNxvepGMOON7D5HW7O11xHlelrj0k8vF7c+xWa8OojXBHExiPuDuFO2lPlyK/NY9qkP19efGM3inVl8OIvf
zOITwS5F0c3snh915IqB0Uq1Mlkd216b3b1v6lAya6PVZg8cqdX7zWOT1aTVZqenDu+Joh07JiZGR9v99OH9tT3J6irVseq2ibHKMztGq6PVidrszNSu
mc76g4emu+7XKExqkrbQxjTXnWvt772xckX3eYhbJ6jjPHTEN4NxuWBcLtjTuHUOu8ctC85zHDxnGGdfm/nbPc/1JY67tsRx/xVX6hY6R1frkv5SFvcF
7/cNrk37DcG+hcL7Nn+X1nX9wrW9kOs+J/P/s/34p85vOVO5G/dp7kpPED8YxKuDuBDE+Xv2pPmOf9BCxzwr09cPL3HmXH2l8V/+JWqtWy9b/KNJ/Qkg
OSmHAAACAA==
"""
SAS_MISSING = """
H4sIAAAAAAACA+3WT4hUdRwA8N+bXd21NN11LAPDwToY6DLrbNtuGO7AWgq6CLuBVKKBUQaJJYYHwfbWoVME2b2gg4nQsYKIIG91DOqWdRCEjci/q9Pb
fW/cnZ87rPbyIH4+7JvvfL/zvu837/3e782GMOf7C5MHvir3/PTtR91h2Y/9H65dv6qntiHUakmpP8l2KYfQkbTUa8mTtVAuh0pH0jzOeH288sLOXdt3
7xwf3zn24v6J7eMTlf9gtD5Rn4kzx3z991eqz339a70ZZweqnB6ZizPDJyEJrYb7qgPV/t21XYcOHzs+r76lb7CvtmXz4HAaqn39fVFbOD40uH9wYC6f
GffpLwdeam7x/q+embw4/3sGAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAACA+8y+M5MX
F6pf/zt/U+oNPWn4ZTpLN3a07vddXl8b9b95LYt7S6317rx+oFlIsvDZ1SwejOpXrmTxdFQ/m9d3RPUjeX0k+j7VNvWpywvXz7apH2lTr7apT11qc/w2
9SOL1KPTzdxoNGbjdB6v5/HPPP6Rx/N5bOTxZh7D1LbpvxYe95s29RNt6lvb1Ken2hy/Tf1Em/rWRerx9em5sHny00/eeX5uQraF0ZGwbvYvhHrlbvTV
4/ztQ0ePHjr8Rvp+bGxskW4PGwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAeaDevN2bdXVel
9Hih/s7S6kL955M1hfrPJT2F+r9IHi3U/3GyolD/iWRlof6DySOF+keTYvO/qeD465KHit1/Bed/KhQb/7dQbP5/CMWu3+mC/acK9r8fegv1HwiPFeof
CQXv3/Bwsz9rb+wN507O5Hvy+prwREjS158/eKv8+cmZp9XSW9dsZegM1xul0BUuN/5pTDV6Q0daLadbo7E6LA/d6bue2TtsRcuo082xkixf33wa3xe/
Gfof1P6NIWntz+/jgXzNbMrry9JVlaSvV4ZfTtdMSNfB0nSllGY/6QpL0lWSLLgeTkXjdWeP+CzOy1dF+door0T5xiivRvlQlI9E+Xz5V23suVV5Kj23
7OyzWM3jQB6H8rg1jyN5HM3jjjzOuZGPsWuuVK5ERusT9fGJ7Xvee+3d/nq6Qxq3pFst3QbS7Zl0G0y3Z9NtKN2GF7rgzevdHL/rHj1nlne1znPzii7N
Y5zfiPbrjPbrjOaiWV8S7bckuk+T6DzjPF8Oi66Ha3e439VGsfV5v7mUytZ/q8up7L+tzOro857qhnwltM5LbNltv97NFRgW7DzY0XqfNB6w+Shq35nJ
i//HcZqzUoryVVHeu0jefc/OtHveM7g8b5zsf7h1dzhyZ/pNk9ue5sc6Qvv7uqX0L2nko/sAAAIA
"""
WRITERS: dict[str, Callable[[pd.DataFrame, Path], Any]] = {
    ".csv": lambda frame, path: frame.to_csv(path, index=False),
    ".parquet": lambda frame, path: frame.to_parquet(path, index=False),
    ".xlsx": lambda frame, path: frame.to_excel(path, index=False, engine="openpyxl"),
    ".sav": lambda frame, path: pyreadstat.write_sav(frame, path),
    ".zsav": lambda frame, path: pyreadstat.write_sav(frame, path, compress=True),
    ".por": lambda frame, path: pyreadstat.write_por(frame, path),
    ".dta": lambda frame, path: pyreadstat.write_dta(frame, path),
    ".xpt": lambda frame, path: pyreadstat.write_xport(frame, path, file_format_version=8),
}


@pytest.fixture(autouse=True)
def here(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read the files of statistics programs in this process, but for a test that asks for `elsewhere`."""
    if "elsewhere" not in request.fixturenames:
        read_here(monkeypatch)


@pytest.fixture
def elsewhere() -> None:
    """Ask for the process in which the files are read."""


def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    found = pd.DataFrame(
        {
            "ID": [f"{number:03d}" for number in range(N)],
            "AGE": np.round(rng.normal(60, 9, N), 1),
            "SEX": rng.choice(["male", "female"], N),
            "MARKER": [str(round(value, 2)) for value in rng.normal(5, 1, N)],  # numbers, stored as text
            "G0": rng.integers(0, 90, N) / 8,
            "G1": rng.normal(size=N).round(3),
            "Y": ["a", "b"] * (N // 2),
        }
    )
    found.loc[3, "AGE"] = np.nan
    found.loc[4, "SEX"] = None
    return found


def opened(folder: Path, suffix: str) -> chiasm.Cohort:
    WRITERS[suffix](frame(), folder / f"study{suffix}")
    (folder / "cohort.toml").write_text(MANIFEST.format(name=f"study{suffix}"))
    return chiasm.open_cohort(folder / "cohort.toml")


@cache
def expected() -> tuple[list[str], dict[str, pd.DataFrame], str, pd.DataFrame, Any]:
    own = frame().assign(MARKER=lambda x: x["MARKER"].astype(float)).set_index("ID")
    columns = {"clin": own[["AGE", "SEX", "MARKER"]], "omics": own[["G0", "G1"]]}
    cohort = chiasm.cohort_from_frames(own, columns, chiasm.Classification("Y"), kinds={"omics": "omics"})
    model = chiasm.fit(cohort, "early-fusion", seed=0)
    raw = {name: cohort.raw(name) for name in cohort.modalities}
    return list(cohort.ids), raw, cohort.fingerprint, model.predict(cohort), model


@pytest.mark.parametrize("suffix", [suffix for suffix in WRITERS if suffix != ".parquet"])
def test_every_format_is_the_same_cohort(suffix: str, tmp_path: Path) -> None:
    ids, raw, fingerprint, predictions, model = expected()
    cohort = opened(tmp_path, suffix)
    assert list(cohort.ids) == ids
    for name, values in raw.items():
        pd.testing.assert_frame_equal(cohort.raw(name).reset_index(drop=True), values.reset_index(drop=True))
    assert cohort.fingerprint == fingerprint
    pd.testing.assert_frame_equal(model.predict(cohort), predictions, check_exact=True)
    assert [problem for problem in chiasm.check_cohort(tmp_path) if problem.severity == "error"] == []


def read(path: Path, frame: pd.DataFrame, form: Any = None, **options: Any) -> Table:
    writer = {".sav": pyreadstat.write_sav, ".dta": pyreadstat.write_dta, ".xpt": pyreadstat.write_xport}[path.suffix]
    writer(frame, path, **options)
    return table(path, form)


def table(path: Path, form: Any = None) -> Table:
    found = Table(path, path.name, form)
    found.inspect()
    return found


def test_numbers_that_are_identifiers_lose_their_point(tmp_path: Path) -> None:
    codes = pd.DataFrame({"id": [7.0, 12.0, 1e6], "x": [1.5, 2.5, 3.5]})
    assert read(tmp_path / "a.sav", codes).texts("id").tolist() == ["7", "12", "1000000"]
    assert read(tmp_path / "a.sav", codes.assign(id=["007", "12 ", "A"])).texts("id").tolist() == ["007", "12", "A"]


@pytest.mark.parametrize("suffix", [".sav", ".dta"])
def test_codes_that_all_carry_labels_are_words(suffix: str, tmp_path: Path) -> None:
    codes = pd.DataFrame({"sex": [1.0, 2.0, np.nan], "age": [40.0, 99.0, 41.0], "plain": [1.0, 2.0, 3.0]})
    labels = {"sex": {1: "male", 2: "female"}, "age": {99: "unknown"}}
    found = read(tmp_path / f"a{suffix}", codes, variable_value_labels=labels)
    assert found.frame()["sex"].tolist()[:2] == ["male", "female"] and pd.isna(found.frame()["sex"][2])
    assert found.labelled == ("sex",)
    assert found.frame()["age"].tolist() == [40.0, 99.0, 41.0]  # and the one labelled code is told
    (note,) = found.findings
    assert note.finding == "labels-in-part" and "'age'" in note.what and note.row == 3 and "unknown" not in note.what
    by_code = table(tmp_path / f"a{suffix}", chiasm.cohort.dialect.Form(labels=False))
    assert by_code.frame()["sex"].tolist()[:2] == [1.0, 2.0] and by_code.labelled == () and by_code.findings == []


def labelled(path: Path, labels: dict[str, dict[Any, str]], form: Any = None, **columns: list[float]) -> Table:
    return read(path, pd.DataFrame(columns), form, variable_value_labels=labels)


def test_labels_are_words_whatever_they_look_like(tmp_path: Path) -> None:
    labels = {
        "severity": {0: "None", 1: "NA", 2: "null"},
        "age": {1: "<30", 2: "30-59", 3: ">=60"},
        "scale": {1: "10", 2: "20", 3: "30"},
        "year": {1: "2019-20", 2: "2020-21", 3: "2021-22"},
        "truth": {1: "FALSE", 2: "TRUE", 3: "5,5"},
    }
    codes = {name: list(map(float, own)) for name, own in labels.items()}
    columns = {**codes, "id": [1.0, 2.0, 3.0]}
    found = labelled(tmp_path / "a.sav", labels, **columns)
    for name, own in labels.items():
        assert found.frame()[name].tolist() == list(own.values())
    assert found.spelt_missing(list(labels)) == []
    told = labelled(tmp_path / "b.sav", labels, chiasm.cohort.dialect.Form(missing=("None",)), **columns)
    assert told.frame()["severity"].isna().tolist() == [True, False, False]
    manifest = '[patients]\ntable = "a.sav"\nid = "id"\n[modalities.m]\nkind = "table"\ncolumns = '
    (tmp_path / "cohort.toml").write_text(manifest + str(list(labels)))
    assert [own for own in chiasm.check_cohort(tmp_path) if own.severity == "error"] == []
    cohort = chiasm.open_cohort(tmp_path)
    assert set(cohort.column_kinds("m").values()) == {"category"}
    assert cohort.raw("m")["scale"].tolist() == ["10", "20", "30"]


def test_words_or_numbers_hang_on_the_labels_and_not_on_the_rows(tmp_path: Path) -> None:
    labels = {
        "pain": {0: "none", 10: "worst"},
        "sex": {1: "male", 2: "female", 9: "unknown"},
        "same": {1: "a", 2: "a"},
        "one": {99: "unknown"},
        "count": {0: "none", 1: "one"},
        "land": {4: "A", 8: "B", 12: "C", 100: "D"},
    }
    columns = {
        "pain": [0.0, 5.0, 10.0, 3.0], "sex": [1.0, 2.0, 9.0, 1.0], "same": [1.0, 2.0, 2.0, 1.0],
        "one": [40.0, 99.0, 41.0, 42.0], "count": [0.0, 4.0, 7.0, 2.0], "land": [4.0, 8.0, 12.0, 100.0],
    }  # fmt: skip
    found = labelled(tmp_path / "a.sav", labels, **columns)
    assert found.labelled == ("sex", "land")
    # of new patients all at an end of the scale, and one of a code without a label
    ends = {**columns, "pain": [0.0, 10.0, 0.0, 10.0], "sex": [1.0, 2.0, 3.0, 1.0]}
    new = labelled(tmp_path / "b.sav", labels, **ends)
    assert new.labelled == ("sex", "land") and new.frame()["pain"].tolist() == ends["pain"]
    assert new.frame()["sex"].tolist() == ["male", "female", "3", "male"]
    (note,) = [own for own in new.findings if "'sex'" in own.what]
    assert note.finding == "labels-in-part" and note.row == 4


def test_identifiers_and_groups_go_by_their_codes(tmp_path: Path) -> None:
    names = {1: "Meier", 2: "Huber", 3: "Bauer"}
    found = labelled(tmp_path / "a.sav", {"id": names, "x": names}, id=[1.0, 2.0, 3.0], x=[1.0, 2.0, 3.0])
    assert found.texts("id").tolist() == ["1", "2", "3"]
    assert found.cells("x").tolist() == ["Meier", "Huber", "Bauer"] == found.frame()["x"].tolist()


@pytest.mark.parametrize(
    ("words", "right"),
    [
        ({0: "Censored", 1: "Died of disease"}, [0, 1]),
        ({0: "dead", 1: "alive"}, [1, 0]),  # what the words say counts before the codes
        ({0: "No", 1: "Yes"}, [0, 1]),
    ],
)
def test_an_event_goes_by_words_that_are_understood_or_else_by_its_codes(
    words: dict[int, str], right: list[int], tmp_path: Path
) -> None:
    n = 40
    columns = {"id": np.arange(n) + 1.0, "z": np.linspace(0, 1, n), "e": np.arange(n) % 2.0, "t": np.arange(n) + 1.0}
    labelled(tmp_path / "p.sav", {"e": words}, **{name: own.tolist() for name, own in columns.items()})
    target = 'kind = "survival"\ntime = "t"\nevent = "e"\nunit = "months"'
    for said in (target, 'kind = "multilabel"\ncolumns = ["e"]') if "dead" not in words.values() else (target,):
        (tmp_path / "cohort.toml").write_text(
            f'[patients]\ntable = "p.sav"\nid = "id"\n[target]\n{said}\n'
            '[modalities.z]\nkind = "table"\ncolumns = ["z"]\n'
        )
        cohort = chiasm.open_cohort(tmp_path)
        assert cohort.outcome is not None and cohort.outcome.known.all()
        event = cohort.outcome.value[:, 0] if cohort.outcome.event is None else cohort.outcome.event
        assert [int(event[cohort.ids == own][0]) for own in ("1", "2")] == right


def test_business_days_of_stata_are_told(tmp_path: Path) -> None:
    found = read(tmp_path / "a.dta", pd.DataFrame({"d": [5.0, 6.0]}), variable_format={"d": "%tbcal"})
    assert found.frame()["d"].tolist() == [5.0, 6.0] and [own.finding for own in found.findings] == ["business-days"]


def test_codes_declared_missing_are_missing(tmp_path: Path) -> None:
    codes = pd.DataFrame({"x": [1.0, -9.0, 99.0, 97.0], "word": ["a", "ND", "b", "a"]})
    ranges = {"x": [{"lo": -9, "hi": -9}, {"lo": 95, "hi": 99}], "word": ["ND"]}
    found = read(tmp_path / "a.sav", codes, missing_ranges=ranges).frame()
    assert found["x"].tolist()[0] == 1.0 and found["x"].isna().tolist() == [False, True, True, True]
    assert found["word"].isna().tolist() == [False, True, False, False]
    stata = pd.DataFrame({"x": pd.Series(["a", 2.0, "z", 3.0], dtype=object)})
    stata_found = read(tmp_path / "a.dta", stata, missing_user_values={"x": ["a", "z"]}).frame()
    assert stata_found["x"].isna().tolist() == [True, False, True, False] and stata_found["x"][1] == 2.0


def test_signs_of_a_missing_value_are_said_as_for_text(tmp_path: Path) -> None:
    codes = pd.DataFrame({"x": [1.0, 999.0, 3.0], "w": ["a", "-", "b"]})
    form = chiasm.cohort.dialect.Form(missing=("999", "-"))
    for found in (read(tmp_path / "a.sav", codes, form).frame(), read(tmp_path / "a.dta", codes, form).frame()):
        assert found["x"].isna().tolist() == found["w"].isna().tolist() == [False, True, False]


@pytest.mark.parametrize("suffix", [".sav", ".dta", ".xpt"])
def test_dates_are_dates_in_the_epoch_of_the_program(suffix: str, tmp_path: Path) -> None:
    moments = pd.to_datetime(["2020-01-31 14:30", None, "1959-12-31 00:00"], format="ISO8601")
    days = pd.Series([moments[0].date(), None, moments[2].date()], dtype=object)
    found = read(tmp_path / f"a{suffix}", pd.DataFrame({"day": days, "moment": moments})).frame()
    assert found["day"].tolist()[::2] == ["2020-01-31", "1959-12-31"]
    assert found["moment"].tolist()[::2] == ["2020-01-31 14:30:00", "1959-12-31 00:00:00"]
    assert found.isna().to_numpy()[1].all()


@pytest.mark.parametrize(
    ("written_as", "value", "said"),
    [("%tm", 720, "2020-01-01"), ("%tq", 241, "2020-04-01"), ("%th", 121, "2020-07-01"), ("%tw", 3121, "2020-01-08")],
)
def test_months_quarters_and_weeks_of_stata_are_dates(written_as: str, value: float, said: str, tmp_path: Path) -> None:
    found = read(tmp_path / "a.dta", pd.DataFrame({"x": [float(value)]}), variable_format={"x": written_as})
    assert found.frame()["x"].tolist() == [said]


def test_a_column_of_dates_is_refused_in_the_words_of_a_csv(tmp_path: Path) -> None:
    said = []
    for suffix in (".csv", ".xlsx", ".sav"):
        folder = tmp_path / suffix[1:]
        folder.mkdir()
        dated = frame().assign(AGE=[pd.Timestamp("2020-01-01").date()] * N)
        WRITERS[suffix](dated, folder / f"study{suffix}")
        (folder / "cohort.toml").write_text(MANIFEST.format(name=f"study{suffix}"))
        errors = [own for own in chiasm.check_cohort(folder) if own.severity == "error"]
        said.append([(own.finding, own.what, own.fix, own.row) for own in errors])
    assert said[0] == said[1] == said[2] and said[0][0][0] == "date-column"


def test_sas_is_read_with_its_dates(tmp_path: Path) -> None:
    path = tmp_path / "sample.sas7bdat"
    path.write_bytes(gzip.decompress(base64.b64decode(SAS)))
    found = table(path).frame()
    assert found["mychar"].tolist() == ["a", "b", "c", "d", "e"]
    assert found["mynum"].tolist() == [1.1, 1.2, -1000.3, -1.4, 1000.3]
    assert found["mydate"].tolist()[:4] == ["2018-05-06", "1880-05-06", "1960-01-01", "1583-01-01"]
    assert found["dtime"].tolist()[:2] == ["2018-05-06 10:10:10", "1880-05-06 10:10:10"]
    assert found["mytime"].tolist()[0] == "0 days 10:10:10" and found["mytime"].isna()[4]


def test_special_missing_values_of_sas_are_missing(tmp_path: Path) -> None:
    path = tmp_path / "missing_test.sas7bdat"
    path.write_bytes(gzip.decompress(base64.b64decode(SAS_MISSING)))
    found = table(path).frame()
    assert found["var9"].tolist() == [1.0] and found.drop(columns="var9").isna().all(axis=None)  # ., ._ and letters


@pytest.mark.parametrize("suffix", [".sav", ".dta", ".xpt", ".por", ".xlsx", ".sas7bdat"])
def test_what_is_damaged_cut_or_something_else_is_one_sentence(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"study{suffix}"
    for content in (b"ID,AGE\n1,2\n", b"$FL2@(#) SPSS DATA FILE" + b"\xff" * 400, b"PK\x03\x04" + b"\0" * 50):
        path.write_bytes(content)
        with pytest.raises(CohortError) as refused:
            table(path)
        assert len(refused.value.problems) == 1 and "damaged" in str(refused.value)
    if suffix in WRITERS:
        WRITERS[suffix](frame(), path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(CohortError, match="damaged"):
            table(path)


@pytest.mark.usefixtures("elsewhere")
def test_a_file_over_which_the_c_library_breaks_down_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.sav"
    pyreadstat.write_sav(frame(), path)
    assert len(table(path).frame()) == N
    (tmp_path / "pyreadstat.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(CohortError, match=r"a\.sav: is not a file of SPSS, or is damaged"):
        table(path)


def test_more_cells_than_a_limit_are_refused_before_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chiasm.cohort.statistics_file.STATISTICS_CELLS", 100)
    for suffix in (".sav", ".xpt"):  # one announces its rows, the other does not
        with pytest.raises(CohortError, match="100 cells"):
            read(tmp_path / f"a{suffix}", frame().fillna(""))


@pytest.mark.parametrize(("suffix", "package"), [(".xlsx", "python_calamine"), (".sav", "pyreadstat")])
def test_a_missing_package_is_named(suffix: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    WRITERS[suffix](frame(), tmp_path / f"a{suffix}")
    monkeypatch.setitem(__import__("sys").modules, package, None)
    with pytest.raises(chiasm.Unsupported, match=r'pip install "chiasm\[tables\]"'):
        table(tmp_path / f"a{suffix}")
