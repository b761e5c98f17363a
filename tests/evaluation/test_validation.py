"""A model on another cohort: scores that what is written gives again, refusals in a sentence, nobody named."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.cli import main
from chiasm.cohort import Cohort, Outcome, cohort_from_frames, synthetic_cohort
from chiasm.evaluation.trial import outcome_of
from chiasm.metrics.scores import score
from chiasm.targets import class_names

N, NEW = 90, 70


def halves(kind: str) -> tuple[Cohort, Cohort]:
    whole = synthetic_cohort("complementary", N + NEW, target=kind, seed=1, missing=0.2)
    return whole.subset(np.arange(N)), whole.subset(np.arange(N, N + NEW))


@pytest.fixture(scope="module", params=["survival", pytest.param("multilabel", marks=pytest.mark.nightly)])
def pair(request: pytest.FixtureRequest) -> tuple[chiasm.Cohort, object]:
    old, new = halves(request.param)
    return new, chiasm.fit(old, "single:m1" if request.param == "multilabel" else "late-fusion")


@pytest.fixture(scope="module")
def classes() -> tuple[chiasm.Cohort, object]:
    old, new = halves("classification")
    return new, chiasm.fit(old, "single:m1")


def test_scores_are_those_of_the_written_predictions(pair, tmp_path: Path) -> None:
    cohort, model = pair
    found = chiasm.validate(model, cohort, out=tmp_path / "v", draws=100)
    document = json.loads((tmp_path / "v" / "validation.json").read_text())
    said, outcomes = (pd.read_parquet(tmp_path / "v" / f"{name}.parquet") for name in ("predictions", "outcomes"))
    assert list(said["patient"]) == list(outcomes["patient"])
    names = class_names(cohort.target)
    kept = outcome_of(outcomes, names)
    again = score(cohort.target.kind, said, kept, names, train=kept)
    for name, entry in document["metrics"].items():
        if entry["mean"] is not None:
            assert entry["mean"] == pytest.approx(again[name][0], rel=1e-9), name
    assert document["metrics"][document["metric"]]["mean"] == document["mean"] is not None
    assert len(said) == found.document["patients"] == len(found.predictions) == found.external.patients
    for name in ("predictions.parquet", "outcomes.parquet", "validation.json", "report.html"):
        assert (tmp_path / "v" / name).stat().st_mode & 0o077 == 0, name


def test_the_page_has_the_scores_and_nobody_is_named(pair, tmp_path: Path) -> None:
    cohort, model = pair
    names = np.array([f"WOB77{k:03d}" for k in range(len(cohort))])
    found = chiasm.validate(model, replace(cohort, ids=names), out=tmp_path, draws=100, replace=True)
    page, text = ((tmp_path / name).read_text() for name in ("report.html", "validation.json"))
    assert f"<title>{found.title.replace(chr(39), '&#39;')}</title>" in page
    assert "External validation of" in repr(found) and "95 %" in found._repr_html_()
    row = found.table().iloc[0]
    assert f"{row['mean']:.3f} (95 % interval {row['low']:.3f} to {row['high']:.3f})" in page
    assert ('id="risk-table"' in page) == (cohort.target.kind == "survival")
    assert ('id="label-table"' in page) == (cohort.target.kind == "multilabel")
    assert "WOB77" not in page + text + repr(found)
    again = chiasm.validate(model, replace(cohort, ids=names), out=tmp_path / "again", draws=100)
    assert (tmp_path / "again" / "report.html").read_text() == page, "the same validation gives the same bytes"
    assert again.document == found.document


@pytest.mark.parametrize("stopped", ["outcomes.parquet", "validation.json"])
def test_a_run_that_is_stopped_leaves_nothing_of_an_older_validation(
    classes, stopped: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cohort, model = classes
    chiasm.validate(model, cohort, out=tmp_path / "v", draws=100)
    fewer = cohort.subset(np.arange(40))
    with monkeypatch.context() as patch:
        stop_before(patch, stopped)
        with pytest.raises(KeyboardInterrupt):
            chiasm.validate(model, fewer, out=tmp_path / "v", draws=100, replace=True)
    order = ["predictions.parquet", "outcomes.parquet", "report.html", "validation.json"]
    assert {file.name for file in (tmp_path / "v").iterdir()} == set(order[: order.index(stopped)])
    (tmp_path / "v" / ".outcomes.parquet.1.tmp").touch()  # of a run that was ended by force
    with pytest.raises(chiasm.TrialError, match="not finished: add --force"):
        chiasm.validate(model, fewer, out=tmp_path / "v", draws=100)
    again = chiasm.validate(model, fewer, out=tmp_path / "v", draws=100, replace=True)
    assert json.loads((tmp_path / "v" / "validation.json").read_text())["patients"] == again.document["patients"]


def stop_before(patch: pytest.MonkeyPatch, name: str) -> None:
    """Stop whatever would write this file, as a signal does."""
    from chiasm.artifact import whole

    write = whole.whole_file

    def stopping(path: Path, *more: object, **told: object) -> object:
        if path.name == name:
            raise KeyboardInterrupt
        return write(path, *more, **told)

    for place in ("chiasm.artifact.files.whole_file", "chiasm.evaluation.fits.whole_file"):
        patch.setattr(place, stopping)


def test_the_page_of_one_site_says_that_there_is_no_interval(classes, tmp_path: Path) -> None:
    cohort, model = classes
    one = replace(cohort, site=np.array(["elsewhere"] * len(cohort)))
    found = chiasm.validate(model, one, out=tmp_path / "v", draws=100, by="site")
    page, score = (tmp_path / "v" / "report.html").read_text(), found.document["mean"]
    assert f"AUROC is {score:.3f} (no interval) in {NEW - sum(found.document['left_out'].values())} patients" in page
    assert "No intervals: the patients are all of one cluster" in page and "nan" not in page.partition("data:")[0]
    assert "(no interval)" in repr(found) and "no interval" in found._repr_html_()


def test_who_is_left_out_what_lacks_and_what_is_unlike_training_is_said(classes, tmp_path: Path) -> None:
    cohort, model = classes
    value = cohort.outcome.value.copy()
    value[:6] = np.nan
    odd = cohort.with_target(cohort.target, Outcome(value, None, ~np.isnan(value)))
    raw = cohort.raw("m1")
    raw.iloc[-1, 0] = 1e6
    odd = odd.with_values("m1", "table", raw, np.ones(len(raw), dtype=bool), None)
    found = chiasm.validate(model, odd, draws=100)
    lacking = int((odd.outcome.known & ~odd.with_modalities(["m1"]).present[:, 0]).sum())
    assert found.document["left_out"] == {
        "their outcome is not known": 6, "they have none of the model's modalities": lacking
    }  # fmt: skip
    assert lacking and found.document["cohort"]["modalities"].keys() == {"m1"}, "m2 is not read and not counted"
    late = chiasm.fit(halves("classification")[0], "late-fusion")
    bare = chiasm.validate(late, odd.with_modalities(["m1"]), draws=100)
    assert "The cohort has no modality 'm2', which the model reads." in bare.document["notes"]
    assert "Column 'm1_0' lies far outside of training in 1 patient (modality 'm1')." in bare.document["notes"]


def test_another_target_is_refused_and_nothing_is_written(classes, tmp_path: Path) -> None:
    cohort, model = classes
    target, other = cohort.target, halves("survival")[1]
    out = tmp_path / "v"
    renamed = cohort.with_target(replace(target, classes=("no", "yes")), cohort.outcome)
    for spoilt, said in (
        (
            other,
            "predicts a target of kind 'classification' and that of the cohort 'complementary' is of kind 'survival'",
        ),
        (renamed, "knows the classes 'a', 'b' and the target of the cohort 'complementary' has 'no', 'yes'"),
        (cohort.with_target(None, None), "the cohort 'complementary' has no target"),
        (cohort.with_modalities(["m2"]), "has none of the model's modalities 'm1', but 'm2'"),
    ):
        said = said.replace("'a', 'b'", ", ".join(f"'{name}'" for name in target.classes))
        with pytest.raises(chiasm.Unsupported, match=said):
            chiasm.validate(model, spoilt, out=out)
    assert not out.exists()


def test_another_unit_is_refused_and_a_missing_one_is_said() -> None:
    old, new = halves("survival")
    model = chiasm.fit(old, "single:m1")
    assert old.target.unit == "months"
    days, none, once = (new.with_target(replace(new.target, unit=unit), new.outcome) for unit in ("days", "", "Month"))
    with pytest.raises(chiasm.Unsupported, match=r"the model predicts in 'months' .* is in 'days': convert"):
        chiasm.validate(model, days)
    noted = "The target of the cohort names no unit, and is taken to be in 'months'."
    assert noted in chiasm.validate(model, none, draws=100).document["notes"]
    assert noted not in chiasm.validate(model, once, draws=100).document["notes"]


def test_columns_that_lack_are_named_and_nothing_is_written(classes, tmp_path: Path) -> None:
    cohort, model = classes
    raw = cohort.raw("m1").rename(columns=lambda name: f"lab_{name.upper()}")
    patients = pd.DataFrame({"y": np.array(cohort.target.classes)[cohort.outcome.value.astype(int)]}, index=cohort.ids)
    other = cohort_from_frames(patients, {"m1": raw}, chiasm.Classification("y"))
    with pytest.raises(chiasm.Unsupported, match=r"16 of them missing now: .* another beginning or end, as 'lab_M1_0'"):
        chiasm.validate(model, other, out=tmp_path / "v")
    assert not (tmp_path / "v").exists()
    loose = chiasm.validate(model, other, strict=False, draws=100)
    notes = " ".join(loose.document["notes"])
    assert f"The model was fitted for '{cohort.target.column}' and the outcomes are 'y'" in notes
    assert "16 of 16 columns that the model reads are not there, and count as missing for every patient" in notes
    page = loose.report(tmp_path / "loose.html").read_text(encoding="utf-8")
    assert "16 of 16 columns" in page and "--out validation/ --no-strict" in page


def test_a_folder_that_holds_something_is_not_written_over(classes, tmp_path: Path) -> None:
    cohort, model = classes
    chiasm.validate(model, cohort, out=tmp_path / "v", draws=100)
    with pytest.raises(chiasm.TrialError, match=r"holds a validation already: .* --force"):
        chiasm.validate(model, cohort, out=tmp_path / "v")
    (tmp_path / "v" / "mine.txt").write_text("kept")
    with pytest.raises(chiasm.TrialError, match="is not the folder of a validation"):
        chiasm.validate(model, cohort, out=tmp_path / "v", replace=True)
    assert (tmp_path / "v" / "mine.txt").read_text() == "kept"


def test_the_command_prints_scores_or_one_sentence(classes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cohort, model = classes
    model.save(tmp_path / "model")
    raw = cohort.raw("m1")
    labels = np.array(cohort.target.classes)[cohort.outcome.value.astype(int)]
    table = raw.reindex(cohort.ids).assign(**{"case": cohort.ids, cohort.target.column: labels})
    table.to_csv(tmp_path / "patients.csv", index=False)
    listed = ", ".join(f'"{name}"' for name in raw.columns)
    manifest = (
        'name = "other"\n[patients]\ntable = "patients.csv"\nid = "case"\n[target]\nkind = "classification"\n'
        f'column = "{cohort.target.column}"\n[modalities.m1]\nkind = "table"\ncolumns = [{listed}]\n'
    )
    (tmp_path / "other.toml").write_text(manifest)
    command = ["validate", str(tmp_path / "model"), str(tmp_path / "other.toml"), "--out", str(tmp_path / "v")]
    with pytest.raises(SystemExit) as left:
        main([*command, "--draws", "100"])
    said = capsys.readouterr()
    assert not left.value.code and "External validation of 'single:m1' on 'other'" in said.out
    assert "AUROC" in said.out and f"Report: {tmp_path / 'v' / 'report.html'}" in said.out
    assert not any(name in said.out + said.err for name in cohort.ids)
    with pytest.raises(SystemExit) as left:
        main([*command, "--draws", "100", "--json", "--force"])
    assert json.loads(capsys.readouterr().out) == json.loads((tmp_path / "v" / "validation.json").read_text())
    (tmp_path / "other.toml").write_text(manifest.replace('"classification"', '"regression"'))
    with pytest.raises(SystemExit) as left:
        main([*command[:-1], str(tmp_path / "w")])
    assert left.value.code == 2 and not (tmp_path / "w").exists()


@pytest.mark.slow
@pytest.mark.nightly
@pytest.mark.filterwarnings("ignore::chiasm.errors.FindingWarning")  # two patients of the cohort are identical
def test_half_the_sites_of_a_real_cohort_tell_of_the_other_half(shared_data: Path) -> None:
    whole = chiasm.open_cohort(shared_data / "tcga-blca" / "cohort.toml").with_modalities(["clinical", "cnv"])
    sites = sorted(set(whole.site.tolist()))
    rows = np.isin(whole.site, sites[::2])
    model = chiasm.fit(replace(whole.subset(rows), fold=None), "late-fusion")
    found = chiasm.validate(model, replace(whole.subset(~rows), fold=None), by="site", draws=200)
    assert found.document["cohort"]["units"] == len(sites) - len(sites[::2])
    scores = found.external.scores["late-fusion"]
    assert scores["harrell_c"].mean > 0.5 and scores["calibration_slope_t2"].estimable


@pytest.mark.nightly
@pytest.mark.filterwarnings("ignore::chiasm.errors.FindingWarning")
def test_genes_of_a_real_cohort_that_are_named_otherwise_are_told_of(tmp_path: Path, shared_data: Path) -> None:
    whole = replace(chiasm.open_cohort(shared_data / "tcga-luad" / "cohort.toml").with_modalities(["rna"]), fold=None)
    model, new = chiasm.fit(whole.subset(range(150)), "single:rna"), whole.subset(range(150, 200))
    raw = new.raw("rna").rename(columns=lambda gene: f"rna_{gene.lower()}")
    patients = pd.DataFrame({"months": new.outcome.value, "died": new.outcome.event.astype(int)}, index=new.ids)
    target = chiasm.Survival("months", "died", unit="months")
    other = cohort_from_frames(patients, {"rna": raw}, target, kinds={"rna": "omics"})
    n = raw.shape[1]
    said = f"{n:,} of them missing now: {n:,} of them stand there with another beginning or end, as 'rna_"
    with pytest.raises(chiasm.Unsupported, match=said):
        chiasm.validate(model, other, out=tmp_path / "v")
    assert not (tmp_path / "v").exists()
