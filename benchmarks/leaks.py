"""What the leak screen finds: leaks planted into made cohorts, and every finding on the handed ones.

    python benchmarks/leaks.py [--data ../shared/data] > benchmarks/results/leaks.txt

First each kind of leak, planted into five cohorts of 400 patients that hold nothing else of the outcome but noise or an
honest signal: in how many it is found under its name, and in how many its cohort without the plant is passed. Then the
findings on every `*/cohort.toml` of the folder, on the demo and on the synthetic cohorts, to be read against the data.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

import chiasm
from chiasm.cohort import SYNTHETIC_COHORTS, synthetic_cohort
from chiasm.cohort.demo import demo_cohort

N, SEEDS = 400, 5
Made = dict[str, Any]


class Bench:
    """A cohort in the making: `patients`, `modalities` and what `cohort_from_frames` is told beside them."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.rng = np.random.default_rng(seed)
        self.folder = folder
        self.ids = [f"p{number:03d}" for number in range(N)]
        signal = self.rng.normal(size=N)
        self.y = (signal + self.rng.normal(size=N) > 0).astype(int)
        self.time = np.exp(6 - 0.5 * signal + self.rng.normal(size=N))
        censor = np.exp(6.2 + self.rng.normal(size=N))
        self.event = (self.time <= censor).astype(int)
        self.time = np.minimum(self.time, censor)
        self.number = signal + self.rng.normal(size=N)
        self.labs = pd.DataFrame(self.rng.normal(size=(N, 8)), self.ids, [f"lab_{k}" for k in range(8)])
        self.labs["lab_0"] += signal
        self.genes = pd.DataFrame(self.rng.normal(size=(N, 30)), self.ids, [f"gene_{k}" for k in range(30)])
        self.patients = pd.DataFrame(
            {"ill": self.y, "days": self.time, "died": self.event, "score": self.number}, self.ids
        )
        self.more: Made = {}
        self.options: Made = {}
        self.kinds: dict[str, str] = {}
        self.target: Any = chiasm.Classification("ill")

    def cohort(self) -> chiasm.Cohort:
        modalities = {"labs": self.labs, "genes": self.genes, **self.more}
        return chiasm.cohort_from_frames(self.patients, modalities, self.target, kinds=self.kinds, **self.options)

    def survival(self) -> None:
        self.target = chiasm.Survival("days", "died", unit="days")

    def flipped(self, label: np.ndarray, share: float) -> np.ndarray:
        return np.where(self.rng.random(N) < share, 1 - label, label)


def words(b: Bench) -> None:
    b.labs["diagnosis"] = np.where(b.y == 1, "yes", "no")


def noisy_copy(b: Bench) -> None:
    b.labs["marker"] = b.y + b.rng.normal(0, 0.1, N)


def number_copy(b: Bench) -> None:
    b.target = chiasm.Regression("score")
    b.labs["points"] = 10 * b.number + 3


def event_in_words(b: Bench) -> None:
    b.survival()
    b.labs["vital_status"] = np.where(b.event == 1, "dead", "alive")


def event_flipped(b: Bench) -> None:
    b.survival()
    b.labs["followed"] = b.flipped(b.event, 0.03)


def months(b: Bench) -> None:
    b.survival()
    b.labs["os_months"] = b.time / 30.4


def noisy_log_time(b: Bench) -> None:
    b.survival()
    b.labs["log_time"] = np.log(b.time) + b.rng.normal(0, 0.1 * np.log(b.time).std(), N)


def visits(b: Bench) -> None:
    b.survival()
    b.labs["visits"] = np.round(b.time / 30) + b.rng.integers(0, 3, N)


def filled_for_the_dead(b: Bench) -> None:
    b.survival()
    b.labs["relapse_site"] = np.where(b.event == 1, b.rng.normal(size=N), np.nan)


def forty_levels(b: Bench) -> None:
    level = b.rng.integers(0, 20, N)
    b.labs["ward"] = [f"ward {2 * k + c}" for k, c in zip(level, b.y, strict=True)]


def rarely_filled(b: Bench) -> None:
    b.labs["biopsy"] = np.where(b.rng.random(N) < 0.4, b.y + b.rng.normal(0, 0.05, N), np.nan)


