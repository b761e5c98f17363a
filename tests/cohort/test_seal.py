"""A sealed test set: who is drawn, what stands in the file, what is refused; nothing sealed decides anything."""

from __future__ import annotations

import json
import multiprocessing
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.cohort import CohortError, check_values
from chiasm.cohort.cells import tidy
from chiasm.cohort.held_back import without_rows
from chiasm.cohort.manifest import read_manifest
from chiasm.cohort.seal import add_opening, identity_of, read_seal
from chiasm.cohort.sealing import FEWEST, open_sealed, seal_cohort
from chiasm.metrics.scores import MIN_EVENTS
from sealed_cohorts import TARGETS, refusal, seal_of, sealed_cohort, sealed_names, spoil, write_cohort


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sealed cohort, opened twice, that no test changes."""
    manifest = sealed_cohort(tmp_path_factory.mktemp("standing"))
    for run in ("run", "other"):
        add_opening(seal_of(manifest), read_seal(seal_of(manifest)).identity, run, ["presence"])
    return manifest


@pytest.mark.parametrize("kind", TARGETS)
def test_everyone_is_on_one_side_and_the_outcome_is_spread(tmp_path: Path, kind: str) -> None:
    manifest = write_cohort(tmp_path, kind)
    everyone = chiasm.open_cohort(manifest)
    made = chiasm.seal(manifest, test=0.25, seed=3)
    outside, opened = chiasm.open_cohort(manifest), open_sealed(manifest)
    assert made == seal_of(manifest) and stat.S_IMODE(made.stat().st_mode) == 0o600
    inside = opened.sealed
    assert sorted([*outside.ids, *inside.ids]) == everyone.ids.tolist() and 24 <= len(inside) <= 36
    assert outside.group is not None and inside.group is not None
    assert not set(outside.group) & set(inside.group), "families stay on one side"
    assert outside.outcome is not None and inside.outcome is not None
    if kind == "survival":
        assert outside.outcome.event is not None and inside.outcome.event is not None
        assert abs(outside.outcome.event.mean() - inside.outcome.event.mean()) < 0.15
    if kind == "classification":
        assert abs(outside.outcome.value.mean() - inside.outcome.value.mean()) < 0.1
    assert repr(outside).endswith(f"; {len(inside)} patients are sealed")
    assert f"{len(inside)} patients are sealed" in outside._repr_html_()
    assert outside.subset([0, 1]).sealed == outside.sealed and everyone.sealed is None


def test_the_draw_is_the_seeds_and_the_salt_is_its_own(tmp_path: Path) -> None:
    first, again = (sealed_cohort(tmp_path / name, seed=5) for name in ("a", "b"))
    other = sealed_cohort(tmp_path / "c", seed=6)
    assert sealed_names(first) == sealed_names(again) != sealed_names(other)
    assert not set(read_seal(seal_of(first)).patients) & set(read_seal(seal_of(again)).patients)


def test_sites_and_identical_patients_stay_on_one_side(tmp_path: Path) -> None:
    manifest = write_cohort(tmp_path)
    folder = manifest.parent
    patients = pd.read_csv(folder / "patients.csv")
    twins = patients.sample(40, random_state=1).assign(
        case=lambda own: own["case"] + "-twin", family=lambda own: own["family"] + "x"
    )
    pd.concat([patients, twins]).to_csv(folder / "patients.csv", index=False)
    rna = pd.read_parquet(folder / "rna.parquet")
    copied = rna[rna["case"].isin(twins["case"].str.removesuffix("-twin"))]
    pd.concat([rna, copied.assign(case=copied["case"] + "-twin")]).to_parquet(folder / "rna.parquet", index=False)
    for name in twins["case"]:
        file = folder / "slides" / f"{name.removesuffix('-twin')}.npy"
        if file.exists():
            (folder / "slides" / f"{name}.npy").write_bytes(file.read_bytes())
    seal_cohort(manifest, 0.25)
    sealed = sealed_names(manifest)
    for name in twins["case"]:
        assert (name in sealed) == (name.removesuffix("-twin") in sealed)
    seal_of(manifest).unlink()
    seal_cohort(manifest, 0.25, by="site")
    outside, inside = chiasm.open_cohort(manifest), open_sealed(manifest).sealed
    assert outside.site is not None and inside.site is not None and not set(outside.site) & set(inside.site)


def test_a_relative_of_unknown_outcome_is_sealed_with_his_family(tmp_path: Path) -> None:
    manifest = write_cohort(tmp_path)
    patients = pd.read_csv(tmp_path / "patients.csv")
    patients.loc[patients.duplicated("family"), "label"] = None  # the second of each family
    patients.to_csv(tmp_path / "patients.csv", index=False)
    seal_cohort(manifest, 0.25)
    seal, inside = read_seal(seal_of(manifest)), open_sealed(manifest).sealed
    assert inside.group is not None and inside.outcome is not None
    assert set(np.unique(inside.group, return_counts=True)[1]) == {2}
    assert seal.counts.known == int(inside.outcome.known.sum()) == seal.counts.patients // 2


@pytest.mark.parametrize("cell", ["1e300", "sixty"])
def test_a_cohort_that_the_check_refuses_is_not_sealed(tmp_path: Path, cell: str) -> None:
    """One number beyond all reason, or one word among numbers: the place is told, no value, and nothing written."""
    manifest = write_cohort(tmp_path, more="")
    patients = pd.read_csv(tmp_path / "patients.csv", dtype=str)
    patients.loc[7, "age"] = cell
    patients.to_csv(tmp_path / "patients.csv", index=False)
    with pytest.raises(CohortError) as fault:
        chiasm.seal(manifest)
    assert "'age'" in str(fault.value) and "row 9" in str(fault.value) and cell not in str(fault.value)
    assert all(problem.severity == "error" for problem in fault.value.problems)
    assert not seal_of(manifest).exists()


def test_of_warnings_a_sealing_says_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A column that gives the outcome away is a finding about everyone, those to be sealed among them."""
    manifest = write_cohort(tmp_path, more="")
    patients = pd.read_csv(tmp_path / "patients.csv")
    patients["smoker"] = patients["label"] == "yes"
    patients.to_csv(tmp_path / "patients.csv", index=False)
    assert any(problem.leak for problem in check_values(manifest))
    chiasm.seal(manifest)
    assert seal_of(manifest).exists() and capsys.readouterr() == ("", "")


