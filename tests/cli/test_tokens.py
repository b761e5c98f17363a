"""`encode`, `encoders`, `store`, `predict` and `similar` on files: what is computed, kept, refused, and said of it."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import chiasm
from chiasm import api, screen
from chiasm.api.encoding import ENGINES
from chiasm.artifact import storable
from chiasm.encoders import catalogue
from chiasm.encoders.catalogue import Entry
from chiasm.encoders.frozen import identity_of
from chiasm.testing import check_encoder
from chiasm.tokens import Tokens
from cohort_folder import CohortFolder
from command_line import Run

MANIFEST = """\
name = "files"
[patients]
table = "patients.csv"
id = "case"
[target]
kind = "regression"
column = "score"
[modalities.scan]
kind = "image"
path = "scans/{id}.png"
[modalities.receptor]
kind = "protein"
column = "receptor"
"""
LETTERS = np.array(list("ACDEFGHIKLMNPQRSTVWY"))


@pytest.fixture
def files(tmp_path: Path) -> CohortFolder:
    """30 patients `secret-00` ...: a scan each but the last five, one of them broken; six receptors that they share."""
    rng = np.random.default_rng(0)
    folder = CohortFolder(tmp_path / "files")
    (folder.path / "scans").mkdir(parents=True)
    folder.manifest.write_text(MANIFEST)
    ids = [f"secret-{k:02d}" for k in range(30)]
    receptors = ["".join(rng.choice(LETTERS, 40)) for _ in range(6)]
    table = {"case": ids, "score": rng.normal(size=30).round(3), "receptor": [receptors[k % 6] for k in range(30)]}
    pd.DataFrame(table).to_csv(folder.path / "patients.csv", index=False)
    for name in ids[:25]:
        pixels = rng.integers(0, 255, (16, 16), dtype=np.uint8)
        Image.fromarray(pixels).save(folder.path / "scans" / f"{name}.png")
    (folder.path / "scans" / "secret-03.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    return folder


def counts(run: Run, files: CohortFolder, *words: object) -> Any:
    said = run("encode", files.manifest, "--jobs", "1", *words, "--json")
    assert said.code == 0, said.err
    return json.loads(said.out)


def test_a_second_run_encodes_nothing_and_what_is_broken_is_listed(run: Run, files: CohortFolder) -> None:
    first = counts(run, files)
    assert first["modalities"] == {
        "receptor": {"sources": 30, "distinct": 6, "encoded": 6, "stored": 0, "refused": 0},
        "scan": {"sources": 25, "distinct": 25, "encoded": 24, "stored": 0, "refused": 1},
    }
    (problem,) = first["problems"]
    assert (problem["severity"], problem["row"], problem["modality"]) == ("warning", 5, "scan")
    assert "taken as absent" in problem["what"] and problem["path"] == "scans/{id}.png"
    again = counts(run, files)["modalities"]
    assert [again[name]["encoded"] for name in again] == [0, 0]
    assert (again["receptor"]["stored"], again["scan"]["stored"], again["scan"]["refused"]) == (6, 24, 1)


def test_the_screen_says_the_same_and_names_nobody(run: Run, files: CohortFolder) -> None:
    said = run("encode", files.manifest, "--jobs", "1")
    assert said.code == 0 and "warning: scans/{id}.png, row 5, modality 'scan'" in said.out
    rows = {
        line.split()[0]: line.split()[1:] for line in said.out.splitlines() if " patches " in line or "kmers" in line
    }
    assert rows == {"receptor": ["kmers", "30", "6", "6", "0", "0"], "scan": ["patches", "25", "25", "24", "0", "1"]}
    assert "0 of" not in said.err, "a line for nothing done yet says nothing"
    assert "secret" not in said.out + said.err
    check = run("check", files.manifest)
    assert check.code == 0 and "row 5" in check.out and "secret" not in check.out + check.err


def test_the_manifest_chooses_an_encoder_and_the_command_line_overrides_it(run: Run, files: CohortFolder) -> None:
    files.edit('kind = "image"', 'kind = "image"\nencoder = "patches:size=32,patch=8"')
    assert chiasm.encode(chiasm.open_cohort(files.manifest), jobs=1).cohort.encodings["scan"].encoder == (
        "patches:size=32,patch=8"
    )
    assert counts(run, files)["modalities"]["scan"]["stored"] == 24
    other = counts(run, files, "--encoder", "scan=patches:size=28")
    assert other["modalities"]["scan"]["encoded"] == 24
    names = [entry.encoder for entry in api.open_store().shows()]
    assert sum("size=32,patch=8" in name for name in names) == 1 and sum("size=28" in name for name in names) == 1


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--encoder", "scan=patchs"], "there is no encoder 'patchs': for kind 'image' there are patches"),
        (["--encoder", "scan=patches:sizes=3"], "encoder 'patches' has no option 'sizes': did you mean 'size'"),
        (["--encoder", "scan=patches:size=large"], "option 'size' of encoder 'patches' must be an integer"),
        (["--encoder", "scan=kmers"], "reads protein, dna, not modalities of kind 'image'"),
        (["--encoder", "skan=patches"], "did you mean 'scan'?"),
        (["--encoder", "patches"], "write it as modality=name"),
        (["--engine", "slurm"], "choose one of local, ray"),
    ],
)
def test_what_is_asked_wrongly_is_one_sentence_before_anything_is_encoded(
    run: Run, files: CohortFolder, own_store: Path, words: list[str], says: str
) -> None:
    said = run("encode", files.manifest, "--jobs", "1", *words)
    assert said.code == 2 and says in said.err and said.err.count("error: ") == 1 and not said.out
    assert not own_store.exists()


def test_a_store_that_cannot_be_written_is_found_before_anything_is_encoded(
    run: Run, files: CohortFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.write_text("not mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.docx").write_text("not mine")

    def never(*given: Any) -> Any:
        raise RuntimeError("it was encoded")

    monkeypatch.setitem(ENGINES, "local", never)
    for place in (file, file / "below", tmp_path / "full"):
        said = run("encode", files.manifest, "--jobs", "1", "--store", place)
        assert said.code == 2 and "token store" in said.err and "CHIASM_STORE" in said.err, said.err
    assert file.read_text() == "not mine"


def test_a_missing_package_is_a_problem_of_its_modality(
    run: Run, files: CohortFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.edit('kind = "protein"', 'kind = "molecule"')
    table = pd.read_csv(files.path / "patients.csv").assign(receptor="CCO")
    table.to_csv(files.path / "patients.csv", index=False)
    for name in ("rdkit", "rdkit.Chem"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    said = run("check", files.manifest)
    assert said.code == 1 and "modality 'receptor'" in said.out and 'pip install "chiasm[molecules]"' in said.out
    assert "row 5" in said.out, "the others are checked all the same"
    assert 'pip install "chiasm[molecules]"' in run("encode", files.manifest).err


def test_encoders_lists_every_encoder(run: Run) -> None:
    rows = json.loads(run("encoders", "--json").out)
    assert [row["name"] for row in rows] == list(chiasm.list_encoders()["name"])
    text = run("encoders").out
    assert all(row["name"] in text for row in rows) and 'pip install "chiasm[' in text
    assert "(default for protein, dna)" in text


def test_the_store_shows_verifies_and_prunes(run: Run, files: CohortFolder, own_store: Path) -> None:
    for words in (["store"], ["store", "verify"], ["store", "prune"]):
        said = run(*words)
        assert said.code == 0 and f"{own_store} does not exist yet" in said.out
    counts(run, files)
    shown = json.loads(run("store", "--json").out)
    assert {entry["encoder"].split("|")[1].split("/")[0]: entry["sources"] for entry in shown["encoders"]} == {
        "patches": 24,
        "kmers": 6,
    }
    assert shown["store"] == str(own_store) and shown["bytes"] > 0
    text = run("store").out
    assert "protein/1|kmers/1(kind=protein,windows=4)" in text and "last written" in text
    assert run("store", "verify").out == "2 fragments, none damaged.\n"
    assert run("store", "--json", "verify").code == 2, "an option that would be lost is refused"

    fragment = next(path for path in own_store.rglob("*.arrow"))
    content = bytearray(fragment.read_bytes())
    content[len(content) // 2] ^= 1
    fragment.chmod(0o600)
    fragment.write_bytes(content)
    said = run("store", "verify")
    assert said.code == 1 and said.out.count("\n") == 1 and f"{fragment.name}' " in said.out
    assert len(json.loads(run("store", "verify", "--json").out)["damaged"]) == 1
    assert run("store", "prune").code == 0, "tidies without asking"
    assert run("store", "verify").code == 0 and not fragment.exists()


def test_prune_asks_first_and_drops_what_meets_every_condition(
    run: Run, files: CohortFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def held() -> dict[str, int]:
        return {entry.name: entry.sources for entry in api.open_store().shows()}

    counts(run, files)
    assert run("store", "prune", "--encoder", "kmers").code != 0, "nobody said yes"
    assert held() == {"kmers": 6, "patches": 24}
    said = run("store", "prune", "--encoder", "kmrs")
    assert said.code == 2 and "it holds kmers, patches" in said.err
    assert run("store", "prune", "--older-than", "-1").code == 2

    old = api.prune_store(older_than_days=1, dry=True)
    assert (old.sources, api.prune_store(older_than_days=0, encoder="kmers", dry=True).bytes) == (0, 0)
    assert json.loads(run("store", "prune", "--older-than", "1", "--json").out)["sources"] == 0
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 3 * 86_400)
    table = pd.read_csv(files.path / "patients.csv").iloc[:3]
    table.to_csv(files.path / "patients.csv", index=False)
    words = ["--encoder", "kmers", "--older-than", "2", "--cohort", files.manifest, "--yes"]
    said = run("store", "prune", *words)
    assert said.code == 0 and "3 sources dropped" in said.out and held() == {"kmers": 3, "patches": 24}
    assert json.loads(run("store", "prune", "--encoder", "patches", "--yes", "--json").out)["sources"] == 24
    assert held() == {"kmers": 3}
    assert run("store", "prune", "--cohort", files.path / "nothing.toml", "--yes").code == 2 and held() == {"kmers": 3}


def test_predict_reads_files_with_the_encoder_of_the_fit_and_refuses_another(
    run: Run, files: CohortFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.edit('kind = "image"', 'kind = "image"\nencoder = "patches:size=32,patch=8"')
    said = run("fit", files.manifest, "--recipe", "late-fusion", "--out", tmp_path / "model")
    assert said.code == 0 and "row 5" in said.err, said.err
    files.edit('\nencoder = "patches:size=32,patch=8"', "")
    files.edit('[target]\nkind = "regression"\ncolumn = "score"\n', "")
    said = run("predict", tmp_path / "model", files.manifest, "--out", tmp_path / "p.csv")
    assert said.code == 0 and "Predicted 30 patients" in said.out
    assert "row 5" in said.err and "secret" not in said.out + said.err
    frame = pd.read_csv(tmp_path / "p.csv", index_col="patient")
    assert frame["pattern"].value_counts().to_dict() == {"receptor+scan": 24, "receptor": 6}

    from chiasm.encoders.image.patches import ImagePatches

    monkeypatch.setattr(ImagePatches, "version", "other")
    said = run("predict", tmp_path / "model", files.manifest, "--out", tmp_path / "q.csv")
    assert said.code == 2 and "modality 'scan' was encoded by 'patches:size=32,patch=8' at fit" in said.err
    assert not (tmp_path / "q.csv").exists() and len(api.open_store().shows()) == 2, "nothing is encoded for it"


def test_similar_by_a_modality_and_by_a_model(run: Run, files: CohortFolder, tmp_path: Path) -> None:
    found = json.loads(run("similar", "receptor", files.manifest, "--patient", "secret-02", "--k", "4", "--json").out)
    assert {row["neighbour"] for row in found} == {"secret-08", "secret-14", "secret-20", "secret-26"}
    assert [row["rank"] for row in found] == [1, 2, 3, 4] and found[0]["distance"] == pytest.approx(0, abs=1e-6)
    said = run("similar", "scan", files.manifest, "--patient", "secret-00")
    assert said.code == 0 and "neighbour" in said.out
    assert run("fit", files.manifest, "--recipe", "late-fusion", "--out", tmp_path / "late").code == 0
    for words, says in (
        (["receptor", "--patient", "nobody"], "1 is not in the cohort"),
        (["scan", "--patient", "secret-29", "--patient", "secret-28"], "2 lack what is compared"),
        (["receptors", "--patient", "secret-00"], "there are receptor, scan"),
        ([str(tmp_path), "--patient", "secret-00"], "not a model folder"),
        ([str(tmp_path / "late"), "--patient", "secret-00"], "has no embedding"),
        (["scan", "--patient", "secret-00", "--score"], "takes either --patient"),
        (["scan"], "takes either --patient"),
        (["scan", "--score"], "needs a target of kind 'classification'"),
    ):
        said = run("similar", words[0], files.manifest, *words[1:])
        assert said.code == 2 and says in said.err and "secret" not in said.err and "nobody" not in said.err


def test_a_trial_and_its_page_say_how_modalities_were_encoded(run: Run, files: CohortFolder, tmp_path: Path) -> None:
    words = ["--recipes", "single:scan,single:receptor", "--folds", "2", "--jobs", "1", "--out", tmp_path / "run"]
    said = run("evaluate", files.manifest, *words)
    assert said.code == 0, said.err
    cohort = json.loads((tmp_path / "run" / "trial.json").read_text())["cohort"]["modalities"]
    assert cohort["scan"]["kind"] == "image" and cohort["scan"]["present"] == 24
    assert (cohort["scan"]["encoder"], cohort["scan"]["refused"]) == ("patches", 1)
    assert cohort["receptor"]["identity"] == "protein/1|kmers/1(kind=protein,windows=4)"
    page = (tmp_path / "run" / "report.html").read_text()
    assert "image, encoded by patches; 1 source could not be read and counts as absent" in page
    assert "protein, encoded by kmers" in page


@storable("encoder-composition")
@dataclass(frozen=True)
class Composition:
    """A third party's encoder: how often each amino acid stands in each half of a protein, two tokens."""

    halves: int = 2

    id: ClassVar[str] = "composition"
    version: ClassVar[str] = "1"
    fitted_on_cohort: ClassVar[bool] = False
    batch: ClassVar[int] = 8
    width: ClassVar[int] = 20

    @property
    def slots(self) -> int:
        return self.halves

    @property
    def identity(self) -> str:
        return identity_of(self)

    def fit(self, raw: Any, patients: Any = ()) -> Composition:
        return self

    def encode(self, raw: Any) -> Tokens:
        parts = [[text[k * len(text) // self.halves : (k + 1) * len(text) // self.halves] for k in range(self.halves)]
                 for text in raw]  # fmt: skip
        values = np.array([[[part.count(letter) for letter in LETTERS] for part in own] for own in parts], np.float32)
        return Tokens(torch.from_numpy(values), torch.ones(values.shape[:2], dtype=torch.bool))


COMPOSITION = Entry("composition", ("protein",), f"{__name__}:Composition", "20", "MIT", "none: nothing was trained")


def test_an_encoder_of_another_package_is_found_by_its_entry_point(
    run: Run, files: CohortFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    @dataclass
    class Point:
        name: str = "composition"

        def load(self) -> Entry:
            return COMPOSITION

    monkeypatch.setattr(catalogue, "parts_brought", lambda group: [Point()] if group == "chiasm.encoders" else [])
    check_encoder(Composition(), pd.read_csv(files.path / "patients.csv")["receptor"].tolist())
    assert "composition" in list(chiasm.list_encoders()["name"])
    found = chiasm.encode(chiasm.open_cohort(files.manifest), {"receptor": "composition:halves=4"}, jobs=1)
    assert found.cohort.encodings["receptor"].identity == "protein/1|composition/1(halves=4)"
    assert found.counts["receptor"].encoded == 6 and found.cohort.raw("receptor")[0].shape == (4, 20)
    assert counts(run, files, "--encoder", "receptor=composition:halves=4")["modalities"]["receptor"]["stored"] == 6


def test_progress_is_a_line_when_work_is_done(capsys: pytest.CaptureFixture[str]) -> None:
    with screen.Progressing("sources") as progress:
        progress.named("scan", 0, 3)
        progress.named("scan", 3, 3)
        progress.named("note", 0, 0)
    with screen.Progressing("headers", at_once=False) as progress:
        progress.named("scan", 0, 3)
        progress.named("scan", 3, 3)
    assert [line.rpartition(",")[0] for line in capsys.readouterr().err.splitlines()] == ["scan: 3 of 3 sources"]


def test_sizes_are_said_in_words() -> None:
    assert [screen.size(n) for n in (0, 999, 1_400, 23_000_000, 9_960_000_000)] == [
        "0 bytes", "999 bytes", "1.4 kB", "23 MB", "10 GB",
    ]  # fmt: skip
