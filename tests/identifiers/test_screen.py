"""The screen of a cohort: kinds planted in every place are found, and no value of them is ever told."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.cli import main
from chiasm.cohort.sealing import seal_cohort
from chiasm.identifiers.findings import PLACES, IdentifierScreen
from chiasm.identifiers.kinds import KINDS
from cohort_folder import CohortFolder

Image, PngImagePlugin = pytest.importorskip("PIL.Image"), pytest.importorskip("PIL.PngImagePlugin")

PATIENTS = 24
VALUES = {  # one of each kind, as somebody may have left them in a column
    "name": "Odalys Fairweather", "place": "8 Mistletoe Crescent", "date": "1951-11-23",
    "phone": "+49 30 9018 2044", "fax": "fax 0221 478 9910", "email": "o.fairweather@moor.example",
    "social": "219-09-9999", "record": "MRN 5582-0137",
    "plan": "insurance no. 7781-2204", "account": "GB82 WEST 1234 5698 7654 32", "licence": "licence DX-44120-B",
    "vehicle": "1M8GDM9AXKP042788", "device": "serial no. PJN448213", "url": "https://moor.example/odalys",
    "ip": "198.51.100.23", "biometric": "iris code 0xC0FFEE12", "photo": "odalys_face_2.jpg",
    "other": "3f2504e0-4f89-11d3-9a0c-0305e82c3301",
}  # fmt: skip
ALL = "; ".join(VALUES.values())
SECRET = [*VALUES.values(), "Fairweather", "fairweather", "Mistletoe", "5582", "0137", "7781", "44120", "C0FFEE"]
MANIFEST = """\
name = "ward"
# called by Dr. Fairweather
[patients]
table = "patients.xlsx"
id = "case"
[target]
kind = "classification"
column = "slow"
[modalities.clinical]
kind = "table"
columns = ["weight"]
[modalities.bag]
kind = "bag"
path = "bags/{id}.h5"
[modalities.note]
kind = "text"
column = "remarks"
[modalities.photo]
kind = "image"
path = "photos/{id}.png"
"""


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cohort with all 18 kinds: in a text, a column each, pictures, bags, a workbook, names of files."""
    h5py, openpyxl = pytest.importorskip("h5py"), pytest.importorskip("openpyxl")
    folder = tmp_path_factory.mktemp("identifiers") / "ward"
    (folder / "bags").mkdir(parents=True)
    (folder / "photos").mkdir()
    (folder / "photos" / f"{VALUES['email']}.txt").write_text("")
    rng = np.random.default_rng(0)
    ids = [f"K{number:02d}" for number in range(PATIENTS)]
    book = openpyxl.Workbook()
    book.properties.creator, book.properties.title = VALUES["name"], ALL
    sheet = book.active
    sheet.title = "ward 1951-11-23"
    sheet.append(["case", "slow", "weight", "remarks", *(f"field {kind}" for kind in VALUES)])
    for number, own in enumerate(ids):
        remark = f"Seen again, {ALL}." if number == 3 else f"Well after {number} days, and went home with a plan."
        sheet.append([own, number % 2, float(rng.normal(70, 9)), remark, *VALUES.values()])
        with h5py.File(folder / "bags" / f"{own}.h5", "w") as file:
            file["features"] = rng.normal(size=(3, 4)).astype(np.float32)
            file.attrs["from"] = ALL
        words = PngImagePlugin.PngInfo()
        words.add_text("Comment", ALL)
        pixels = rng.integers(0, 256, (16, 16), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "photos" / f"{own}.png", pnginfo=words)
    book.save(folder / "patients.xlsx")
    (folder / "cohort.toml").write_text(MANIFEST)
    return folder


