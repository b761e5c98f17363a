"""`chiasm merge`: model folders to one, scores beside each other, and one sentence for each problem."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import time
from pathlib import Path

import pandas as pd
import pytest

from chiasm import api, screen
from chiasm.artifact import whole
from chiasm.cli import main
from examples import ALL
from small_recipes import on_disk, parts, small
from stores import FORK, POSIX


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cohort on disk, and two models of it."""
    folder = tmp_path_factory.mktemp("merge")
    manifest = on_disk(folder / "cohort", parts("classification"))
    cohort = api.open_cohort(manifest)
    for seed in (0, 1):
        small("healnet").fit(api.encode(cohort, store=folder / "store").cohort, seed=seed).save(folder / f"m{seed}")
    return folder


@pytest.fixture(autouse=True)
def own_store(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHIASM_STORE", str(place / "store"))
    monkeypatch.delenv(screen.TRACEBACK, raising=False)


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        main(["merge", *map(str, words)])
    said = capsys.readouterr()
    return int(stopped.value.code or 0), said.out, said.err


def test_two_models_become_one_that_predicts(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "merged"
    code, text, _ = run(capsys, place / "m0", place / "m1", "--method", "slerp", "--weights", "1,2", "--out", out)
    assert code == 0 and text.startswith("Merged 2 models by slerp; its calibration is the mean of the models'")
    assert len(api.load_model(out).predict(api.open_cohort(place / "cohort" / "cohort.toml"))) == 84
    code, _, error = run(capsys, place / "m0", place / "m1", "--out", out)
    assert code == 2 and "holds a model already" in error
    assert run(capsys, place / "m0", place / "m1", "--out", out, "--force")[0] == 0


def test_a_cohort_gives_the_scores_of_each_and_of_the_merged_one(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [place / "m0", place / "m1", "--method", "ties:density=0.5", "--base", place / "m0"]
    words += ["--cohort", place / "cohort" / "cohort.toml", "--out", tmp_path / "merged"]
    code, text, error = run(capsys, *words, "--json")
    document = json.loads(text)
    assert code == 0 and list(document["scores"]) == ["model 1 (m0)", "model 2 (m1)", "merged"]
    assert document["calibrated_on"] == 84
    assert document["metric"] == "auroc" and all("auroc" in own for own in document["scores"].values())
    assert ("merging did not pay" in error) == (document["best"] != "merged")
    code, text, _ = run(capsys, *words, "--force")
    assert code == 0 and "model 2 (m1)" in text and "auroc" in text and "was fitted on 84 patients" in text


def test_blocks_of_two_modalities_become_one_model(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cohort = api.open_cohort(place / "cohort" / "cohort.toml")
    for name in ("m1", "m2"):
        small("lego-merge", blocks=name).fit(cohort, seed=0).save(tmp_path / name)
    words = [tmp_path / "m1", tmp_path / "m2", "--cohort", place / "cohort" / "cohort.toml", "--out", tmp_path / "both"]
    code, text, _ = run(capsys, *words, "--method", "harmonic:head=linear")
    assert code == 0 and "Merged 2 models by harmonic:head=linear; its calibration was fitted on" in text
    assert sorted(api.load_model(tmp_path / "both").modalities) == ["m1", "m2"]
    code, _, error = run(capsys, tmp_path / "m1", tmp_path / "m1", "--out", tmp_path / "twice")
    assert code == 2 and "different modalities" in error and not (tmp_path / "twice").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["m0", "m1", "--method", "tise"], "did you mean 'ties'"),
        (["m0", "m1", "--method", "ties"], "give the base"),
        (["m0", "m1", "--weights", "1,x"], "--weights are numbers"),
        (["m0", "m1", "--weights", "1"], "one finite weight"),
        (["m0", "cohort"], "is not a model folder"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    models = [str(place / word) if (place / word).exists() else word for word in words]
    code, text, error = run(capsys, *models, "--out", tmp_path / "out")
    assert code == 2 and text == "" and message in error and "Traceback" not in error
    assert not (tmp_path / "out").exists()


def _again_and_again(words: list[str]) -> None:
    while True:
        with (
            contextlib.suppress(SystemExit),
            Path(os.devnull).open("w") as nowhere,
            contextlib.redirect_stdout(nowhere),
        ):
            main(words)


@POSIX
@pytest.mark.parametrize("command", ["merge", "predict"])
def test_killed_at_any_moment_what_was_written_stays_whole(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """The one of before, or the new one: never half of it, and what the dead left is swept up by the next."""
    cohort, out = place / "cohort" / "cohort.toml", tmp_path / ("merged" if command == "merge" else "p.csv")
    words = (
        ["merge", f"{place / 'm0'}", f"{place / 'm1'}"]
        if command == "merge"
        else ["predict", f"{place / 'm0'}", f"{cohort}"]
    )
    words += ["--out", f"{out}", "--force"]
    with pytest.raises(SystemExit):
        main(words)
    assert FORK is not None
    draws = random.Random(0)
    for _ in range(8 if os.environ.get(ALL) else 4):
        child = FORK.Process(target=_again_and_again, args=(words,), daemon=True)
        child.start()
        time.sleep(draws.uniform(0.1, 0.5))
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        if command == "merge":
            api.load_model(out)
        else:
            assert len(pd.read_csv(out)) == 84
    monkeypatch.setattr(whole, "SETTLED_SECONDS", 0.0)
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert not ended.value.code
    assert [path.name for path in tmp_path.iterdir()] == [out.name]
