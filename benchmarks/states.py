"""Hidden states of spike trains: held-out bits a spike of real recordings, and known connections found again.

Real recordings (Kramer and Eden, Case Studies in Neural Data Analysis, MIT) are of one neuron each, so that the priors
of a network differ in the weight of its own past alone. A recording of the cohort is a stretch of 25 bins: 20, and the
five that follow. Stretches of a trial, or of 2.5 seconds, stay on one side of five folds.

- `light`: a neuron of the retina for 30 seconds in low light and 30 in high light, bins of 20 ms.
- `field`: a neuron over 100 trials of a second, bins of 10 ms.
- `movement`: a neuron over 50 trials of two seconds, planned to the left or the right, bins of 20 ms.

Made recordings have eight neurons and two hidden states. Of the connections a fifth inhibit and three tenths excite,
and one in five of all is drawn anew for each state; strengths are gamma distributed about 1; states are kept with .98.
From 1,000 or 4,000 bins in recordings of 100, each prior finds two states from one start; 3,000 other bins are held
out. The AUC of the sign is the mean of that of excitation and that of inhibition against the rest, without a neuron's
own past, states matched to their best. Intervals are Student's, over eight seeds; those of real recordings are the
trial's.

    python benchmarks/states.py [made-1000:0 light ...]
    python benchmarks/states.py --table
"""

from __future__ import annotations

import time
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.io import loadmat  # type: ignore[import-untyped]
from scipy.stats import t as student  # type: ignore[import-untyped]
from sklearn.metrics import roc_auc_score  # type: ignore[import-untyped]

import chiasm
from chiasm.dynamics.states.described import foreseen
from chiasm.dynamics.states.fitted import Fitted, Settings, fit_states
from chiasm.dynamics.states.networks import EXCITES, INHIBITS
from chiasm.dynamics.states.recordings import recordings_of
from chiasm.shown import interval
from pages import ROOT, not_run, part, rows_of, run

PAGE = ROOT / "docs" / "states.md"
REAL = {"light": "retina in two lights", "field": "spikes beside a field", "movement": "planned movement"}
SIZES, SEEDS = (1000, 4000), range(8)
MADE = [f"made-{size}:{seed}" for seed in SEEDS for size in SIZES]
PRIORS = {"one-hot": "one-hot", "gaussian": "Gaussian", "free": "naive"}
NEURONS, STATES, STAY, TAU, LENGTH, HELD_OUT = 8, 2, 0.98, 2.0, 100, 3000
SHOWN, AHEAD, BLOCK = 20, 5, 5  # bins of a stretch, bins that follow, stretches of a group
RECIPES = [
    "history-ridge", *(f"poisson-glm:connectivity={own}" for own in PRIORS),
    *(f"hmm-glm:states={states},connectivity={own},restarts=1" for states in (2, 3) for own in PRIORS),
]  # fmt: skip
READ: dict[str, dict[str, str]] = {
    "history-ridge": {}, "poisson-glm": {"states": "1", "connectivity": "gaussian"},
    "hmm-glm": {"states": "3", "connectivity": "one-hot"},
}  # fmt: skip
"""Recipes of the table, with what stands for an option that is not told."""
PROTOCOL = chiasm.Protocol(folds=5, repeats=1, inner_folds=2, draws=500)


def counts_of(name: str, folder: Path) -> list[np.ndarray]:
    """Counts, bins by one neuron, of each trial or session of real recordings."""
    if name == "light":
        held = loadmat(folder / "08_spikes-1.mat")
        seconds = [held[key].ravel() for key in ("SpikesLow", "SpikesHigh")]
        return [np.histogram(own, np.linspace(0, 30, 1501))[0][:, None] for own in seconds]
    file, key, wide = {"field": ("spikes-LFP-1.mat", "n", 10), "movement": ("10_spikes-1.mat", "train", 20)}[name]
    spikes = loadmat(folder / file)[key].astype(int)
    return [own.reshape(-1, wide).sum(1)[:, None] for own in spikes]


