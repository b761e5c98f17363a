"""Trials of responses: layers of an encoder, a ceiling that is reached, files, the page, and the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.evaluation import Trial
from chiasm.evaluation.trial import load_trial
from chiasm.targets import Responses

ITEMS, CHANNELS = 90, 12
IDS = [f"item-{k:02d}" for k in range(ITEMS)]
BRIEF = chiasm.Protocol(folds=2, repeats=1, draws=100)


def frame(values: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(values, index=IDS, columns=[f"f{k}" for k in range(values.shape[1])])


def cohort_of(value: list[np.ndarray], **features: np.ndarray) -> chiasm.Cohort:
    return chiasm.cohort_from_frames(
        pd.DataFrame({"r": value}, index=IDS),
        {name: frame(own) for name, own in features.items()},
        target=Responses("r", unit="spikes/s"),
        kinds=dict.fromkeys(features, "omics"),
    )


@pytest.fixture(scope="module")
def layers(tmp_path_factory: pytest.TempPathFactory) -> tuple[Trial, Path]:
    """Voxels that read the second of three layers, the others being noisier copies; two channels of noise alone."""
    rng = np.random.default_rng(0)
    deep = rng.normal(size=(ITEMS, 5))
    own = {f"layer{k}": deep + noise * rng.normal(size=deep.shape) for k, noise in ((1, 1.0), (2, 0.0), (3, 2.0))}
    weights = (
        rng.normal(size=(5, CHANNELS))
        * (np.arange(CHANNELS) < CHANNELS - 2)
        * np.where(np.arange(CHANNELS) == 0, 50, 1)
    )
    repeats = (deep @ weights)[:, None] + 2 * rng.normal(size=(ITEMS, 3, CHANNELS))
    place = tmp_path_factory.mktemp("layers") / "run"
    trial = chiasm.evaluate(cohort_of(list(repeats), **own), ["early-fusion"], BRIEF, out=place, jobs=1)
    return trial, place


def test_the_layer_is_chosen_on_inner_folds_and_reaches_the_ceiling(layers: tuple[Trial, Path]) -> None:
    trial, _ = layers
    verdict = trial.document["verdict"]
    assert verdict["best_single"] == "single:layer2" and verdict["outcome"] != "pays"
    rows = {row["name"]: row["metrics"] for row in trial.document["recipes"]}
    best = rows["single:layer2"]
    assert best["r2_explainable"]["mean"] > 0.8 > 0.5 > rows["single:layer3"]["r2_explainable"]["mean"]
    assert best["two_versus_two"]["mean"] > 0.9
    for name in ("null", "presence"):
        assert rows[name]["two_versus_two"]["mean"] == 0.5 and rows[name]["pearson"]["mean"] == 0
        assert rows[name]["r2"]["mean"] < 0 and rows[name]["r2_null"]["mean"] == pytest.approx(0, abs=1e-12)
    assert best["r2"]["low"] < best["r2"]["mean"] < best["r2"]["high"]


def test_channels_stand_beside_their_ceiling_and_come_back_from_the_run_folder(layers: tuple[Trial, Path]) -> None:
    trial, place = layers
    table = trial.channels("single:layer2")
    assert list(table["channel"]) == [str(k + 1) for k in range(CHANNELS)]
    assert table["explainable"][0] > 0.99 and (table["explainable"][-2:] < 0.3).all()
    assert (table["r2"] < table["explainable"] + 0.15).all() and (table["r2"][-2:] < 0.1).all()
    assert table["r2"].mean() == pytest.approx(trial.table().set_index("recipe")["mean"]["single:layer2"])
    again = load_trial(place)
    pd.testing.assert_frame_equal(again.channels("single:layer2"), table)
    assert again.all_outcomes.repeats is not None and again.all_outcomes.repeats.shape == (ITEMS, 3, CHANNELS)
    with pytest.raises(ValueError, match="no recipe 'single:layer9'"):
        trial.channels("single:layer9")
    document = json.loads((place / "trial.json").read_text(encoding="utf-8"))["channels"]
    assert document["ceiling"]["items"] == ITEMS and document["ceiling"]["explainable"] > 0.5
    page = (place / "report.html").read_text(encoding="utf-8")
    assert "channel-table" in page and "Spearman and Brown" in page and "mean R² of channels" in page
    assert "item-0" not in page


@pytest.mark.nightly
def test_both_pay_only_where_both_are_read() -> None:
    rng = np.random.default_rng(1)
    words, vision, mixing = rng.normal(size=(ITEMS, 4)), rng.normal(size=(ITEMS, 4)), rng.normal(size=(2, 4, CHANNELS))
    noise = rng.normal(size=(ITEMS, CHANNELS))
    both, one = words @ mixing[0] + vision @ mixing[1] + noise, words @ mixing[0] + noise
    outcomes = []
    for value in (both, one):
        trial = chiasm.evaluate(cohort_of(list(value), words=words, vision=vision), ["early-fusion"], BRIEF, jobs=1)
        outcomes.append(trial.document["verdict"]["outcome"])
    assert outcomes[0] == "pays" and outcomes[1] != "pays"
    assert trial.document["channels"]["ceiling"] is None  # nothing was repeated


@pytest.mark.nightly
def test_a_network_learns_channels_in_their_own_units_and_is_stored(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(ITEMS, 3))
    noise = rng.normal(size=(ITEMS, 2))
    value = np.c_[1000 + 50 * (x[:, 0] + noise[:, 0]), 0.01 * (x[:, 1] + noise[:, 1])]
    made = cohort_of(list(value), x=x, y=x[:, ::-1] + 1)
    model = chiasm.fit(made, "healnet:epochs=40,latent_width=8", seed=0)
    said = model.predict(made)
    assert abs(said["response_1"].mean() - 1000) < 35 and abs(said["response_2"].mean()) < 0.007
    model.save(tmp_path / "model")
    np.testing.assert_array_equal(chiasm.load_model(tmp_path / "model").predict(made)["response_1"], said["response_1"])


def test_the_command_line_reads_files_and_writes_lists(tmp_path: Path, run: Any) -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(40, 3))
    pd.DataFrame(x, columns=["a", "b", "c"]).assign(id=IDS[:40]).to_csv(tmp_path / "x.csv", index=False)
    for k in range(40):
        np.save(tmp_path / f"{k}.npy", x[k] @ rng.normal(size=(3, 2)) + rng.normal(size=(2, 2)))
    table = pd.DataFrame({"id": IDS[:40], "file": [f"{k}.npy" for k in range(40)], "block": np.arange(40) // 5})
    table.to_csv(tmp_path / "items.csv", index=False)
    (tmp_path / "cohort.toml").write_text(
        '[patients]\ntable = "items.csv"\nid = "id"\ngroup = "block"\n[target]\nkind = "response"\ncolumn = "file"\n'
        '[modalities.x]\nkind = "table"\ntable = "x.csv"\n'
    )
    assert run("check", tmp_path / "cohort.toml").code == 0
    assert run("fit", tmp_path / "cohort.toml", "--recipe", "single:x", "--out", tmp_path / "model").code == 0
    for name in ("out.csv", "out.parquet"):
        assert run("predict", tmp_path / "model", tmp_path / "cohort.toml", "--out", tmp_path / name).code == 0
    text = pd.read_csv(tmp_path / "out.csv")["response"].map(json.loads)
    lists = pd.read_parquet(tmp_path / "out.parquet")["response"]
    assert [len(own) for own in lists] == [2] * 40
    np.testing.assert_allclose(np.stack(text.to_list()), np.stack(lists.to_list()))
