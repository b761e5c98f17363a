"""A cohort is checked once and each of its sources is encoded once, whatever is done with it afterwards."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import chiasm
from chiasm import api
from chiasm.encoders.image.patches import ImagePatches
from chiasm.encoding import checking, encode
from cohort_folder import CohortFolder
from command_line import Run

MANIFEST = """\
name = "once"
[patients]
table = "patients.csv"
id = "case"
[target]
kind = "regression"
column = "score"
[modalities.clinical]
kind = "table"
columns = ["age"]
[modalities.scan]
kind = "image"
path = "scans/{id}.png"
[modalities.slide]
kind = "bag"
path = "slides/{id}.npy"
[accept]
"unread-source:scan" = "the scanner failed"
"""
RECIPE = "single:scan"


@pytest.fixture
def once(tmp_path: Path) -> CohortFolder:
    """30 patients with a table; 25 of them have a scan and a slide, and one of each cannot be read."""
    rng = np.random.default_rng(0)
    folder = CohortFolder(tmp_path / "once")
    for place in ("scans", "slides"):
        (folder.path / place).mkdir(parents=True)
    folder.manifest.write_text(MANIFEST)
    ids = [f"secret-{k:02d}" for k in range(30)]
    table = {"case": ids, "score": rng.normal(size=30).round(3), "age": rng.integers(40, 80, 30)}
    pd.DataFrame(table).to_csv(folder.path / "patients.csv", index=False)
    for name in ids[:25]:
        Image.fromarray(rng.integers(0, 255, (16, 16), dtype=np.uint8)).save(folder.path / "scans" / f"{name}.png")
        np.save(folder.path / "slides" / f"{name}.npy", rng.normal(size=(3, 4)).astype(np.float32))
    (folder.path / "scans" / "secret-03.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    (folder.path / "slides" / "secret-05.npy").write_bytes(b"\x93NUMPY and no more")
    return folder


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often a cohort was checked and the headers of a modality's bags read, and how many images were encoded."""
    done: Counter[str] = Counter()

    def spied(name: str, function: Callable[..., Any], size: Callable[..., int] = lambda *given: 1) -> Any:
        def spy(*given: Any, **more: Any) -> Any:
            done[name] += size(*given)
            return function(*given, **more)

        return spy

    monkeypatch.setattr(checking, "examine_values", spied("checks", checking.examine_values))
    monkeypatch.setattr(checking, "file_problems", spied("file checks", checking.file_problems))
    monkeypatch.setattr(encode, "read_shapes", spied("headers", encode.read_shapes))
    monkeypatch.setattr(ImagePatches, "encode", spied("images", ImagePatches.encode, lambda own, raw: len(raw)))
    return done


ONCE = {"checks": 1, "file checks": 1, "headers": 1, "images": 24}


def test_evaluate(run: Run, once: CohortFolder, tmp_path: Path, done: Counter[str]) -> None:
    quick = ["--folds", "2", "--repeats", "1", "--jobs", "1"]
    said = run("evaluate", once.manifest, "--recipes", RECIPE, "--out", tmp_path / "run", *quick)
    assert said.code == 0, said.err
    assert done == ONCE
    assert "scans/{id}.png, row 5" in said.err and "slides/{id}.npy, row 7" in said.err
    findings = json.loads((tmp_path / "run" / "trial.json").read_text())["findings"]
    unread = {(own["modality"], own["accepted"]) for own in findings if own["finding"] == "unread-source"}
    assert unread >= {("scan", "the scanner failed")}
    assert "the scanner failed" in (tmp_path / "run" / "report.html").read_text()


def test_fit_then_predict(run: Run, once: CohortFolder, tmp_path: Path, done: Counter[str], own_store: Path) -> None:
    said = run("fit", once.manifest, "--recipe", RECIPE, "--out", tmp_path / "model")
    assert said.code == 0, said.err
    assert done == ONCE
    done.clear()
    own_store.rename(own_store.with_name("before"))
    once.edit('[target]\nkind = "regression"\ncolumn = "score"\n', "")
    said = run("predict", tmp_path / "model", once.manifest, "--out", tmp_path / "out.csv")
    assert said.code == 0, said.err
    assert done == {"images": 24}, "a prediction needs no check, and nothing that its model does not use"


def test_in_python_what_is_prepared_serves_every_recipe(once: CohortFolder, done: Counter[str]) -> None:
    ready = api.prepare(api.open_cohort(once.manifest), [RECIPE, "single:slide"], jobs=1)
    protocol = chiasm.Protocol(folds=2, repeats=1, draws=100)
    trial = api.evaluate(ready, [RECIPE], protocol, jobs=1)
    models = [api.fit(ready, name) for name in (RECIPE, "single:slide")]
    assert [len(model.predict(ready.cohort)) for model in models] == [30, 30]
    assert done == ONCE
    assert len(trial.document["findings"]) == len(ready.findings) > 1


def test_an_error_stops_before_anything_is_encoded_or_written(
    run: Run, once: CohortFolder, tmp_path: Path, done: Counter[str]
) -> None:
    frame = pd.read_csv(once.path / "patients.csv", dtype=str)
    frame.loc[3, "score"] = "high"
    frame.to_csv(once.path / "patients.csv", index=False)
    for words in (("evaluate", "--out", tmp_path / "run"), ("fit", "--recipe", RECIPE, "--out", tmp_path / "model")):
        said = run(words[0], once.manifest, *words[1:])
        assert said.code == 2 and "is not a number" in said.err
    assert done["images"] == done["headers"] == 0 and sorted(tmp_path.iterdir()) == [once.path]


def test_what_was_found_by_decoding_may_be_accepted_of_an_encoded_cohort(once: CohortFolder) -> None:
    encoded = chiasm.encode(chiasm.open_cohort(once.manifest), jobs=1).cohort
    assert [problem for problem in chiasm.check_cohort(encoded) if problem.severity == "error"] == []


def test_a_prepared_cohort_was_checked_already() -> None:
    prepared = api.prepare(chiasm.synthetic_cohort("complementary", 40, target="regression"))
    with pytest.raises(ValueError, match="leave `checked` out"):
        chiasm.evaluate(prepared, ["late-fusion"], checked=[])


@pytest.mark.parametrize("recipe", ["llava-med", "medmax", "fine-gray", "nearest-patient"])
def test_a_target_that_a_recipe_cannot_learn_is_refused_before_anything_is_encoded(
    recipe: str, once: CohortFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def encoded(*_: object, **__: object) -> Any:
        raise AssertionError("something was checked or encoded")

    monkeypatch.setattr("chiasm.api.encoding.prepare_cohort", encoded)
    for asked in (lambda: chiasm.fit(once.manifest, recipe), lambda: chiasm.evaluate(once.manifest, [RECIPE, recipe])):
        with pytest.raises(chiasm.Unsupported, match=f"recipe '{recipe}': .*take a target of"):
            asked()