def real(name: str, folder: Path) -> dict[str, Any]:
    """Bits a spike of each recipe on held-out stretches of real recordings."""
    stretches, following, group = {}, [], []
    whole = counts_of(name, folder)
    for number, counts in enumerate(whole):
        pieces = len(counts) // (SHOWN + AHEAD)
        for k in range(pieces):
            own = counts[k * (SHOWN + AHEAD) : (k + 1) * (SHOWN + AHEAD)]
            stretches[f"{number:03d}-{k:03d}"] = own[:SHOWN]
            following.append(own[SHOWN:].ravel())
            group.append(f"{number}-{k // BLOCK}" if len(whole) < 10 else str(number))
    items = pd.DataFrame({"next": following, "group": group}, index=list(stretches))
    target = chiasm.Responses("next", unit="spikes")
    cohort = chiasm.cohort_from_frames(items, {"spikes": stretches}, target=target, group="group", name=name)
    trial = chiasm.evaluate(cohort, RECIPES, PROTOCOL, jobs=1)
    bits = {row["name"]: row["metrics"]["bits_per_spike"] for row in trial.document["recipes"]}
    spikes = int(sum(own.sum() for own in whole))
    return {"stretches": len(items), "groups": len(set(group)), "spikes": spikes, "bits": bits}


def made(size: int, seed: int) -> dict[str, Any]:
    """What each prior finds again of connections that are known."""
    rng = np.random.default_rng([7, seed])
    shared = rng.choice([-1, 0, 1], p=[0.2, 0.5, 0.3], size=(NEURONS, NEURONS))
    own = rng.choice([-1, 0, 1], p=[0.2, 0.5, 0.3], size=(STATES, NEURONS, NEURONS))
    signs = np.where(rng.random(own.shape) < 0.2, own, shared)
    weight = signs * rng.gamma(4.0, 0.25, size=signs.shape)
    weight[:, np.arange(NEURONS), np.arange(NEURONS)] = -1.0
    bias = rng.normal(-1.0, 0.5, size=(STATES, NEURONS))
    train, test = drawn(weight, bias, size, rng), drawn(weight, bias, HELD_OUT, rng)
    found: dict[str, Any] = {}
    for prior in PRIORS:
        start = time.process_time()
        settings = Settings(STATES, prior, kernels=1, slowest=TAU, stay=STAY, restarts=1)
        fitted = fit_states(recordings_of([own for own, _ in train]), settings, seed=seed)
        found[prior] = {**judged(fitted, signs, test), "seconds": round(time.process_time() - start, 1)}
    return {"size": size, "seed": seed, "found": found}


