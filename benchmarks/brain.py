"""Responses of neurons and simulated voxels: variance explained out of fold, beside what repetitions say could be.

    python benchmarks/brain.py FOLDER > benchmarks/results/brain.txt

FOLDER holds the teaching recordings of Kramer and Eden, Case Studies in Neural Data Analysis (github
Mark-Kramer/Case-Studies-Python, MIT): spikes-LFP-1.mat and 10_spikes-1.mat.

- spikes and LFP: a neuron and the local field over 100 trials of a second. An item is a window of 50 ms of a trial, its
  response the spikes in five bins of 10 ms; `lfp` is the field within the window, `history` the spikes in the 100 ms
  before it. Windows of a trial stay on one side of a fold. Nothing is repeated, so that there is no ceiling.
- planned movement: a neuron over 50 trials of two seconds, 25 to the left and 25 to the right. An item is a window of
  40 ms of one direction, its response the spikes in four bins of 10 ms, its repetitions the trials. `time` is a basis
  of time, `direction` the same by direction. Windows lie in blocks of 200 ms, of both directions, that stay on one
  side of a fold.
- simulated voxels: 300 items, four repetitions, 60 voxels of which 20 read `vision` alone, 20 `words` alone, 10 their
  product and 10 nothing. `product` is a modality of its own in the second, as a multimodal encoder would hold it.
- chance: 2V2 accuracy and R2 of the same voxels, dealt to other items, over 20 deals. 2V2 lies a little below one half,
  since what is tested lies on the other side of the mean than what was trained on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.io import loadmat  # type: ignore[import-untyped]

import chiasm

PROTOCOL = chiasm.Protocol(folds=5, repeats=1, draws=500)
Features = dict[str, np.ndarray]


def cohort_of(name: str, repeats: np.ndarray, features: Features, blocks: np.ndarray) -> chiasm.Cohort:
    """Items by repetitions by channels, features of each item, and the block that it may not be parted from."""
    ids = [f"{k:05d}" for k in range(len(repeats))]
    items = pd.DataFrame({"response": list(repeats), "block": blocks}, index=ids)
    frames = {
        key: pd.DataFrame(own, index=ids, columns=[f"{key}{k}" for k in range(own.shape[1])])
        for key, own in features.items()
    }
    return chiasm.cohort_from_frames(
        items,
        frames,
        target=chiasm.Responses("response"),
        kinds=dict.fromkeys(frames, "omics"),
        group="block",
        name=name,
    )


def spikes_and_field(folder: Path) -> chiasm.Cohort:
    """Windows of 50 ms of trials with a local field."""
    held = loadmat(folder / "spikes-LFP-1.mat")
    spikes, field = held["n"].astype(float), held["y"]
    counts = spikes.reshape(100, 100, 10).sum(axis=2)  # (trials, bins of 10 ms)
    starts = np.arange(10, 100, 5)
    response = np.stack([counts[:, k : k + 5] for k in starts], axis=1).reshape(-1, 1, 5)
    history = np.stack([counts[:, k - 10 : k] for k in starts], axis=1).reshape(-1, 10)
    lfp = np.stack([field[:, 10 * k : 10 * (k + 5) : 5] for k in starts], axis=1).reshape(-1, 10)
    return cohort_of(
        "spikes and LFP", response, {"lfp": lfp, "history": history}, np.repeat(np.arange(100), len(starts))
    )


def planned_movement(folder: Path) -> chiasm.Cohort:
    """Windows of 40 ms of trials of two directions; the trials are the repetitions."""
    held = loadmat(folder / "10_spikes-1.mat")
    train, direction = held["train"].astype(float), held["direction"].ravel()
    counts = train.reshape(50, 50, 4, 10).sum(axis=3)  # (trials, windows of 40 ms, bins of 10 ms)
    repeats = np.concatenate([counts[direction == own].transpose(1, 0, 2) for own in (0, 1)])
    time = np.arange(50) / 49
    basis = np.stack([np.cos(np.pi * k * time) for k in range(1, 9)], axis=1)
    sign = np.repeat([-1.0, 1.0], 50)[:, None]
    features = {"time": np.tile(basis, (2, 1)), "direction": sign * np.c_[np.ones(100), np.tile(basis, (2, 1))]}
    return cohort_of("planned movement", repeats, features, np.tile(np.arange(50) // 5, 2))


def simulated(product: bool) -> chiasm.Cohort:
    """Voxels that read one modality, the other, or the product of both."""
    rng = np.random.default_rng(0)
    vision, words, mixing = rng.normal(size=(300, 6)), rng.normal(size=(300, 6)), rng.normal(size=(3, 6, 60))
    both, voxel = vision * words, np.arange(60)
    signal = (vision @ mixing[0]) * (voxel < 20) + (words @ mixing[1]) * ((voxel >= 20) & (voxel < 40))
    signal += (both @ mixing[2]) * ((voxel >= 40) & (voxel < 50))
    repeats = signal[:, None] + 4 * rng.normal(size=(300, 4, 60))
    features = {"vision": vision, "words": words, **({"product": both} if product else {})}
    return cohort_of(f"voxels{', product given' if product else ''}", repeats, features, np.arange(300))


def judged(cohort: chiasm.Cohort) -> None:
    """Print the trial of a cohort: each recipe with its interval, and the ceiling."""
    trial = chiasm.evaluate(cohort, ["early-fusion", "late-fusion"], PROTOCOL, jobs=1)
    ceiling = trial.document["channels"]["ceiling"]
    told = "no item is repeated" if ceiling is None else (
        f"{ceiling['explainable']:.3f} explainable, split half {ceiling['split_half']:.3f}, "
        f"{ceiling['without_signal']} of {ceiling['channels']} channels without signal"
    )  # fmt: skip
    print(f"\n{cohort.name}: {len(cohort):,} items, {len(trial.classes)} channels; {told}")
    print(f"{'recipe':<20}{'mean R2':>26}{'explained of what can be':>28}{'Pearson':>9}{'2V2':>8}")
    for row in trial.document["recipes"]:
        own = {key: (np.nan if value["mean"] is None else value["mean"]) for key, value in row["metrics"].items()}
        ends = "" if row["low"] is None else f" ({row['low']:.3f} to {row['high']:.3f})"
        shown = f"{own['r2']:.3f}{ends}"
        print(
            f"{row['name']:<20}{shown:>26}{own['r2_explainable']:>28.3f}{own['pearson']:>9.3f}{own['two_versus_two']:>8.3f}"
        )
    print(trial.verdict.sentence.partition(". ")[0] + "." if trial.verdict is not None else "no verdict")


def chance() -> None:
    """Print 2V2 accuracy and R2 of responses that are dealt to other items."""
    cohort = simulated(product=True)
    assert cohort.outcome is not None and cohort.target is not None
    found = []
    for seed in range(20):
        dealt = np.random.default_rng([1, seed]).permutation(len(cohort))
        own = cohort.with_target(cohort.target, cohort.outcome.take(dealt))
        trial = chiasm.evaluate(own, ["single:product"], chiasm.Protocol(folds=3, repeats=1, draws=100), jobs=1)
        row = next(row for row in trial.document["recipes"] if row["name"] == "single:product")
        found.append([row["metrics"][name]["mean"] for name in ("two_versus_two", "r2")])
    mean, error = np.mean(found, axis=0), np.std(found, axis=0, ddof=1) / np.sqrt(len(found))
    print(f"\nchance, 20 deals: 2V2 {mean[0]:.4f} ± {error[0]:.4f} (standard error), R2 {mean[1]:.4f} ± {error[1]:.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    for cohort in (spikes_and_field(folder), planned_movement(folder), simulated(False), simulated(True)):
        judged(cohort)
    chance()


if __name__ == "__main__":
    main()
