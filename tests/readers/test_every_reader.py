"""Every kind of source from the file to the prediction: what is broken is named and absent, the rest goes on."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("wfdb")
pytest.importorskip("anndata")
pytest.importorskip("rdkit")
pytest.importorskip("fhir.resources")
pytest.importorskip("meds")

import test_signal
from every_kind import ENOUGH, KINDS, LETTERS_ENTRY, PLANTED, SOUND, Kind, build, said_properly
from refusals import bounded

import chiasm
from chiasm.encoders import catalogue, choice
from small_recipes import at_night

# A file, a folder, pixels that are only decoded to be encoded, a record of several files, features, a cell, a table of
# events: what a source is to the check. The broken files of every reader are refused by day in its own test.
BY_DAY = ("image", "dicom", "ecg", "bag", "cell-note", "molecule", "events")


@pytest.fixture(autouse=True)
def own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHIASM_STORE", str(tmp_path / "store"))
    monkeypatch.setattr(catalogue, "CATALOGUE", (*catalogue.CATALOGUE, LETTERS_ENTRY))
    monkeypatch.setattr(catalogue, "DEFAULTS", {**catalogue.DEFAULTS, "text": "letters"})
    monkeypatch.setattr(choice, "DEFAULTS", catalogue.DEFAULTS)


@pytest.mark.parametrize("name", [*BY_DAY, *at_night(*(name for name in KINDS if name not in BY_DAY))])
def test_what_is_broken_is_named_and_absent_and_the_rest_is_encoded(
    tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    kind = KINDS[name]
    assert len(kind.broken) >= 8
    made = build(tmp_path, {name: kind})
    began = time.process_time()
    with bounded(150):
        problems = [problem for problem in chiasm.check_cohort(made.manifest) if problem.modality == name]
        cohort = chiasm.open_cohort(made.manifest)
        encoded = chiasm.encode(cohort, jobs=1)
    assert time.process_time() - began < 30
    seen = [problem for problem in problems if "taken as absent" in problem.what]
    assert said_properly(encoded.problems, tmp_path) == len(kind.broken)
    if name in ("slide", "dicom"):  # whose pixels are only decoded to be encoded
        assert 0 < said_properly(seen, tmp_path) < len(kind.broken)
    else:
        assert {(own.what, own.row) for own in seen} == {(own.what, own.row) for own in encoded.problems}
    column = cohort.modalities.index(name)
    assert encoded.cohort.present[:, column].tolist() == [k < SOUND for k in range(len(made.ids))]
    assert encoded.cohort.present[:, cohort.modalities.index("age")].all()
    again = chiasm.encode(chiasm.open_cohort(made.manifest), jobs=1)
    assert again.problems == encoded.problems
    assert all(count.encoded == 0 for count in again.counts.values())
    assert capfd.readouterr() == ("", ""), "nothing is said but by the problems"


def test_one_word_among_the_hours_refuses_one_patient(tmp_path: Path) -> None:
    made = build(tmp_path, {"events": KINDS["events"]}, most=1)
    cohort = chiasm.encode(chiasm.open_cohort(made.manifest), jobs=1)
    assert [problem.row for problem in cohort.problems] == [2 * SOUND + 2]  # of the table of events, two a patient
    assert "'hours' does not hold numbers" in cohort.problems[0].what


def test_a_note_of_ten_megabytes_takes_the_memory_of_itself(tmp_path: Path) -> None:
    kind = Kind("text", None, lambda _, k: "short", ["pain. " * 1_700_000])
    made = build(tmp_path, {"note": kind, "more": Kind("text", None, lambda _, k: "short", ["short"] * 300)})
    with bounded(100):
        found = chiasm.encode(chiasm.open_cohort(made.manifest), jobs=1)
    assert [problem.row for problem in found.problems] == [SOUND + 2]


@pytest.mark.parametrize("suffix", ["", ".hea", ".dat"])
def test_records_are_told_apart_by_the_signals_that_their_headers_name(tmp_path: Path, suffix: str) -> None:
    """Equal headers, other signals; and equal signals, whose header names a file that is not there."""
    made = build(tmp_path, {"ecg": Kind("ecg", "x/{id}/r", lambda path, k: named(path, 1 + k), [lambda path: None])})
    for patient in made.ids[:SOUND]:
        folder = tmp_path / "ecg" / patient
        if suffix == ".dat":
            (folder / "own.dat").rename(folder / "r.dat")
            (folder / "r.hea").write_text((folder / "r.hea").read_text().replace("own.dat", "r.dat"))
    made.manifest.write_text(made.manifest.read_text().replace("{id}/r", f"{{id}}/r{suffix}"))
    cohort = chiasm.encode(chiasm.open_cohort(made.manifest), jobs=1).cohort
    tokens = [values.tobytes() for values in cohort.raw("ecg")]
    assert len(set(tokens)) == SOUND


def named(path: Path, k: int) -> None:
    """A record `r` of one file `own.dat`, whose header is the same for all."""
    path.parent.mkdir(parents=True)
    content = (np.roll(test_signal.waves(2, 1000, 500), k, axis=0) * 1000).astype("<i2")
    (path.parent / "own.dat").write_bytes(content.tobytes())
    lines = [f"own.dat 16 1000/mV 16 0 0 0 0 {lead}" for lead in ("I", "II")]
    path.with_name("r.hea").write_text("\n".join(["r 2 500 1000", *lines]) + "\n")


@pytest.mark.slow
@pytest.mark.nightly
def test_a_cohort_of_every_kind_is_evaluated_fitted_and_predicted(tmp_path: Path, recwarn: Any) -> None:
    made = build(tmp_path, KINDS, most=3, sound=ENOUGH)
    assert all(problem.severity == "warning" for problem in chiasm.check_cohort(made.manifest))
    cohort = chiasm.open_cohort(made.manifest)
    protocol = chiasm.Protocol(folds=2, repeats=1, inner_folds=5, draws=100)
    trial = chiasm.evaluate(cohort, ["late-fusion"], protocol, jobs=1)
    assert trial.table()["mean"].notna().all()
    model = chiasm.fit(cohort, "late-fusion")
    model.save(tmp_path / "model")
    frame = chiasm.load_model(tmp_path / "model").predict(chiasm.open_cohort(made.manifest))
    assert frame.index.tolist() == made.ids
    assert (frame["pattern"][:ENOUGH] == "+".join(sorted(["age", *KINDS]))).all()
    assert (frame["pattern"][ENOUGH:] == "age").all()
    assert np.isfinite(frame.drop(columns="pattern").to_numpy(float)).all()
    said = "\n".join(str(warning.message) for warning in recwarn)
    assert "cannot be read and count as absent" in said and not any(word in said for word in (*PLANTED, str(tmp_path)))
