"""P13: stopped after any epoch, or killed at any moment, and resumed: equal to never having been stopped."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import time
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import chiasm
from chiasm.artifact import ArtifactError, load_checkpoint
from chiasm.cohort import synthetic_cohort
from chiasm.compute.memo import forget
from chiasm.encoders import fit_encoders, pack
from chiasm.fusion.healnet import HealNet
from chiasm.heads.head import Head, output_width, target_tensors
from chiasm.recipes.fusion import lego_fuse
from chiasm.recipes.registry import make_recipe
from chiasm.training import Examples, History, Network, Phase, TargetTensors, TrainOptions, checkpoint, loop, train
from chiasm.training.batches import presence
from forked import forked, living
from lighter_trials import only_ridges
from small_recipes import at_night

EPOCHS = 5
OPTIONS = TrainOptions(epochs=EPOCHS, patience=3, batch=16, learning_rate=5e-3, modality_dropout=0.3)


@pytest.fixture(scope="module", params=["classification", *at_night("survival")])
def data(request: pytest.FixtureRequest) -> Any:
    """The patients; then the shapes of the tokens, outputs and kind of the head."""
    cohort = synthetic_cohort("complementary", 80, target=request.param, missing=0.2, seed=1)
    encoders = fit_encoders(cohort)
    tokens = pack(cohort, encoders)
    shapes = {name: (encoder.width, encoder.slots) for name, encoder in encoders.items()}
    target = TargetTensors(*target_tensors(cohort.outcome))
    given = Examples(tokens, presence(tokens, cohort.modalities), target, np.arange(80) % 5 == 0)
    return given, shapes, output_width(cohort.target), request.param


def fresh(data: Any) -> Network:
    _, shapes, outputs, kind = data
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        fusion = HealNet(shapes, latents=4, latent_width=8, heads=2, head_width=4, dropout=0.3)
        return Network(fusion, Head(8, outputs, kind))


@pytest.fixture(scope="module")
def unstopped(data: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Network, History, Network, Path]:
    """Trained with a checkpoint, with its history; trained without one; the last checkpoint."""
    place = tmp_path_factory.mktemp("unstopped") / "whole.safetensors"
    return (*run(data, place), run(data, None)[0], place)


def run(data: Any, file: Path | None) -> tuple[Network, History]:
    network = fresh(data)
    (history,) = train(network, data[0], (Phase(OPTIONS),), seed=3, checkpoint=file)
    return network, history


class Stopped(BaseException):
    """The power went off."""


def same_tree(first: Any, second: Any) -> bool:
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same_tree(first[key], second[key]) for key in first)
    if isinstance(first, np.ndarray):
        return first.dtype == second.dtype and first.tobytes() == second.tobytes()
    return bool(first == second)


@pytest.mark.parametrize("after", [1, 3, EPOCHS, *at_night(2, 4)])
def test_training_resumed_after_an_epoch_is_bit_for_bit_the_uninterrupted_one(
    data: Any, unstopped: Any, after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, history, without, file = unstopped
    original, written = checkpoint.save_checkpoint, []

    def stop(path: Path, state: Any) -> None:
        original(path, state)
        written.append(path)
        if len(written) == after:
            raise Stopped

    with monkeypatch.context() as patched:
        patched.setattr(checkpoint, "save_checkpoint", stop)
        with pytest.raises(Stopped):
            run(data, tmp_path / "part.safetensors")
    torch.manual_seed(after)  # whatever the next process draws before it resumes
    resumed, found = run(data, tmp_path / "part.safetensors")
    assert found == history and len(history.validation) == EPOCHS
    for key, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[key]) and torch.equal(value, without.state_dict()[key]), key
    # weights, optimiser, the state of both generators, the best epoch
    left = [load_checkpoint(path) for path in (file, tmp_path / "part.safetensors")]
    assert set(left[0]) == {
        "format",
        "phases",
        "finished",
        "network",
        "best",
        "optimiser",
        "generator",
        "torch_state",
        "device_state",
        "losses",
        "steps",
        "skipped",
        "objective",
        "hooks",
        "made_for",
    }
    assert same_tree(*left)


@pytest.mark.parametrize("what", ["seed", "outcomes", "held out"])
def test_a_checkpoint_of_another_training_is_not_gone_on_from(
    data: Any, unstopped: Any, what: str, tmp_path: Path
) -> None:
    """Equally many patients, and one thing differs."""
    shutil.copy(unstopped[3], tmp_path / "part.safetensors")
    examples = data[0]
    if what == "outcomes":
        examples = replace(examples, target=examples.target.take(np.arange(len(examples.present))[::-1].copy()))
    if what == "held out":
        examples = replace(examples, held_out=examples.held_out[::-1].copy())
    with pytest.raises(ArtifactError, match="another seed, other options or other patients"):
        train(
            fresh(data),
            examples,
            (Phase(OPTIONS),),
            seed=3 + (what == "seed"),
            checkpoint=tmp_path / "part.safetensors",
        )


def test_dropout_and_modality_dropout_do_draw(data: Any) -> None:
    """Otherwise the test above could not see a lost generator."""
    network = fresh(data).train()
    batch = {name: packed.take(np.arange(8)) for name, packed in data[0].tokens.items()}
    present = torch.from_numpy(data[0].present[:8])
    assert not torch.equal(network(batch, present)[0], network(batch, present)[0])
    generator = torch.Generator().manual_seed(0)
    assert not torch.equal(loop._drop_modalities(present.clone(), 0.3, generator), present)


def test_a_write_that_was_killed_leaves_the_checkpoint_before_it(data: Any, tmp_path: Path) -> None:
    whole, _ = run(data, tmp_path / "a" / "whole.safetensors")
    file = tmp_path / "a" / "whole.safetensors"
    shutil.copy(file, file.with_name(f".{file.name}.{os.getpid()}.tmp"))  # the temporary file of a killed write, cut
    with file.with_name(f".{file.name}.{os.getpid()}.tmp").open("r+b") as left:
        left.truncate(100)
    again, _ = run(data, file)
    assert all(torch.equal(value, again.state_dict()[key]) for key, value in whole.state_dict().items())


@pytest.mark.parametrize("step", ["save_file", "fsync"])
def test_a_write_that_fails_leaves_the_checkpoint_before_it(
    data: Any, step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from chiasm.artifact import files, whole

    place, name = {"save_file": (files, "save_file"), "fsync": (whole, "fsync")}[step]
    file, original, calls = tmp_path / "c.safetensors", getattr(place, name), []

    def fail(*args: Any, **options: Any) -> None:
        calls.append(1)
        if len(calls) == 3:
            raise Stopped
        original(*args, **options)

    with monkeypatch.context() as patched:
        patched.setattr(place, name, fail)
        with pytest.raises(Stopped):
            run(data, file)
    assert len(load_checkpoint(file)["losses"]) == 2
    resumed, _ = run(data, file)
    whole, _ = run(data, None)
    assert all(torch.equal(value, resumed.state_dict()[key]) for key, value in whole.state_dict().items())


@pytest.mark.parametrize("keep", [0, 4, 8, 500, -1])
def test_a_truncated_checkpoint_is_named(data: Any, unstopped: Any, keep: int, tmp_path: Path) -> None:
    file = tmp_path / "block-0.safetensors"
    file.write_bytes(unstopped[3].read_bytes()[:keep])
    with pytest.raises(ArtifactError, match=r"'block-0\.safetensors'"):
        run(data, file)


TINY = "epochs=2,latents=4,latent_width=8,heads=2"


@pytest.mark.parametrize(
    "recipe",
    [
        f"lego-fuse:{TINY},fuse_epochs=2",  # blocks first, as lego-merge, then one network, as healnet
        pytest.param(f"lego-merge:{TINY}", marks=pytest.mark.nightly),
        pytest.param("healnet:epochs=3,latents=4,latent_width=8", marks=pytest.mark.nightly),
    ],
)
def test_a_recipe_stopped_in_any_epoch_of_any_part_gives_the_same_model(
    recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lego_fuse, "best_of", lambda losses: "fused")  # what was interrupted is what is compared
    cohort = synthetic_cohort("complementary", 60)
    original, written = checkpoint.save_checkpoint, []

    def fit(folder: Path | None) -> pd.DataFrame:
        forget()
        return make_recipe(recipe).fit(cohort, seed=0, checkpoint=folder).predict(cohort)

    def stop(path: Path, state: Any) -> None:
        original(path, state)
        written.append(path)
        raise Stopped

    expected = fit(None)
    with monkeypatch.context() as patched:
        patched.setattr(checkpoint, "save_checkpoint", stop)
        while True:
            try:
                found = fit(tmp_path / "checkpoints")
            except Stopped:
                assert len(written) < 20
            else:
                break
    assert len(written) >= 3
    pd.testing.assert_frame_equal(found, expected, check_exact=True)


@pytest.mark.usefixtures("ridges")
def test_a_trial_killed_before_it_had_a_plan_can_be_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from chiasm.artifact import whole

    def stop(path: Path) -> None:
        raise Stopped

    cohort, protocol = synthetic_cohort("redundant", 40), chiasm.Protocol(folds=2, repeats=1, inner_folds=2, draws=100)
    with monkeypatch.context() as patched:
        patched.setattr(whole, "fsync", stop)
        with pytest.raises(Stopped):
            chiasm.evaluate(cohort, ["single:m1"], protocol, out=tmp_path / "run", jobs=1)
    assert [file.name for file in (tmp_path / "run").rglob("*.json")] == []
    chiasm.evaluate(cohort, ["single:m1"], protocol, out=tmp_path / "run", jobs=1, resume=True)
    assert (tmp_path / "run" / "trial.json").is_file()


def trial(out: Path, whole: bool) -> None:
    """A trial of two processes, begun or gone on with; with the whole search at night."""
    cohort = synthetic_cohort("complementary", 60, missing=0.2)
    recipes = ["lego-fuse:epochs=2,fuse_epochs=1,latents=4,latent_width=8,heads=2"]
    protocol = chiasm.Protocol(folds=2, repeats=1, inner_folds=2, draws=100)
    with nullcontext() if whole else only_ridges():
        chiasm.evaluate(cohort, recipes, protocol, out=out, jobs=2, resume=True)


class Trials:
    """Runs trials one after another, each in a process that can be killed."""

    def __init__(self, whole: bool) -> None:
        self.whole = whole
        self.processes: list[int] = []

    def run(self, out: Path, kill_after: int | None = None) -> int:
        """The exit code; negative if it was killed. Only the trial's own process is, not its workers.

        It is killed when it has workers and, since its start, has finished so many more fits: what it has done decides,
        and not the clock, so that a busy machine kills it in the same places.
        """
        before = self.finished(out)
        child = forked(partial(trial, out, self.whole))
        self.processes.append(child)
        ended = (0, 0)
        while not ended[0]:
            ended = os.waitpid(child, 0 if kill_after is None else os.WNOHANG)
            if not ended[0] and self.finished(out) >= before + (kill_after or 0) and len(self.left()) > 1:
                os.kill(child, signal.SIGKILL)
                ended = os.waitpid(child, 0)
            time.sleep(0.01)
        return os.waitstatus_to_exitcode(ended[1])

    @staticmethod
    def finished(out: Path) -> int:
        """How many fits a run folder holds."""
        return len(list((out / ".work").glob("*.parquet")))

    def left(self) -> list[int]:
        """Living processes of the trials, and of their workers."""
        return living(self.processes)


def figures(folder: Path) -> Any:
    """trial.json without seconds."""

    def strip(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: strip(value) for key, value in node.items() if key != "seconds"}
        return [strip(item) for item in node] if isinstance(node, list) else node

    return strip(json.loads((folder / "trial.json").read_text()))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="counts processes in /proc")
@pytest.mark.parametrize("kills", [1, pytest.param(10, marks=pytest.mark.nightly)])
def test_a_trial_that_is_killed_has_the_figures_of_one_left_alone(kills: int, tmp_path: Path) -> None:
    trials = Trials(whole=kills > 1)
    alone, out = tmp_path / "alone", tmp_path / "killed"
    try:
        assert trials.run(alone) == 0
        draw, killed = random.Random(0), 0
        for attempt in range(kills):
            killed += trials.run(out, kill_after=draw.randrange(3)) == -signal.SIGKILL
            if attempt % 2 == 0:  # else resume at once, beside workers that have not noticed yet
                deadline = time.monotonic() + 30
                while trials.left() and time.monotonic() < deadline:
                    time.sleep(0.05)
                assert trials.left() == [], "a worker outlived its parent"
        assert killed == kills
        assert trials.finished(out) > 0, "nothing was left to go on from"
        assert trials.run(out) == 0
    finally:
        for process in trials.left():
            os.kill(process, signal.SIGKILL)
    assert figures(out) == figures(alone)
    found, expected = (pd.read_parquet(folder / "predictions.parquet") for folder in (out, alone))
    pd.testing.assert_frame_equal(found, expected, check_exact=True)
    assert sorted(p.name for p in out.iterdir()) == sorted(p.name for p in alone.iterdir())
