"""The command line: what is printed where, exit codes, and one sentence for each problem."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm import api, screen
from chiasm.testing.cohorts import synthetic_parts
from cohort_folder import CohortFolder
from command_line import Run
from small_recipes import on_disk

QUICK = ["--ignore-folds", "--folds", "2", "--repeats", "1", "--jobs", "1"]
RECIPES = ["--recipes", "single:clinical,single:rna", "--recipes", "late-fusion"]


def test_check_says_no_problems_and_sums_up(run: Run, cohort_folder: CohortFolder) -> None:
    said = run("check", cohort_folder.manifest)
    assert said.code == 0 and said.out.rstrip().endswith("no problems")
    assert "bladder: 40 patients, survival, 40 known, 20 events" in said.out
    assert [line.split() for line in said.out.splitlines() if "omics" in line] == [["rna", "omics", "30"]]


def test_check_lists_errors_with_place_and_fix_and_exits_with_one(run: Run, cohort_folder: CohortFolder) -> None:
    cohort_folder.set_cell(3, "months", "-4")
    said = run("check", cohort_folder.manifest)
    assert said.code == 1
    assert "error: clinical.csv, row 3" in said.out and "1 error" in said.out
    assert "002" not in said.out + said.err
    document = json.loads(run("check", cohort_folder.path, "--json").out)
    assert document["errors"] == 1 and document["problems"][0]["row"] == 3
    assert document["cohort"]["modalities"]["slide"] == {"kind": "bag", "present": 20}


def test_check_of_what_cannot_be_opened(run: Run, tmp_path: Path) -> None:
    said = run("check", tmp_path / "cohort.toml")
    assert said.code == 1 and "there is no such file" in said.out and "Traceback" not in said.err


def test_evaluate_shows_table_verdict_report_and_time(run: Run, two_tables: CohortFolder, tmp_path: Path) -> None:
    said = run("evaluate", two_tables.manifest, *RECIPES, "--out", tmp_path / "run", *QUICK)
    assert said.code == 0, said.err
    for word in (
        "single:rna",
        "late-fusion",
        "harrell_c (95 % interval, given the fitted models)",
        "Took",
        "most work",
        "ombining modalities",
    ):
        assert word in said.out
    assert said.out.rstrip().endswith(f"Report: {tmp_path / 'run' / 'report.html'}")
    assert "training sets" in said.err and "training sets" not in said.out
    assert (tmp_path / "run" / "report.html").stat().st_size > 1000
    again = run("evaluate", two_tables.manifest, *RECIPES, "--out", tmp_path / "run", *QUICK)
    assert again.code == 2 and "add --resume" in again.err and not again.out
    resumed = run("evaluate", two_tables.manifest, *RECIPES, "--out", tmp_path / "run", *QUICK, "--resume", "--json")
    assert json.loads(resumed.out) == json.loads((tmp_path / "run" / "trial.json").read_text())
    page = tmp_path / "elsewhere.html"
    wanted = ["--methods", tmp_path / "m.md", "--supplement", tmp_path / "s.xlsx"]
    written = run("report", tmp_path / "run", "--out", page, *wanted)
    assert written.code == 0 and page.is_file(), written.err
    said_first = [line.split(":")[0] for line in written.out.splitlines()]
    assert said_first == ["Report", "Methods", "Supplement"]
    assert all((tmp_path / name).is_file() for name in ("m.md", "m.bib", "s.xlsx"))
    assert not (tmp_path / "reporting.md").exists(), "what nobody asked for is not written beside --out"
    refused = run("report", tmp_path / "run", "--out", tmp_path / "late.html", "--supplement", tmp_path / "s.csv")
    assert refused.code == 2 and "must end in .xlsx" in refused.err and not (tmp_path / "late.html").exists()
    items = tmp_path / "run" / "reporting.md"
    items.write_text(ours := items.read_text(encoding="utf-8") + "approved by our committee\n", encoding="utf-8")
    assert f"Guidelines: {items} differs" in run("report", tmp_path / "run").out
    assert items.read_text(encoding="utf-8") == ours, "what authors wrote is kept"
    assert (
        run("report", tmp_path / "run", "--guidelines", tmp_path / "g.md").code == 0 and (tmp_path / "g.md").is_file()
    )


def test_not_estimable_is_said_in_words() -> None:
    assert screen.interval(float("nan"), float("nan"), float("nan")) == "not estimable"
    assert screen.interval(0.5, float("nan"), float("nan")) == "0.500 (no interval)"
    assert screen.interval(0.5, 0.4, 0.6) == "0.500 (0.400 to 0.600)"
    assert [screen.duration(s) for s in (3.21, 45.4, 125, 12_000)] == ["3.2 s", "45 s", "2 min 05 s", "3 h 20 min"]


def test_fit_and_predict(run: Run, two_tables: CohortFolder, tmp_path: Path) -> None:
    model = tmp_path / "model"
    said = run("fit", two_tables.manifest, "--recipe", "late-fusion", "--out", model)
    assert said.code == 0 and "trained parameters" in said.out and "chiasm predict" in said.out
    refused = run("fit", two_tables.manifest, "--recipe", "late-fusion", "--out", model)
    assert refused.code == 2 and "--force" in refused.err
    document = json.loads(
        run("fit", two_tables.path, "--recipe", "late-fusion", "--out", model, "--force", "--json").out
    )
    assert document["model"] == str(model) and document["trained_parameters"] > 0

    two_tables.edit('[target]\nkind = "survival"\ntime = "months"\nunit = "months"\nevent = "died"\n', "")
    out = tmp_path / "new" / "predictions.csv"
    said = run("predict", model, two_tables.manifest, "--out", out)
    assert said.code == 0, said.err
    assert "Predicted 40 patients" in said.out and "clinical+rna" in said.out
    frame = pd.read_csv(out, dtype={"patient": str}).set_index("patient")
    assert list(frame.index) == list(two_tables.clinical()["case_id"])
    direct = chiasm.load_model(model).predict(chiasm.open_cohort(two_tables.manifest))
    assert np.allclose(frame["risk"], direct["risk"])
    assert list(out.parent.iterdir()) == [out]

    kept = run("predict", model, two_tables.manifest, "--out", out)
    assert kept.code == 2 and "--force" in kept.err
    assert run("predict", model, two_tables.manifest, "--out", out, "--force").code == 0
    parquet = json.loads(run("predict", model, two_tables.manifest, "--out", tmp_path / "p.parquet", "--json").out)
    assert parquet["patients"] == 40 and sum(parquet["patterns"].values()) == 40
    assert pd.read_parquet(tmp_path / "p.parquet").equals(direct)


def test_warnings_are_counted_and_no_identifier_is_on_the_screen(
    run: Run, two_tables: CohortFolder, tmp_path: Path
) -> None:
    two_tables.edit('unit = "months"', 'unit = "days"')
    frame = two_tables.clinical()
    secret = {old: f"Secret-{old}" for old in frame["case_id"]}
    two_tables.write_clinical(frame.assign(case_id=frame["case_id"].map(secret)))
    for name, read, write in (("rna.parquet", pd.read_parquet, "to_parquet"), ("folds.csv", pd.read_csv, "to_csv")):
        table = read(two_tables.path / name)
        table["case_id"] = [f"Secret-{int(value):03d}" for value in table["case_id"]]
        getattr(table, write)(two_tables.path / name, index=False)
    said = [
        run("check", two_tables.manifest),
        run("evaluate", two_tables.manifest, *RECIPES, "--out", tmp_path / "run", *QUICK),
        run("fit", two_tables.manifest, "--recipe", "late-fusion", "--out", tmp_path / "model"),
        run("predict", tmp_path / "model", two_tables.manifest, "--out", tmp_path / "p.csv"),
    ]
    assert [one.code for one in said] == [0, 0, 0, 0]
    assert "1 warning: chiasm check" in said[1].err
    assert not any("Secret" in one.out + one.err for one in said)
    assert "Secret" in (tmp_path / "p.csv").read_text()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--recipes", "late-fussion"], "did you mean 'late-fusion'?"),
        (["--recipes", "lego-fuse:modus=weave"], "did you mean 'mode'?"),
        (["--recipes", "stacked-fusion:shrinkage=much"], "option 'shrinkage'"),
        (["--recipes", "single:dna"], "no modality 'dna'"),
        (["--folds", "1"], "folds >= 2"),
        (["--by", "ward"], "'site'"),
        (["--margin", "-1"], "margin"),
        (["--device", "cuda:99"], "no device 'cuda:99'"),
        (["--device", "nonsense"], "no device 'nonsense'"),
        (["--fold", "3"], "--folds"),
        (["--seed", "x"], "--seed"),
    ],
)
def test_what_is_asked_wrongly_is_one_sentence(
    run: Run, two_tables: CohortFolder, tmp_path: Path, words: list[str], says: str
) -> None:
    said = run("evaluate", two_tables.manifest, "--out", tmp_path / "run", *words)
    assert said.code == 2 and says in said.err and not said.out
    assert "Traceback" not in said.err
    assert not (tmp_path / "run").exists(), "an error comes before anything is written"


def test_errors_of_the_cohort_stop_evaluate_and_fit_before_anything_is_written(
    run: Run, two_tables: CohortFolder, tmp_path: Path
) -> None:
    two_tables.set_cell(3, "months", "-4")
    two_tables.set_cell(5, "died", "7")
    for words in (["evaluate"], ["fit", "--recipe", "late-fusion"]):
        said = run(*words, two_tables.manifest, "--out", tmp_path / "out")
        assert said.code == 2 and said.err.count("error: ") == 2 and "row 3" in said.err
        assert not (tmp_path / "out").exists()


def test_places_that_cannot_be_written(run: Run, two_tables: CohortFolder, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("not mine")
    for words in (["evaluate", *QUICK, *RECIPES], ["fit", "--recipe", "late-fusion"]):
        for out in (file, file / "below"):
            said = run(*words, two_tables.manifest, "--out", out)
            assert said.code == 2 and "'file" in said.err.replace(str(tmp_path) + "/", "") and "error: " in said.err
    assert run("predict", "model", two_tables.manifest, "--out", tmp_path / "p.xls").code == 2
    assert "must end in .html" in run("report", tmp_path, "--out", tmp_path / "thesis.docx").err
    assert file.read_text() == "not mine"


def test_folders_that_are_not_what_they_should_be(run: Run, two_tables: CohortFolder, tmp_path: Path) -> None:
    said = run("predict", tmp_path, two_tables.manifest, "--out", tmp_path / "p.csv")
    assert said.code == 2 and "is not a model folder" in said.err
    said = run("report", tmp_path)
    assert said.code == 2 and "holds no finished trial" in said.err


def test_recipes_and_doctor(run: Run) -> None:
    names = [row["name"] for row in json.loads(run("recipes", "--json").out)]
    assert names == list(chiasm.list_recipes()["name"])
    listed = run("recipes").out
    assert all(name in listed for name in names)
    said = run("recipes", "lego-fuse")
    assert said.out.count("options:") == 1 and said.out.startswith("lego-fuse")
    assert [row["name"] for row in json.loads(run("recipes", "single:age", "--json").out)] == ["single:<modality>"]
    said = run("recipes", "lego-fues")
    assert said.code == 2 and "did you mean 'lego-fuse'?" in said.err
    facts = json.loads(run("doctor", "--json").out)
    assert facts["self_test"]["passed"] and facts["packages"]["torch"] and facts["cores"] >= 1
    assert "Self test passed" in run("doctor").out


def test_doctor_names_the_command_for_what_is_missing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from chiasm import doctor

    found = doctor.installed
    monkeypatch.setattr(doctor, "installed", lambda name: None if name == "h5py" else found(name))
    said = run("doctor")
    assert 'pip install "chiasm[bags]"' in said.out and "not installed" in said.out


def test_version_and_help(run: Run) -> None:
    assert run("--version").out == f"chiasm {chiasm.__version__}\n"
    commands = ["demo", "check", "evaluate", "fit", "predict", "report", "recipes", "doctor"]
    listed = run("--help").out
    assert all(command in listed for command in commands)
    for command in commands:
        assert run(command, "--help").out == run(command, "-h").out != ""


def small_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo's cohort and command, with two quick recipes."""
    evaluate = api.evaluate

    def quick(cohort: Any, recipes: Any, protocol: Any, **named: Any) -> Any:
        assert recipes is None and protocol.folds == 5
        names = ["single:clinical", "single:genes", "late-fusion"]
        return evaluate(cohort, names, chiasm.Protocol(folds=2, repeats=1, draws=100), **named)

    monkeypatch.setattr(api, "evaluate", quick)