def test_no_identifier_and_no_outcome_stands_in_the_file(tmp_path: Path) -> None:
    manifest = sealed_cohort(tmp_path, "survival")
    text = seal_of(manifest).read_text()
    patients = pd.read_csv(tmp_path / "patients.csv", dtype=str)
    for name in (*patients["case"], *patients["family"], *patients["months"]):
        assert name not in text
    assert FEWEST == MIN_EVENTS


def seen(manifest: Path) -> list[Any]:
    """All that an opened cohort and its check say, and the values."""
    cohort = chiasm.open_cohort(manifest)
    said = [cohort.fingerprint, cohort.findings, cohort.target, check_values(manifest), repr(cohort)]
    said += [cohort.column_kinds(name) for name in cohort.modalities]
    return [*said, *(cohort.raw(name).to_json(double_precision=15) for name in ("clinical", "rna"))]


@pytest.mark.parametrize("kind", ["survival", pytest.param("classification", marks=pytest.mark.nightly)])
def test_nothing_that_a_sealed_row_holds_is_seen(tmp_path: Path, kind: str) -> None:
    """Numbers become words, words numbers, files rubbish: the cohort outside is the same to the last finding."""
    manifest = sealed_cohort(tmp_path / kind, kind)
    before = seen(manifest)
    spoil(manifest)
    assert seen(manifest) == before
    with pytest.raises(CohortError):  # the law can fail: everyone together cannot be read as before
        cohort, problems = read_manifest(manifest, "everyone")
        faults = [*problems, *(() if cohort is None else [*cohort.findings, *check_values(cohort)])]
        raise CohortError([own for own in faults if own.severity == "error"] or pytest.fail("nothing was wrong"))


def test_one_sealed_word_does_not_change_how_the_others_are_written(tmp_path: Path) -> None:
    """Classes 01 and 02 are read as numbers, 1 and 2; with a word among them they would be texts, `01` and `02`."""
    manifest = write_cohort(tmp_path)
    text = (tmp_path / "patients.csv").read_text()
    (tmp_path / "patients.csv").write_text(text.replace(",yes,", ",01,").replace(",no,", ",02,"))
    seal_cohort(manifest, 0.25)
    before = chiasm.open_cohort(manifest).target
    spoil(manifest, values=False)
    assert chiasm.open_cohort(manifest).target == before and "never seen" in (tmp_path / "patients.csv").read_text()


