"""`states`: the table, the files, JSON and the page say the same, and what is wrong is one sentence."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.report import drawing
from command_line import Run

RECIPE = "hmm-glm:states=2,rounds=6,epochs=4,restarts=1,kernels=1"
NEURONS = 3


def written(folder: Path, trials: int = 24) -> Path:
    """Trials that begin in silence and end loud, with what followed; identifiers are not plain."""
    rng = np.random.default_rng(0)
    (folder / "zähl ungen").mkdir(parents=True)
    rows = []
    for k in range(trials):
        quiet, loud = rng.integers(8, 14, size=2)
        rates = np.repeat([0.2, 3.0], [quiet, loud + 1])[:, None] * np.ones(NEURONS)
        counts = rng.poisson(rates)
        np.save(folder / "zähl ungen" / f"maus é{k:02d}.npy", counts[:-1])
        rows.append([f"maus é{k:02d}", k // 2, int(quiet), int(quiet + loud), *counts[-1]])
    names = [f"n_{k}" for k in range(NEURONS)]
    pd.DataFrame(rows, columns=["id", "session", "quiet", "bins", *names]).to_csv(folder / "trials.csv", index=False)
    manifest = folder / "cohort.toml"
    manifest.write_text(
        'name = "Mäuse <i>"\n[patients]\ntable = "trials.csv"\nid = "id"\ngroup = "session"\n'
        '[target]\nkind = "response"\nprefix = "n_"\n'
        '[modalities.spikes]\nkind = "bag"\npath = "zähl ungen/{id}.npy"\n',
        encoding="utf-8",
    )
    return manifest


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The manifest and a model folder."""
    folder = tmp_path_factory.mktemp("states")
    manifest = written(folder / "mäuse")
    chiasm.fit(chiasm.open_cohort(manifest), RECIPE, seed=0).save(folder / "model")
    return manifest, folder / "model"


def test_the_table_the_files_json_and_the_page_say_the_same(
    run: Run, made: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawing.Picture, "source", "data:image/svg+xml;base64,")
    manifest, model = made
    out, connections, page = (tmp_path / name for name in ("s.csv", "c.parquet", "s.html"))
    said = run("states", model, manifest, "--out", out, "--connections", connections, "--page", page)
    assert said.code == 0, said.err
    document = json.loads(run("states", model, manifest, "--json").out)
    assert document["sentence"] in said.out and document["recordings"] == 24 and document["neurons"] == NEURONS
    assert document["low"] < document["bits_per_spike"] < document["high"]
    bins, trials = pd.read_csv(out), pd.read_csv(manifest.parent / "trials.csv")
    assert list(bins.columns) == ["recording", "bin", "state", "p_1", "p_2"] and len(bins) == trials["bins"].sum()
    np.testing.assert_allclose(bins[["p_1", "p_2"]].sum(axis=1), 1)
    quiet = bins.join(trials.set_index("id")["quiet"], on="recording").eval("bin <= quiet")
    agree = (quiet == (bins["state"] == bins["state"][0])).mean()
    assert agree > 0.95  # every trial begins in silence
    stored = pd.read_parquet(connections).reset_index()
    assert len(stored) == 2 * NEURONS**2 == len(document["connections"])
    own = stored["onto"] == stored["source"]
    assert stored.loc[own, "p_none"].isna().all()
    chances = stored.loc[~own, ["p_inhibits", "p_none", "p_excites"]]
    np.testing.assert_allclose(chances.sum(axis=1), 1)
    text = page.read_text(encoding="utf-8")
    assert document["sentence"] in text and "Mäuse &lt;i&gt;" in text and "maus é" not in text


@pytest.mark.nightly
def test_the_pictures_are_on_the_page_and_in_a_file(made: tuple[Path, Path], tmp_path: Path) -> None:
    found = chiasm.states(made[1], made[0])
    assert "state 2" in found.plot(tmp_path / "s.svg").read_text(encoding="utf-8")
    assert found.report(tmp_path / "s.html").read_text(encoding="utf-8").count("data:image/svg+xml;base64,") == 2


def test_states_of_new_recordings_need_no_target_and_do_not_depend_on_each_other(
    made: tuple[Path, Path], tmp_path: Path
) -> None:
    manifest, model = made
    cohort = chiasm.open_cohort(manifest).with_target(None, None)
    all_of_them, few = chiasm.states(model, cohort), chiasm.states(model, cohort.subset(np.arange(3)))
    first = all_of_them.bins[all_of_them.bins["recording"].isin(few.bins["recording"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(first, few.bins)
    assert np.isnan(few.low) and "no interval is given" in " ".join(few.notes)
    assert few.report(tmp_path / "few.html").exists()
    alone = replace(cohort, group=np.full(len(cohort), ""))  # nobody has a group, and each is one of their own
    own = chiasm.states(model, alone)
    assert own.low < own.bits < own.high
    ungrouped = chiasm.states(model, replace(cohort, group=None))
    assert (own.low, own.high) == pytest.approx((ungrouped.low, ungrouped.high))


def test_silence_is_read_and_told(made: tuple[Path, Path]) -> None:
    _, model = made
    bags = {"a": np.zeros((5, NEURONS)), "b": np.zeros((1, NEURONS))}
    silent = chiasm.cohort_from_frames(pd.DataFrame(index=list(bags)), {"spikes": bags})
    found = chiasm.states(model, silent)
    assert np.isnan(found.bits) and "not estimable" in found.sentence and len(found.bins) == 6
    assert "the recordings hold no spike" in " ".join(found.notes)


def test_what_is_wrong_is_one_sentence_and_nothing_is_written(
    run: Run, made: tuple[Path, Path], tmp_path: Path
) -> None:
    manifest, model = made
    other = chiasm.fit(chiasm.open_cohort(manifest), "history-ridge:kernels=1", seed=0)
    other.save(tmp_path / "ridge")
    before = sorted(tmp_path.iterdir())
    for words, what in (
        ((tmp_path / "ridge", manifest), "no hidden states"),
        ((model, manifest, "--out", tmp_path / "s.txt"), "must end in .parquet or .csv"),
        ((model, manifest, "--page", tmp_path / "s.pdf"), "must end in .html"),
        ((model, manifest, "--out", tmp_path / "s.csv", "--connections", tmp_path / "s.csv"), "name one file"),
        ((model, manifest, "--connections", manifest.parent / "trials.csv"), "choose another --connections"),
        ((model, manifest, "--connections", tmp_path / "c.json"), "must end in .parquet or .csv"),
    ):
        said = run("states", *words)
        assert said.code == 2 and what in said.err and len(said.err.strip().splitlines()) == 1
    wider = {"a": np.ones((5, NEURONS + 1))}
    strange = chiasm.cohort_from_frames(pd.DataFrame(index=list(wider)), {"spikes": wider})
    with pytest.raises(chiasm.Unsupported, match="4 neurons, and others have 3"):
        chiasm.states(model, strange)
    below = {"a": -np.ones((5, NEURONS))}
    with pytest.raises(chiasm.Unsupported, match="negative numbers"):
        chiasm.states(model, chiasm.cohort_from_frames(pd.DataFrame(index=["a"]), {"spikes": below}))
    assert sorted(tmp_path.iterdir()) == before