@pytest.mark.nightly
def test_demo_replaces_a_demo_and_nothing_else(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sksurv")
    small_demo(monkeypatch)
    monkeypatch.chdir(tmp_path)
    said = run("demo", "--jobs", "1")
    assert said.code == 0 and said.out.rstrip().endswith("Report: chiasm-demo/report.html"), said.err
    assert "198 patients" in said.err and "minute" in said.err and "one repeat (--full: five)" in said.err
    first = (tmp_path / "chiasm-demo" / "trial.json").stat().st_mtime_ns
    document = json.loads(run("demo", "--jobs", "1", "--json", "--seed", "1").out)
    assert document["cohort"]["patients"] == 198
    assert (tmp_path / "chiasm-demo" / "trial.json").stat().st_mtime_ns > first

    (tmp_path / "chiasm-demo" / "thesis.txt").write_text("mine")
    said = run("demo", "--jobs", "1")
    assert said.code == 2 and "is not a demo" in said.err and (tmp_path / "chiasm-demo" / "thesis.txt").exists()
    other = tmp_path / "run"
    other.mkdir()
    (other / "trial.json").write_text(json.dumps({"cohort": {"name": "bladder"}}))
    assert run("demo", "--out", other).code == 2 and (other / "trial.json").exists()
    (other / "trial.json").write_text("{")
    assert "is not a demo" in run("demo", "--out", other).err and (other / "trial.json").exists()
    unfinished = tmp_path / "late" / "chiasm-demo"
    (unfinished / ".work").mkdir(parents=True)
    assert run("demo", "--out", unfinished, "--jobs", "1").code == 0


def test_demo_without_scikit_survival_names_the_command(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sksurv", None)
    monkeypatch.setitem(sys.modules, "sksurv.datasets", None)
    said = run("demo", "--out", tmp_path / "demo")
    assert said.code == 2 and 'pip install "chiasm[survival]"' in said.err and not (tmp_path / "demo").exists()


def test_an_error_nobody_expected_keeps_what_it_quotes_to_itself(
    run: Run, two_tables: CohortFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(path: Path, **named: Any) -> None:
        {}["patient-007"]

    monkeypatch.setattr(api, "examine", fails)
    said = run("check", two_tables.manifest)
    assert said.code == 2 and "KeyError" in said.err and screen.TRACEBACK in said.err and "007" not in said.err
    monkeypatch.setenv(screen.TRACEBACK, "1")
    said = run("check", two_tables.manifest)
    assert said.code == 2 and "Traceback" in said.err and "007" in said.err


def test_sentences_for_what_libraries_raise(tmp_path: Path) -> None:
    def described(error: BaseException, *words: str) -> str:
        try:
            raise error
        except BaseException as raised:
            (sentence,) = screen.describe_failure(raised, words)
            return sentence

    slide = tmp_path / "slides" / "007.h5"
    assert "007" not in described(PermissionError(13, "Permission denied", str(slide)), str(tmp_path / "cohort.toml"))
    assert "run" in described(PermissionError(13, "Permission denied", str(tmp_path / "run")), f"--out={tmp_path}/run")
    assert "007" not in described(OSError("unable to open file '007.h5'"))
    failed = RuntimeError("recipe 'lego-fuse:mode=weave' failed in r0-f1: 'patient-007'")
    assert described(failed) == (
        f"recipe 'lego-fuse:mode=weave' failed in r0-f1: leave the recipe out, or {screen.SEE_WHY}"
    )
    assert "007" not in described(ValueError("could not convert string to float: '007'"))
    assert "pip install other" in described(ModuleNotFoundError("no", name="other"))


@pytest.mark.slow
@pytest.mark.nightly
def test_an_interrupted_trial_says_how_to_go_on_and_does(two_tables: CohortFolder, tmp_path: Path) -> None:
    recipes = "single:clinical,single:rna,healnet:epochs=20,latents=4,latent_width=8"
    words = ["evaluate", str(two_tables.manifest), "--recipes", recipes, *QUICK]
    command = [sys.executable, "-m", "chiasm", *words, "--out", str(tmp_path / "run")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def heard() -> None:  # what runs in the background of a shell is born deaf to Ctrl-C
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment, preexec_fn=heard) as process:
        deadline = time.monotonic() + 300
        while not (tmp_path / "run" / ".work").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=300)
    assert process.returncode == 130 and "add --resume" in said and "Traceback" not in said, said
    done = subprocess.run([*command, "--resume"], capture_output=True, text=True, env=environment)
    assert done.returncode == 0 and "Report:" in done.stdout, done.stderr


def test_several_labels_from_the_manifest_to_the_predictions(run: Run, tmp_path: Path) -> None:
    manifest = on_disk(tmp_path / "cohort", synthetic_parts("multilabel", 84, 0), names=["m1", "m2"])
    assert "error" not in run("check", manifest).out
    recipes = ["--recipes", "single:m1,late-fusion"]
    said = run("evaluate", manifest, *recipes, *QUICK, "--json", "--out", tmp_path / "run")
    assert said.code == 0
    document = json.loads(said.out)
    assert document["cohort"]["target"]["classes"] == ["label", "rarer"]
    assert document["cohort"]["target"]["known"] == [62, 64] and document["verdict"]["sentence"]
    assert {fold["labels"] for row in document["recipes"] for fold in row["folds"]} == {2}
    again = chiasm.load_trial(tmp_path / "run")
    assert again.labels()["label"].tolist() == ["label", "rarer"] * len(document["recipes"])
    run("fit", manifest, "--recipe", "single:m1", "--out", tmp_path / "model")
    assert run("predict", tmp_path / "model", manifest, "--out", tmp_path / "new.parquet").code == 0
    told = pd.read_parquet(tmp_path / "new.parquet")
    assert list(told.columns) == ["pattern", "p_label", "p_rarer", "note"]
    assert ((told["note"] != "") == (told["pattern"] == "")).all()  # who has none of what the model reads is told so


def test_doctor_knows_every_extra() -> None:
    """But those that need a torchvision which does not import beside every torch, and those made of others."""
    import tomllib

    from chiasm import doctor

    extras = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    assert set(doctor.EXTRAS) == set(extras) - {"all", "demo", "test", "fuzz", "timm", "open-clip"}