def test_events_notes_and_shared_rows_are_held_back_too(tmp_path: Path) -> None:
    """A row that a patient outside shares by `on` is his; one of sealed patients alone is not read."""
    manifest = write_cohort(
        tmp_path,
        more="\n[modalities.ward]\nkind = 'table'\ntable = 'wards.csv'\non = 'site'\n"
        "[modalities.labs]\nkind = 'events'\ntable = 'labs.csv'\n"
        "[modalities.note]\nkind = 'text'\ntable = 'notes.csv'\ncolumn = 'note'\n",
    )
    ids = pd.read_csv(tmp_path / "patients.csv")["case"]
    pd.DataFrame({"site": list("ABCDE"), "beds": [10, 20, 30, 40, 50]}).to_csv(tmp_path / "wards.csv", index=False)
    labs = pd.DataFrame({"case": ids.repeat(2), "time": list(range(2)) * len(ids), "code": "Na", "value": 140.0})
    labs.to_csv(tmp_path / "labs.csv", index=False)
    pd.DataFrame({"case": ids, "note": [f"note {k}" for k in range(len(ids))]}).to_csv(
        tmp_path / "notes.csv", index=False
    )
    seal_cohort(manifest, 0.25)
    sealed = sealed_names(manifest)
    cohort = chiasm.open_cohort(manifest)
    assert cohort.raw("ward")["beds"].notna().all() and len(cohort.raw("labs")) == len(cohort)
    frame = cohort.sources["labs"].frame  # type: ignore[attr-defined]
    np.testing.assert_array_equal(frame["value"].isna(), labs["case"].isin(sealed))
    texts = cohort.sources["note"]._texts  # type: ignore[attr-defined]
    np.testing.assert_array_equal(texts == "", ids.isin(sealed))
    assert [own.finding for own in cohort.findings] == []


def test_rows_are_emptied_and_all_else_is_as_it_was() -> None:
    frame = pd.DataFrame(
        {
            "whole": [1, 2, 3, 4],
            "long": [2**60 + 1, 5, 6, 7],
            "part": [0.5, 1.5, 2.5, 3.5],
            "truth": [True, False, True, False],
            "word": ["a", "b", "c", "d"],
            "level": pd.Categorical(["x", "y", "x", "y"]),
            "day": pd.to_datetime(["2020-01-01"] * 4),
            "small": np.array([1, 2, 3, 4], dtype=np.uint8),
        }
    )
    found = without_rows(frame, np.array([1, 3]))
    assert found.loc[[1, 3]].isna().all().all() and list(found) == list(frame) and len(found) == 4
    kept = found.loc[[0, 2]]
    assert kept["long"].tolist() == [2**60 + 1, 6] and kept["word"].tolist() == ["a", "c"]
    pd.testing.assert_frame_equal(tidy(kept), tidy(frame.loc[[0, 2]]))
    assert without_rows(frame, np.array([], dtype=int)) is frame
    block = frame[["part"]].assign(other=np.float32(1))
    assert without_rows(block, np.array([0])).isna().sum().sum() == 2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d["counts"].update(patients=3), "does not have the hash that it names"),
        (lambda d: d["patients"].pop(), "does not have the hash that it names"),
        (lambda d: d.update(extra=1), "is not a seal that chiasm wrote"),
        (lambda d: d.pop("salt"), "is not a seal that chiasm wrote"),
        (lambda d: d.update(version=2), "is not a seal that chiasm wrote"),
        (lambda d: d["drawn"].update(seed="0"), "is not a seal that chiasm wrote"),
        (lambda d: d["openings"].pop(0), "the list of openings of the seal was changed"),
        (lambda d: d["openings"][0].update(date="2020-01-01"), "the list of openings of the seal was changed"),
        (lambda d: d["openings"][1].update(recipes=[]), "the list of openings of the seal was changed"),
    ],
)  # fmt: skip
def test_a_seal_that_was_changed_is_found(standing: Path, tmp_path: Path, change: Any, said: str) -> None:
    document = json.loads(seal_of(standing).read_text())
    change(document)
    (tmp_path / "seal.json").write_text(json.dumps(document))
    with pytest.raises(CohortError, match=said):
        read_seal(tmp_path / "seal.json")


def test_openings_are_told_wherever_the_cohort_is(standing: Path) -> None:
    assert repr(chiasm.open_cohort(standing)).endswith("patients are sealed, opened twice")


def test_a_forged_seal_does_not_fit_the_patients(tmp_path: Path) -> None:
    """Whoever computes the hash anew is found by who is in the table."""
    manifest = sealed_cohort(tmp_path)
    document = json.loads(seal_of(manifest).read_text())
    document["patients"] = sorted([*document["patients"][1:], "0" * 64])
    document["identity"] = identity_of(document)
    seal_of(manifest).write_text(json.dumps(document))
    assert f"1 of the {len(document['patients'])} sealed patients are not in the table" in refusal(manifest)
    assert [own.finding for own in check_values(manifest)] == ["broken-seal"]


def test_a_file_that_is_no_seal_opens_nothing(tmp_path: Path) -> None:
    manifest = write_cohort(tmp_path)
    for content in (b"", b"{", b"\xff\xfe", b"[" * 100_000, b"null"):
        seal_of(manifest).write_bytes(content)
        assert "cohort.seal.json: is not a seal that chiasm wrote" in refusal(manifest)
        with pytest.raises(CohortError, match="is not a seal that chiasm wrote"):
            chiasm.seal(manifest)
    seal_of(manifest).unlink()
    seal_of(manifest).mkdir()
    assert "cohort.seal.json: the seal of the cohort" in refusal(manifest)