def difference(b: Bench) -> None:
    b.labs["before"] = b.rng.normal(0, 3, N)
    b.labs["after"] = b.labs["before"] + b.y


def ratio(b: Bench) -> None:
    b.target = chiasm.Regression("score")
    b.labs["dose"] = np.exp(b.rng.normal(0, 2, N))
    b.labs["cleared"] = b.labs["dose"] * np.exp(b.number)


def dates_across(b: Bench) -> None:
    b.survival()
    b.labs["entry_day"] = b.rng.uniform(0, 5000, N)
    b.genes["last_letter_day"] = b.labs["entry_day"] + b.time


def identical(b: Bench) -> None:
    for frame in (b.labs, b.genes):
        frame.iloc[:10] = frame.iloc[10:20].to_numpy()


def near(b: Bench) -> None:
    for frame in (b.labs, b.genes):
        frame.iloc[:10] = frame.iloc[10:20].to_numpy() + b.rng.normal(0, 1e-6, (10, frame.shape[1]))


def one_modality(b: Bench) -> None:
    b.genes.iloc[:10] = b.genes.iloc[10:20].to_numpy()
    b.labs = b.labs.iloc[10:]


def measured_again(b: Bench) -> None:
    b.genes.iloc[:10] = b.genes.iloc[10:20].to_numpy()
    b.labs.iloc[:10] = b.labs.iloc[10:20].to_numpy() + b.rng.normal(0, 0.3, (10, b.labs.shape[1]))


def case_of_ids(b: Bench) -> None:
    names = [*b.ids[:-1], b.ids[0].upper()]
    b.patients.index = b.labs.index = b.genes.index = pd.Index(names)


def person_in_two_folds(b: Bench) -> None:
    b.patients["person"] = [f"person {k // 2}" for k in range(N)]
    b.patients["fold"] = b.rng.integers(0, 5, N).astype(str)
    b.options = {"group": "person", "folds": "fold"}


def images(b: Bench) -> dict[str, Path]:
    """Forty pictures of smooth noise, which a JPEG keeps."""
    found = {}
    for k, name in enumerate(b.ids[:40]):
        small = b.rng.integers(0, 256, (8, 8)).astype(np.uint8)
        found[name] = b.folder / f"{k}.png"
        Image.fromarray(small).resize((64, 64), Image.Resampling.BICUBIC).save(found[name])
    b.more["scan"], b.kinds["scan"] = found, "image"
    return found


def one_file(b: Bench) -> None:
    found = images(b)
    found[b.ids[50]] = found[b.ids[0]]


def as_jpeg(b: Bench) -> None:
    found = images(b)
    found[b.ids[50]] = b.folder / "again.jpg"
    Image.open(found[b.ids[0]]).convert("RGB").save(found[b.ids[50]], quality=80)


def as_tiff(b: Bench) -> None:
    found = images(b)
    found[b.ids[50]] = b.folder / "again.tif"
    Image.open(found[b.ids[0]]).save(found[b.ids[50]])


def records(b: Bench, last: np.ndarray, codes: Callable[[int], list[tuple[float, str]]]) -> None:
    rows = []
    for k, name in enumerate(b.ids):
        hours = np.append(0.0, np.sort(b.rng.uniform(0, last[k], 1 + int(last[k] / 720))))
        rows += [(name, hour, f"LAB//{b.rng.integers(4)}", b.rng.normal()) for hour in hours]
        rows += [(name, hour, code, np.nan) for hour, code in codes(k)]
    frame = pd.DataFrame(rows, columns=["id", "hours", "code", "numeric_value"]).set_index("id")
    b.more["record"], b.kinds["record"] = frame, "events"


def visits_in_records(b: Bench) -> None:
    b.survival()
    records(b, b.time * 24, lambda k: [])


def late_code(b: Bench) -> None:
    records(b, np.full(N, 2400.0), lambda k: [(4800.0, "ICD//C61")] if b.y[k] and b.rng.random() < 0.7 else [])


def after_the_index(b: Bench) -> None:
    records(b, np.full(N, 2400.0), lambda k: [(4800.0, "LAB//0")] if k < 20 else [])
    b.options = {"index": {"record": 2400.0}}


