"""A cohort of molecules, notes and triples on disk, from check to prediction by the command line; what it says."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from command_line import Run
from molecule_cohorts import told_parts

pytest.importorskip("rdkit.Chem")
MOLFM = "molfm:layers=1,latent_width=8,heads=2,epochs=2"
MANIFEST = """name = "told"
[patients]
table = "patients.csv"
id = "id"
[target]
kind = "classification"
column = "label"
[modalities.drug]
kind = "molecule"
column = "smiles"
encoder = "bonds"
[modalities.note]
kind = "text"
column = "note"
[knowledge]
triples = "kg.csv"
column = "compound"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """90 patients, of whom some lack the molecule or the note, and triples of all compounds."""
    made, place = told_parts("classification", 90, 0), tmp_path / "told"
    place.mkdir()
    cells = [made.values[name].squeeze() for name in ("drug", "note")]
    made.patients.join(cells).rename_axis("id").reset_index().to_csv(place / "patients.csv", index=False)
    assert made.knowledge is not None
    made.knowledge[0].to_csv(place / "kg.csv", index=False)
    (place / "cohort.toml").write_text(MANIFEST, encoding="utf-8")
    return place


@pytest.mark.nightly
def test_molecules_notes_and_triples_from_check_to_prediction(run: Run, folder: Path, tmp_path: Path) -> None:
    said = run("check", folder)
    assert said.code == 0 and "knowledge: 15 triples of 9 entities by 2 relations; 'compound' names one for" in said.out
    assert json.loads(run("check", folder, "--json").out)["cohort"]["knowledge"] == {
        "triples": 15, "entities": 9, "relations": 2, "column": "compound", "patients": 90,
    }  # fmt: skip
    trial = ("--recipes", f"single:drug,late-fusion,{MOLFM}", "--folds", 2, "--repeats", 1, "--jobs", 1)
    said = run("evaluate", folder, *trial, "--out", tmp_path / "run")
    assert said.code == 0 and "molfm:" in said.out, said.err
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "Knowledge: " in page
    said = run("fit", folder, "--recipe", MOLFM, "--out", tmp_path / "model")
    assert said.code == 0 and "Fitted molfm:" in said.out, said.err
    assert "which of 9 entities a patient has" in (tmp_path / "model" / "card.md").read_text(encoding="utf-8")
    said = run("predict", tmp_path / "model", folder, "--out", tmp_path / "known.csv")
    assert said.code == 0 and "drug+note" in said.out and "warning" not in said.err, said.err
    (folder / "cohort.toml").write_text(MANIFEST.partition("[knowledge]")[0], encoding="utf-8")
    said = run("predict", tmp_path / "model", folder, "--out", tmp_path / "bare.csv")
    assert said.code == 0 and "warning: the cohort has no knowledge" in said.err
    known, bare = (pd.read_csv(tmp_path / f"{name}.csv", index_col="patient") for name in ("known", "bare"))
    assert known["pattern"].equals(bare["pattern"]) and not known["p_yes"].equals(bare["p_yes"])


@pytest.mark.parametrize(
    ("triples", "said"),
    [
        ("head,relation,tail\nzinc,is a,metal\n", "the knowledge names no patient's 'compound': write both alike, or"),
        ("head,tail\nring,apolar\n", "kg.csv: no such column 'relation'; correct the manifest or add the column"),
        ("head,relation,tail\n,is a,apolar\n", "kg.csv: there is no whole triple; a row is a head, a relation and a"),
    ],
    ids=["of nobody", "two columns", "no head"],
)
def test_what_is_wrong_with_the_triples_is_one_sentence(
    run: Run, folder: Path, tmp_path: Path, triples: str, said: str
) -> None:
    (folder / "kg.csv").write_text(triples, encoding="utf-8")
    found = run("fit", folder, "--recipe", MOLFM, "--out", tmp_path / "model")
    errors = [line for line in found.err.splitlines() if line.startswith("error: ")]
    assert found.code == 2 and len(errors) == 1 and said in errors[0] and not (tmp_path / "model").exists()


def test_a_relation_seen_once_is_one_of_the_rest_and_a_triple_without_a_head_is_left_out(
    run: Run, folder: Path
) -> None:
    with (folder / "kg.csv").open("a", encoding="utf-8") as file:
        file.write("alcohol,made by,property\n,like,ring\n")
    said = run("check", folder)
    assert said.code == 0 and "knowledge: 16 triples of 9 entities by 3 relations" in said.out
    assert "warning: kg.csv, row 18: 1 triple with an empty cell (row 18); it is left out" in said.out
