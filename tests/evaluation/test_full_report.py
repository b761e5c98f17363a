"""`full_report`: every part is asked once, kept beside the trial, shown on its page, and not asked again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

import chiasm
from chiasm.api.reported_in_full import _Work, best_network
from chiasm.cohort import Cohort, synthetic_cohort
from chiasm.evaluation import Protocol
from chiasm.evaluation.beside import PARTS, begun_anew
from chiasm.report.collected import collected_part
from chiasm.report.explained import explained_part
from chiasm.report.stressed import stressed_part
from chiasm.report.sure import sure_part
from chiasm.shown import interval
from html_page import Page

COHORT = synthetic_cohort("complementary", 100, target="regression", missing=0.2, seed=1)
CALLED = "chiasm.api.reported_in_full."


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("full") / "run"
    protocol = Protocol(folds=2, inner_folds=2, repeats=1, draws=100)
    chiasm.evaluate(COHORT, "late-fusion,single:m1", protocol, out=path, jobs=1)
    found = chiasm.full_report(path, COHORT, worth=100.0, jobs=1)
    assert set(found.left_out) == {"not_at_random"}, found.left_out
    assert all(file.exists() for file in found.files) and found.files[0].name == "report.html"
    assert {file.name for file in found.files} >= {"model", "card.md", "methods.md", "methods.bib", "supplement.xlsx"}
    return path


@pytest.mark.nightly
def test_each_part_that_can_be_asked_is_kept_and_has_its_section(folder: Path) -> None:
    kept = {name: json.loads((folder / f"{name}.json").read_text()) for name in PARTS if name != "not_at_random"}
    page = Page(folder / "report.html")
    assert not page.faults and {"explained", "sure", "collected", "stressed", "interaction"} <= set(page.ids)
    shares = page.tables["share-table"][1:]
    assert [row[0] for row in shares] == [own["modality"] for own in kept["explained"]["rows"]]
    for cells, own in zip(shares, kept["explained"]["rows"], strict=True):
        assert cells[3] == interval(own["size"], own["low"], own["high"])
    for cells, own in zip(page.tables["column-table"][1:], kept["explained"]["columns"], strict=True):
        assert cells[0] == own["name"] and cells[2] == own["way"]
    for cells, own in zip(page.tables["sure-table"][1:], kept["sure"]["rows"], strict=True):
        assert cells[:2] == [own["by"], own["level"]] and (own["said"] in cells or not own["said"])
    faults = [own for own in kept["stressed"]["rows"] if own["fault"] != "none"]
    for cells, own in zip(page.tables["fault-table"][1:], faults, strict=True):
        assert cells[:3] == [own["recipe"], own["fault"], own["modality"]]
        assert cells[5:] == [
            interval(own["metric"], own["low"], own["high"]),
            interval(own["change"], own["change_low"], own["change_high"]),
        ]
    assert {own["fault"] for own in faults} == {"drift", "lost", "mixed", "labels"}
    assert "no network of several modalities is in the trial" in page.text


@pytest.mark.nightly
def test_what_was_kept_is_not_asked_again_and_what_changed_is(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    for name in ("_explained", "_sure", "_interaction", "_collect", "_stress"):
        monkeypatch.setattr(CALLED + name, lambda work, name=name: asked.append(name))
    again = chiasm.full_report(folder, COHORT, worth=100.0, jobs=1)
    assert not asked and again.files[0].exists()
    file = folder / "collected.json"
    before = file.read_text()
    file.write_text(before.replace(json.loads(before)["about"], "0" * 64))
    assert "It was asked of other predictions" in Page(chiasm.load_trial(folder).report(folder / "report.html")).text
    chiasm.full_report(folder, COHORT, worth=100.0, jobs=1)
    assert asked == ["_collect"]
    file.write_text(before)


def test_what_was_asked_otherwise_is_asked_again(tmp_path: Path) -> None:
    asked = {"recipe": "late-fusion", "seed": 0, "worth": None, "cohort": "a"}
    begun_anew(tmp_path, asked)
    (tmp_path / "model").mkdir()
    (tmp_path / "collected.json").touch()
    begun_anew(tmp_path, asked)
    assert (tmp_path / "model").exists() and (tmp_path / "collected.json").exists()
    begun_anew(tmp_path, {**asked, "worth": 9.0})
    assert not (tmp_path / "model").exists() and not (tmp_path / "collected.json").exists()
    (tmp_path / "full_report.json").unlink()
    (tmp_path / "model").mkdir()
    with pytest.raises(FileExistsError, match="no model of a full report"):
        begun_anew(tmp_path, asked)


def test_the_rules_of_the_trial_hold_for_all_that_is_asked() -> None:
    rules = Protocol(folds=4, by="site", group_duplicates=True, inner_folds=2, margin=0.02)
    own = _Work(Path(), SimpleNamespace(document={"protocol": {**rules.as_json(), "seed": 3}}), None, None, 0, {}, None)
    assert own.protocol == replace(rules, repeats=1, draws=200)


@pytest.mark.nightly
def test_a_trial_of_other_patients_is_refused(folder: Path) -> None:
    others: Cohort = COHORT.subset(list(range(40)))
    with pytest.raises(ValueError, match="other patients than the cohort"):
        chiasm.full_report(folder, others, jobs=1)


def test_the_network_that_inner_folds_like_best_is_attacked() -> None:
    scores = {"healnet": 0.6, "lego-fuse": 0.7, "healnet:modality=m1": 0.9, "late-fusion": 0.8, "of-elsewhere": 1.0}
    rows = [{"name": name, "folds": [{"inner": inner}, {"inner": None}]} for name, inner in scores.items()]
    assert best_network(SimpleNamespace(document={"recipes": rows})) == "lego-fuse"
    assert best_network(SimpleNamespace(document={"recipes": rows[3:]})) is None
    alone = {"name": "healnet", "folds": [{"inner": None}]}
    assert best_network(SimpleNamespace(document={"recipes": [alone]})) == "healnet"


def test_what_is_kept_is_what_the_sections_say() -> None:
    """Each figure of the four sections is that of the file, and nothing is said once the predictions have changed."""
    row = {"modality": "m1", "output": "risk", "patients": 40, "mean": 0.01, "size": 0.25, "low": 0.2, "high": 0.3}
    column = {
        "name": "TP53", "columns": 1, "what": "column", "modality": "m1", "way": "permutation", "output": "risk",
        "size": 0.0001, "low": 0.00005, "high": 0.0002, "effect": None, "loss": 0.02, "loss_low": 0.01,
        "loss_high": 0.03, "nothing": None,
    }  # fmt: skip
    check = {"check": "halves", "things": 7, "what": "column", "modality": "m1", "way": "permutation", "note": ""}
    check |= {"correlation": 0.5, "low": 0.1, "high": 0.8}
    asked = {"recipe": "late-fusion", "fitted": 80, "patients": 40, "coverage": 0.9, "folds": 5, "worth": None}
    group = {"by": "pattern", "n": 40, "events": 12, "said": "", "low_coverage": 0.83, "threshold": 0.7}
    few = {"by": "sex", "n": None, "events": None, "said": "too few to say", "low_coverage": None, "threshold": None}
    gain = {"have": "m1", "add": "m2", "asked": 12, "gain": 0.1, "low": 0.05, "high": 0.15, "cost": 20.0, "net": None}
    gain |= {"break_even": 200.0, "break_even_low": 133.0, "break_even_high": None, "decision": ""}
    plain = {"recipe": "late-fusion", "fault": "none", "modality": "", "level": 0.0, "struck": 0.0, "explained": 0.3}
    plain |= {"metric": 0.7, "low": 0.6, "high": 0.8, "change": 0.0, "change_low": None, "change_high": None}
    hurt = plain | {"fault": "drift", "modality": "m1", "level": 2.0, "struck": 20.0, "metric": 0.6, "change": -0.1}
    hurt |= {"change_low": -0.2, "change_high": 0.0}
    apart = hurt | {"fault": "sites", "modality": "", "level": 3.0}
    attack = {"recipe": "healnet", "attack": "fgsm", "modality": "(all)", "radius": 0.25, "clean": 0.7, "noise": 0.69}
    attack |= {"attacked": 0.3, "low": 0.2, "high": 0.4, "lost": None}
    kept = {"asked": asked, "said": ["A note."], "leaks": [], "changed": False}
    document = {
        "explained": kept | {"rows": [row], "columns": [column], "checks": [check]},
        "sure": kept | {"rows": [group | {"level": "m1"}, few | {"level": ""}]},
        "collected": kept | {"rows": [gain, gain | {"add": "m3", "gain": None}]},
        "stressed": kept
        | {"rows": [plain, hurt, apart], "metric": "C", "not_attacked": {"late-fusion": "left"}, "attacks": [attack]},
    }
    trial = SimpleNamespace(document=document)
    explained, sure = explained_part(trial), sure_part(trial)
    assert explained.modalities.rows == [["m1", "risk", "40", "0.250 (0.200 to 0.300)", "0.01"]]
    (cells,) = explained.columns.rows
    assert cells[0] == "TP53" and cells[4:] == ["0.0001 (0.00005 to 0.0002)", "", "0.020 (0.010 to 0.030)", ""]
    assert explained.checks.rows[0][-1] == "0.500 (0.100 to 0.800)" and "fitted on 80 patients" in explained.said[0]
    assert sure.table.rows == [
        ["pattern", "m1", "40", "12", "0.7", "83 %"],
        ["sex", "not filled in", "<5", "<5", "too few to say", ""],
    ]
    collected, stressed = collected_part(trial), stressed_part(trial)
    assert collected.table.rows == [["m1", "m2", "12", "0.100 (0.050 to 0.150)", "200 (133 to never)"]]
    assert "'m3' for m1" in collected.few
    assert stressed.faults.rows == [
        ["late-fusion", "drift", "m1", "2", "20", "0.600 (0.600 to 0.800)", "-0.100 (-0.200 to 0.000)"]
    ]
    assert stressed.sites.rows[0][1:3] == ["3", "0.700"] and stressed.attacks.rows[0][-1] == "not estimable"
    for own in document.values():
        own["changed"] = True
    for part, tables in (
        (explained_part, ("modalities", "columns", "checks")), (sure_part, ("table",)), (collected_part, ("table",)),
        (stressed_part, ("faults", "sites", "attacks")),
    ):  # fmt: skip
        found = part(trial)
        assert "other predictions" in found.said[0] and not any(getattr(found, name).rows for name in tables)
