"""Saving a model is one step: a whole model or the old one is there after an error, a full disk or a kill."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

import chiasm
from chiasm import artifact
from chiasm.artifact import ArtifactError
from chiasm.cohort import Cohort
from chiasm.protocols import Model
from chiasm.recipes.registry import make_recipe


def test_saving_over_anything_but_a_model_is_refused(fitted: Model, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("text")
    full = tmp_path / "full"
    full.mkdir()
    (full / "thesis.txt").write_text("years of work")
    mixed = tmp_path / "mixed"
    fitted.save(mixed)
    (mixed / "notes.txt").write_text("precious")
    link = tmp_path / "link"
    link.symlink_to(full, target_is_directory=True)
    for path in (file, full, mixed, link):
        with pytest.raises(ArtifactError, match="exists and is not a model folder"):
            fitted.save(path)
    assert file.read_text() == "text" and (full / "thesis.txt").exists() and (mixed / "notes.txt").exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "full", "link", "mixed"]


def test_saving_into_an_empty_folder_and_over_a_model(fitted: Model, cohort: Cohort, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    other = make_recipe("single:m1").fit(cohort, seed=0)
    for model in (other, fitted, other, fitted):
        model.save(tmp_path / "model")
        assert chiasm.load_model(tmp_path / "model").recipe == model.recipe
    assert [file.name for file in tmp_path.iterdir()] == ["model"]


STEPS = ["save_file", "sha256", "digest", "_fsync", "exchange", "shutil.rmtree"]


def interrupt(step: str, monkeypatch: pytest.MonkeyPatch, happen: Any) -> None:
    owner, name = (shutil, "rmtree") if step == "shutil.rmtree" else (artifact.files, step)
    monkeypatch.setattr(owner, name, happen)


@pytest.mark.parametrize("step", STEPS[:-1])
def test_an_error_while_saving_leaves_the_old_model(
    step: str, folder: Path, fitted: Model, cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    other = make_recipe("single:m1").fit(cohort, seed=0)
    with monkeypatch.context() as patched:
        interrupt(step, patched, fail)
        with pytest.raises(OSError, match="No space"):
            other.save(folder)
    assert chiasm.load_model(folder).recipe == "late-fusion"
    assert [file.name for file in folder.parent.iterdir()] == ["model"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a forked process")
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("call", [1, 2])
def test_a_kill_while_saving_leaves_one_whole_model(
    step: str, call: int, folder: Path, cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, name = (shutil, "rmtree") if step == "shutil.rmtree" else (artifact.files, step)
    original, calls = getattr(owner, name), []

    def die(*args: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == call:
            os._exit(9)
        return original(*args, **options)

    other = make_recipe("single:m1").fit(cohort, seed=0)
    child = os.fork()
    if child == 0:
        try:
            interrupt(step, monkeypatch, die)
            other.save(folder)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    done = (step, call) == ("shutil.rmtree", 2) or (call == 2 and step != "_fsync")
    assert chiasm.load_model(folder).recipe == ("single:m1" if done else "late-fusion")
    other.save(folder)
    assert chiasm.load_model(folder).recipe == "single:m1"


def test_what_a_killed_process_of_the_same_number_left_is_no_obstacle(folder: Path, fitted: Model) -> None:
    left = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    left.mkdir()
    (left / "weights.safetensors").write_bytes(b"half")
    fitted.save(folder)
    assert chiasm.load_model(folder).recipe == "late-fusion" and not left.exists()


@pytest.mark.parametrize("fails", [False, True])
def test_without_a_swap_two_renames_do_and_the_first_is_undone(
    fails: bool, folder: Path, cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make_recipe("single:m1").fit(cohort, seed=0)
    original, renames = Path.rename, []

    def rename(self: Path, target: Path) -> Path:
        renames.append(target)
        if fails and len(renames) == 2:
            raise OSError("the disk went away")
        return original(self, target)

    monkeypatch.setattr(artifact.whole.sys, "platform", "other")
    monkeypatch.setattr(Path, "rename", rename)
    if fails:
        with pytest.raises(OSError, match="the disk went away"):
            other.save(folder)
    else:
        other.save(folder)
    monkeypatch.undo()
    assert chiasm.load_model(folder).recipe == ("late-fusion" if fails else "single:m1")
    assert [file.name for file in folder.parent.iterdir()] == ["model"]


def test_a_model_that_could_not_be_opened_is_not_saved(
    fitted: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artifact.files, "MODEL_JSON_BYTES", 100)
    with pytest.raises(ArtifactError, match="more columns than a model folder may hold"):
        fitted.save(tmp_path / "m")
    assert not list(tmp_path.iterdir())