def test_a_lost_seal_is_missed_where_the_manifest_names_it(tmp_path: Path) -> None:
    asked = '[seal]\ntest = 0.25\nseed = 4\nby = "site"\n'
    manifest = write_cohort(tmp_path, more=asked)
    assert "asks for a sealed test set, and none is drawn; run chiasm seal" in refusal(manifest)
    assert [own.finding for own in check_values(manifest)] == ["no-seal"] and not seal_of(manifest).exists()
    with pytest.raises(ValueError, match="says seed = 4, and 5 was asked"):
        seal_cohort(manifest, seed=5)
    seal_cohort(manifest)
    assert read_seal(seal_of(manifest)).drawn.model_dump() == {"test": 0.25, "seed": 4, "by": "site"}
    assert chiasm.open_cohort(manifest).sealed is not None
    manifest.write_text(manifest.read_text().replace("seed = 4", "seed = 5"))
    assert "was drawn with seed = 4, and [seal] says 5" in refusal(manifest)
    seal_of(manifest).unlink()
    assert "none is drawn" in refusal(manifest)
    for wrong in ('[seal]\ntest = "0.2"\n', "[seal]\ntset = 0.2\n", "[[seal]]\n", '[seal]\nfile = "../x.json"\n'):
        manifest.write_text(manifest.read_text().partition("[seal]")[0].partition("[[seal]]")[0] + wrong)
        with pytest.raises(CohortError):
            chiasm.open_cohort(manifest)
        with pytest.raises(CohortError):
            seal_cohort(manifest)
    assert not list(tmp_path.glob("*.seal.json"))


def test_a_named_file_is_the_seal_and_there_is_one(tmp_path: Path) -> None:
    manifest = write_cohort(tmp_path, more='[seal]\nfile = "held.json"\n')
    assert seal_cohort(manifest) == tmp_path.resolve() / "held.json"
    assert chiasm.open_cohort(tmp_path).sealed is not None
    seal_of(manifest).write_text((tmp_path / "held.json").read_text())
    assert "names another seal than the one beside it" in refusal(manifest)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"test": 0.0}, "lies between 0 and 1"),
        ({"test": 1.5}, "lies between 0 and 1"),
        ({"test": 0.01}, "5 are needed"),
        ({"test": 0.97}, "5 are needed"),
        ({"seed": -1}, "must be 0 or more"),
        ({"by": "ward"}, "not by 'ward'"),
    ],
)
def test_what_cannot_be_sealed_is_refused_and_nothing_is_written(tmp_path: Path, options: Any, said: str) -> None:
    manifest = write_cohort(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises((ValueError, CohortError), match=said):
        chiasm.seal(manifest, **options)
    assert sorted(tmp_path.rglob("*")) == before


def test_cohorts_with_errors_or_without_a_target_are_not_sealed(tmp_path: Path) -> None:
    manifest = write_cohort(tmp_path)
    text = manifest.read_text()
    for wrong, said in (
        (text.replace('column = "label"', 'column = "lable"'), "did you mean 'label'"),
        (text.replace(f"[target]\n{TARGETS['classification']}\n", ""), "no known outcome to seal"),
        ("", "is empty"),
    ):
        manifest.write_text(wrong)
        with pytest.raises(CohortError, match=said):
            chiasm.seal(manifest)
    with pytest.raises(CohortError, match="no such file"):
        chiasm.seal(tmp_path / "other.toml")
    assert not list(tmp_path.glob("*.seal.json"))


def test_a_cohort_is_sealed_once(tmp_path: Path) -> None:
    manifest = sealed_cohort(tmp_path)
    before = seal_of(manifest).read_bytes()
    with pytest.raises(CohortError, match="sealed already"):
        chiasm.seal(manifest, 0.3)
    assert seal_of(manifest).read_bytes() == before


def noted(file: str, identity: str, number: int) -> None:
    for _ in range(5):
        add_opening(Path(file), identity, f"run {number}", ["presence"])


def test_two_openings_at_once_have_two_numbers(tmp_path: Path) -> None:
    manifest = sealed_cohort(tmp_path)
    seal = read_seal(seal_of(manifest))
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=noted, args=(str(seal_of(manifest)), seal.identity, k)) for k in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    after = read_seal(seal_of(manifest))
    assert [own.number for own in after.openings] == list(range(1, 16))
    assert after.identity == seal.identity and stat.S_IMODE(seal_of(manifest).stat().st_mode) == 0o600