def presence(b: Bench) -> None:
    b.genes = b.genes[b.rng.random(N) < np.where(b.y == 1, 0.9, 0.5)]


PLANTS: list[tuple[str, Callable[[Bench], None], str]] = [
    ("the classes under another name, in words", words, "leaking-column"),
    ("the classes and noise of a tenth", noisy_copy, "leaking-column"),
    ("the number under another name and scale", number_copy, "leaking-column"),
    ("the event under another name, in words", event_in_words, "leaking-column"),
    ("the event, 3 % of it flipped", event_flipped, "leaking-column"),
    ("the time under another name, in months", months, "leaking-column"),
    ("the logarithm of the time and 10 % noise", noisy_log_time, "leaking-column"),
    ("the number of visits, a column", visits, "leaking-column"),
    ("a column filled for those with the event", filled_for_the_dead, "leaking-column"),
    ("words of 40 levels, each of one class", forty_levels, "leaking-column"),
    ("a perfect predictor, filled in 40 %", rarely_filled, "leaking-column"),
    ("a pair whose difference is the class", difference, "paired-columns"),
    ("a pair whose ratio is the number", ratio, "paired-columns"),
    ("a pair across modalities, entry and last letter", dates_across, "paired-columns"),
    ("patients identical in every modality", identical, "identical-patients"),
    ("patients identical but for noise of 1e-6", near, "near-duplicates"),
    ("one modality identical, the other absent", one_modality, "identical-modality"),
    ("one modality identical, the other measured again", measured_again, "identical-modality"),
    ("identifiers that differ in case", case_of_ids, "look-alike-identifiers"),
    ("a person on both sides of given folds", person_in_two_folds, "shared-groups"),
    ("one image file under two identifiers", one_file, "identical-modality"),
    ("an image saved again as JPEG", as_jpeg, "same-picture"),
    ("an image saved again as TIFF", as_tiff, "same-picture"),
    ("the number of visits, events", visits_in_records, "record-length-follows-outcome"),
    ("a code of the outcome, 100 days later, in 70 %", late_code, "outcome-code"),
    ("events after the index time", after_the_index, "events-after-index"),
    ("presence that follows the outcome", presence, "presence-follows-outcome"),
]


def planted() -> None:
    print(f"{'planted leak':52} {'finding':32} found")
    for title, plant, name in PLANTS:
        found = 0
        for seed in range(SEEDS):
            with tempfile.TemporaryDirectory() as folder:
                bench = Bench(seed, Path(folder))
                plant(bench)
                found += name in {problem.finding for problem in chiasm.check_cohort(bench.cohort())}
        print(f"{title:52} {name:32} {found} of {SEEDS}", flush=True)
    alarms = 0
    for seed in range(SEEDS):
        for target in (chiasm.Classification("ill"), chiasm.Regression("score"), chiasm.Survival("days", "died")):
            with tempfile.TemporaryDirectory() as folder:
                bench = Bench(seed, Path(folder))
                images(bench)
                records(bench, np.full(N, 2400.0), lambda k: [])
                bench.target = target
                alarms += len(chiasm.check_cohort(bench.cohort()))
    print(f"\nfindings on {3 * SEEDS} of these cohorts without a plant: {alarms}\n")


def handed(folder: Path) -> None:
    cohorts: list[tuple[str, Any]] = [("demo", demo_cohort())]
    for name in SYNTHETIC_COHORTS:
        for target in ("classification", "multilabel", "regression", "survival"):
            cohorts.append((f"{name}, {target}", synthetic_cohort(name, 500, target=target)))
    cohorts += [(path.parent.name, path) for path in sorted(folder.glob("*/cohort.toml"))]
    total = 0
    for name, cohort in cohorts:
        problems = chiasm.check_cohort(cohort)
        total += len(problems)
        print(f"{name}: {len(problems) or 'nothing'}", flush=True)
        for problem in problems:
            print(f"    {problem.finding}{', a leak' if problem.leak else ''}: {problem}")
    print(f"\n{total} findings on {len(cohorts)} cohorts")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[1] / ".." / "shared" / "data")
    planted()
    handed(parser.parse_args().data)