def drawn(
    weight: np.ndarray, bias: np.ndarray, bins: int, rng: np.random.Generator
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Draw counts and states, recording by recording."""
    kept, found = np.exp(-1 / TAU), []
    for _ in range(bins // LENGTH):
        state, past = rng.integers(STATES), np.zeros(NEURONS)
        counts, states = np.zeros((LENGTH, NEURONS)), np.zeros(LENGTH, int)
        for t in range(LENGTH):
            if t and rng.random() > STAY:
                state = (state + rng.integers(1, STATES)) % STATES
            rate = np.logaddexp(0, weight[state] @ past + bias[state])
            counts[t], states[t] = rng.poisson(np.minimum(rate, 20)), state
            past = past * kept + counts[t] * (1 - kept)
        found.append((counts, states))
    return found


def judged(fitted: Fitted, signs: np.ndarray, test: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
    """AUC of the sign, share of held-out bins whose state is told, and held-out bits a spike one bin ahead."""
    held = recordings_of([own for own, _ in test])
    told, truth = held.flat(fitted.path_of(held)), np.concatenate([own for _, own in test])
    best = max(permutations(range(STATES)), key=lambda order: float((np.array(order)[told] == truth).mean()))
    order = np.argsort(best)  # of the true state, which fitted one it is
    pairs = np.broadcast_to(~np.eye(NEURONS, dtype=bool), signs.shape)
    weight = fitted.emission.weight
    excites, inhibits = (
        (fitted.signs[..., EXCITES], fitted.signs[..., INHIBITS]) if fitted.signs.size else (weight, -weight)
    )
    areas = [roc_auc_score(signs[pairs] == sign, score[order][pairs]) for sign, score in ((1, excites), (-1, inhibits))]
    gain, spikes = foreseen(fitted, held).sum(axis=0)
    share = float((np.array(best)[told] == truth).mean())
    return {"auc": float(np.mean(areas)), "decoded": share, "bits": float(gain / np.log(2) / spikes)}


def measured(name: str, data: Path, work: Path) -> dict[str, Any]:
    """One line of the results."""
    start = time.process_time()
    size, _, seed = name.removeprefix("made-").partition(":")
    own = made(int(size), int(seed)) if seed else real(name, data / "wings" / "neural-recordings")
    return {"cohort": name, **own, "seconds": round(time.process_time() - start)}


def text_of(rows: dict[str, dict[str, Any]]) -> str:
    """Both tables, and what has not run."""
    lines = [*_real_lines(rows), *_made_lines(rows)]
    started = [
        f"made-{size}" for size in SIZES if any(name in rows for name in MADE if name.startswith(f"made-{size}:"))
    ]
    lines += not_run([*REAL, *(f"made-{size}" for size in SIZES)], [*rows, *started])
    return "\n".join(lines).rstrip() + "\n"


def _real_lines(rows: dict[str, dict[str, Any]]) -> list[str]:
    there = [name for name in REAL if name in rows]
    if not there:
        return []
    held = ", ".join(
        f"{REAL[own]} ({rows[own]['stretches']} stretches, {rows[own]['spikes']:,} spikes)" for own in there
    )
    lines = [f"Bits a spike of the five bins that follow, in five folds: {held}.", ""]
    lines += [f"| recipe | states | prior | {' | '.join(REAL[own] for own in there)} |",
              f"|---|---|---|{'---|' * len(there)}"]  # fmt: skip
    for name in (name for name in rows[there[0]]["bits"] if name.partition(":")[0] in READ):
        cells = [rows[own]["bits"][name] for own in there]
        shown = [interval(own["mean"], own["low"], own["high"]) for own in cells]
        lines.append(f"| {' | '.join([*_named(name), *shown])} |")
    return [*lines, ""]


def _named(name: str) -> list[str]:
    """Recipe, number of states and prior; an option that is not told is the recipe's own."""
    recipe, _, rest = name.partition(":")
    own = {**READ[recipe], **dict(option.split("=") for option in rest.split(",") if option)}
    return [f"`{recipe}`", own.get("states", "-"), PRIORS.get(own.get("connectivity", ""), "-")]


def _made_lines(rows: dict[str, dict[str, Any]]) -> list[str]:
    lines: list[str] = []
    for size in SIZES:
        own = [rows[name] for name in MADE if name in rows and rows[name]["size"] == size]
        if len(own) < 2:
            continue
        lines += [
            f"Known connections of eight neurons, from {size:,} bins, {len(own)} seeds; bits a spike of others:",
            "",
        ]
        heads = "prior", "AUC of the sign", "one-hot less it", "states told, %", "bits a spike", "one-hot less it"
        lines += [f"| {' | '.join(heads)} |", "|---|---|---|---|---|---|"]
        values = {key: {prior: np.array([one["found"][prior][key] for one in own]) for prior in PRIORS}
                  for key in ("auc", "decoded", "bits")}  # fmt: skip
        for prior, called in PRIORS.items():
            less = ["-" if prior == "one-hot" else over_seeds(values[key]["one-hot"] - values[key][prior])
                    for key in ("auc", "bits")]  # fmt: skip
            lines.append(
                f"| {called} | {over_seeds(values['auc'][prior])} | {less[0]} | "
                f"{over_seeds(100 * values['decoded'][prior], 1)} | {over_seeds(values['bits'][prior])} | {less[1]} |"
            )
        lines.append("")
    return lines


def over_seeds(values: np.ndarray, digits: int = 3) -> str:
    """Mean over seeds, with Student's 95 % interval."""
    wide = float(student.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    return interval(float(values.mean()), float(values.mean()) - wide, float(values.mean()) + wide, digits=digits)


def write_part(results: Path, page: Path) -> str:
    """Write the tables to docs/states.md, and return them."""
    return part(PAGE, "states", text_of(rows_of(results)))


if __name__ == "__main__":
    run(__doc__, "states", [*REAL, *MADE], measured, write_part)