@pytest.fixture(scope="module", autouse=True)
def without_a_model() -> Iterator[None]:
    """No language model, whose import alone takes seconds; `test_names.py` has it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("chiasm.identifiers.names.MODEL", "no_such_model")
        yield


@pytest.fixture(scope="module")
def found(ward: Path, without_a_model: None) -> IdentifierScreen:
    """Its screen, however busy the machine is."""
    return chiasm.screen_identifiers(ward, seconds=600)


def test_all_kinds_are_found_in_texts_columns_headers_and_workbooks(found: IdentifierScreen) -> None:
    held = {place: {own.kind for own in found.findings if own.place == place} for place in PLACES}
    nameless = set(KINDS) - {"name"}  # a name in a sentence, with nothing before it, is for the language model
    for place in ("column", "header", "text", "properties"):
        assert held[place] >= nameless, (place, nameless - held[place])
    assert "name" in held["properties"] and "name" in held["manifest"]
    assert held["path"] >= {"email"} and held["id"] == set()
    assert found.kinds == list(KINDS)


def test_no_value_is_told(found: IdentifierScreen) -> None:
    said = json.dumps(found.as_json()) + repr(found) + found._repr_html_() + "".join(map(str, found.problems))
    assert [value for value in SECRET if value in said.replace("ward 1951-11-23", "")] == []
    assert "K03" not in said


def test_a_finding_has_its_rows_its_place_and_what_to_do(found: IdentifierScreen) -> None:
    (own,) = [own for own in found.findings if own.place == "text" and own.kind == "email"]
    assert (own.field, own.path, own.found, own.rows, own.read) == ("remarks", "patients.xlsx", 1, (5,), True)
    (column,) = [own for own in found.findings if own.place == "column" and own.field == "field email"]
    assert (column.found, column.looked, column.rows, column.read) == (PATIENTS, PATIENTS, (2, 3, 4, 5, 6), False)
    (header,) = [own for own in found.findings if own.modality == "photo" and own.kind == "email"]
    assert (header.path, header.found, header.looked) == ("photos/{id}.png", PATIENTS, PATIENTS)
    problem = column.problem
    assert (problem.severity, problem.row, problem.finding) == ("warning", 2, "identifying-email")
    assert "24 of 24 rows" in problem.what and "leave the column out" in problem.fix


def test_what_was_not_looked_at_is_said(found: IdentifierScreen) -> None:
    assert any("chiasm[identifiers]" in reason for reason in found.not_looked)
    assert any("smaller than 64 pixels" in reason for reason in found.not_looked)
    assert any("faces" in reason for reason in found.not_looked)
    assert found.looked["columns"] == (22, 22) and found.looked["identifiers"] == (PATIENTS, PATIENTS)


def test_without_time_what_is_left_is_said(ward: Path) -> None:
    found = chiasm.screen_identifiers(ward, seconds=1e-9)
    assert any("when the time was over" in reason for reason in found.not_looked)
    assert found.looked["sources"] == (0, 2 * PATIENTS)
    with pytest.raises(ValueError, match="above zero"):
        chiasm.screen_identifiers(ward, seconds=0)


def test_a_cohort_without_identifiers_has_no_finding(cohort_folder: CohortFolder) -> None:
    assert chiasm.screen_identifiers(cohort_folder.path).findings == []


def test_frames_are_screened_too() -> None:
    ids = [f"K{number:02d}" for number in range(PATIENTS)]
    clinical = pd.DataFrame({"weight": np.arange(PATIENTS) / 7, "dob": ["1951-11-23"] * PATIENTS}, index=ids)
    notes = pd.DataFrame({"note": [f"call {VALUES['phone']}"] * PATIENTS}, index=ids)
    cohort = chiasm.cohort_from_frames(
        pd.DataFrame(index=ids), {"clinical": clinical, "note": notes}, kinds={"note": "text"}
    )
    found = chiasm.screen_identifiers(cohort)
    assert {(own.kind, own.field, own.modality) for own in found.findings} == {
        ("date", "dob", "clinical"), ("phone", "note", "note"),
    }  # fmt: skip


def test_rows_under_the_seal_are_not_looked_at(cohort_folder: CohortFolder) -> None:
    frame = pd.read_csv(cohort_folder.path / "clinical.csv", dtype={"case_id": str})
    seal_cohort(cohort_folder.path, 0.3, seed=0, check=lambda everyone: [])
    sealed = ~np.isin(frame["case_id"], chiasm.open_cohort(cohort_folder.path).ids)
    assert sealed.any()
    frame["contact"] = np.where(sealed, VALUES["email"], "nobody at home")
    frame.to_csv(cohort_folder.path / "clinical.csv", index=False)
    assert chiasm.screen_identifiers(cohort_folder.path).findings == []
    frame["contact"] = VALUES["email"]
    frame.to_csv(cohort_folder.path / "clinical.csv", index=False)
    (own,) = chiasm.screen_identifiers(cohort_folder.path).findings
    assert own.found == own.looked - sealed.sum() == (~sealed).sum()


def test_the_name_of_a_column_may_be_a_value_itself(cohort_folder: CohortFolder) -> None:
    frame = pd.read_csv(cohort_folder.path / "clinical.csv", dtype={"case_id": str})
    frame[VALUES["email"]] = VALUES["email"]
    frame.to_csv(cohort_folder.path / "clinical.csv", index=False)
    (own,) = chiasm.screen_identifiers(cohort_folder.path).findings
    assert own.field == "column 7" and own.kind == "email"


def checked(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """What `check` prints on both of its streams; its code is 0."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        main(["check", *map(str, words)])
    assert not stopped.value.code
    said = capsys.readouterr()
    return said.out if "--json" in words else said.out + said.err


def test_a_table_without_a_header_tells_no_row_of_it(cohort_folder: CohortFolder) -> None:
    frame = pd.read_csv(cohort_folder.path / "clinical.csv", dtype={"case_id": str})
    note = f"A long remark on somebody who was seen again and of whom nothing else is known {VALUES['date']}"
    for name in (note, VALUES["name"] + ", seen by Dr. Fell", VALUES["other"]):
        frame[name] = VALUES["email"]
    frame.to_csv(cohort_folder.path / "clinical.csv", index=False)
    fields = {own.field for own in chiasm.screen_identifiers(cohort_folder.path).findings}
    assert fields == {"column 7", "column 8", "column 9"}


def test_check_prints_it_by_kind_and_answers_machines(
    cohort_folder: CohortFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = pd.read_csv(cohort_folder.path / "clinical.csv", dtype={"case_id": str})
    frame["mail"] = VALUES["email"]
    frame.to_csv(cohort_folder.path / "clinical.csv", index=False)
    said = checked(capsys, cohort_folder.path, "--identifiers")
    assert "e-mail addresses (F)" in said and "40 of 40 rows" in said
    assert "What to do" in said and "Not looked at" in said and VALUES["email"] not in said
    assert "Identifiers" not in checked(capsys, cohort_folder.path)
    document = json.loads(checked(capsys, cohort_folder.path, "--identifiers", "--json"))
    (own,) = document["identifiers"]["findings"]
    assert (own["kind"], own["letter"], own["found"], own["rows"]) == ("email", "F", 40, [2, 3, 4, 5, 6])


def test_a_damaged_workbook_is_said(tmp_path: Path, cohort_folder: CohortFolder) -> None:
    from chiasm.identifiers.headers.of_file import labels_of
    from chiasm.readers import ReadError

    with zipfile.ZipFile(tmp_path / "x.xlsx", "w") as packed:
        packed.writestr("docProps/core.xml", "<broken")
    with pytest.raises(ReadError):
        labels_of(tmp_path / "x.xlsx")
