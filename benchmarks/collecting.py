"""How often `chiasm collect` is right on made cohorts of known price and gain, and what its wrong answers cost.

    python benchmarks/collecting.py [--cohorts 200] > benchmarks/results/collecting.txt

Each cohort has 400 patients of whom a share between 20 and 70 % that is drawn has both modalities and the others `m1`
alone, at random; the outcome (numbers, two classes of which the rarer one is drawn between 15 and 50 %, or survival, in
turn) depends on one column of each, on that of `m2` by a strength that is drawn, a quarter of the time zero. One repeat
of five folds is used, for time: `chiasm collect` takes five up to 500 patients, which narrows its intervals. The true
gain is what the recipe, fitted on the whole cohort, explains of 20,000 further patients with
both modalities beyond `m1` alone. An outcome known for certain is worth 1,000; the price is drawn from 1 to 400, evenly
on the scale of logarithms, whatever the gain. Right is to collect where 1,000 times the true gain is more than the
price. The sign of the estimated net gain decides; beside it stand the answers that its interval allows, and the regret:
what a decision loses against the right one in the mean of all cohorts, beside collecting from everybody and nobody.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

import chiasm
from chiasm.evaluation.fits import with_horizons
from chiasm.metrics.scores import score
from chiasm.metrics.table import EXPLAINED
from chiasm.recipes.registry import make_recipe

N, FURTHER, WORTH = 400, 20_000, 1000.0
RECIPE = "stacked-fusion"
TARGETS: dict[str, Any] = {
    "regression": chiasm.Regression("y"),
    "classification": chiasm.Classification("y"),
    "survival": chiasm.Survival("time", "died"),
}


def made(kind: str, n: int, strength: float, seed: int, missing: float, common: float) -> chiasm.Cohort:
    """One cohort: `m1` and `m2` of four columns each, the first of which carries the signal, `common` of class 1."""
    rng = np.random.default_rng(seed)
    m1, m2, noise = rng.normal(size=(n, 4)), rng.normal(size=(n, 4)), rng.normal(size=n)
    signal = 0.8 * m1[:, 0] + strength * m2[:, 0]
    ids = [f"p{number:05d}" for number in range(n)]
    time, censor = np.exp(-signal) * rng.exponential(size=n), 2 * rng.exponential(size=n)
    patients = pd.DataFrame({"time": np.minimum(time, censor), "died": (time <= censor).astype(int)}, ids)
    cut = norm.ppf(1 - common) * np.sqrt(0.8**2 + strength**2 + 1)
    patients["y"] = signal + noise if kind == "regression" else (signal + noise > cut).astype(int)
    second = pd.DataFrame(m2, ids, [f"m2_{k}" for k in range(4)])[rng.random(n) >= missing]
    frames = {"m1": pd.DataFrame(m1, ids, [f"m1_{k}" for k in range(4)]), "m2": second}
    return chiasm.cohort_from_frames(patients, frames, TARGETS[kind])


def true_gain(kind: str, cohort: chiasm.Cohort, further: chiasm.Cohort, seed: int) -> float:
    """What the fitted recipe explains of further patients with both modalities beyond `m1` alone."""
    model = make_recipe(RECIPE).fit(with_horizons(cohort), seed=seed)
    assert cohort.target is not None and further.outcome is not None
    found, metric = [], EXPLAINED[kind]
    for names in (["m1", "m2"], ["m1"]):
        frame = model.predict(further.with_modalities(names)).loc[list(further.ids)]
        found.append(score(kind, frame, further.outcome, cohort.target.names, None, cohort.outcome, [metric])[metric])
    return float(found[0][0] - found[1][0])


def rows(cohorts: int) -> pd.DataFrame:
    """What was estimated of each cohort beside the truth."""
    told = []
    for number in range(cohorts):
        kind, rng = list(TARGETS)[number % len(TARGETS)], np.random.default_rng([7, number])
        strength = 0.0 if rng.random() < 0.25 else float(rng.uniform(0.1, 1.0))
        price = float(np.exp(rng.uniform(np.log(1), np.log(400))))
        missing, common = float(rng.uniform(0.3, 0.8)), float(rng.uniform(0.15, 0.5))
        cohort = made(kind, N, strength, 2 * number, missing, common)
        truth = true_gain(kind, cohort, made(kind, FURTHER, strength, 2 * number + 1, 0.0, common), number)
        protocol = chiasm.Protocol(repeats=1, draws=300)
        found = chiasm.collect(
            cohort, worth=WORTH, cost={"m2": price}, recipe=RECIPE, protocol=protocol, seed=number, jobs=1
        )
        row = found.table.set_index(["have", "add"]).loc[("m1", "m2")]
        told.append((kind, truth, price, row["gain"], row["low"], row["high"], row["net"], row["decision"]))
        print(f"{number + 1} of {cohorts}", file=sys.stderr)
    return pd.DataFrame(told, columns=["kind", "truth", "price", "gain", "low", "high", "net", "decision"])


def said(found: pd.DataFrame, name: str) -> str:
    """One line of the table."""
    true_net = WORTH * found["truth"] - found["price"]
    right, asked = true_net > 0, found["net"] > 0
    loss = true_net.abs().where(right != asked, 0.0)
    plain = found[found["decision"].isin(["collect", "do not collect"])]
    wrong = (plain["decision"] == "collect") != right[plain.index]
    covered = (found["low"] <= found["truth"]) & (found["truth"] <= found["high"])
    regrets = [loss.mean(), (-true_net).clip(lower=0).mean(), true_net.clip(lower=0).mean()]
    shares = f"{(right == asked).mean():>8.1%}{len(plain) / len(found):>9.1%}{wrong.sum():>7}{covered.mean():>9.1%}"
    return f"{name:<15}{len(found):>8}{shares}" + "".join(f"{value:>10.2f}" for value in regrets)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cohorts", type=int, default=200)
    found = rows(parser.parse_args().cohorts)
    print(f"`{RECIPE}`, {N} patients, 5 folds, one repeat; worth {WORTH:,.0f}; regret a patient, in its currency\n")
    names = f"{'target':<15}{'cohorts':>8}{'right':>8}{'decided':>9}{'wrong':>7}{'covered':>9}"
    print(names + f"{'regret':>10}{'everybody':>10}{'nobody':>10}")
    for kind, own in found.groupby("kind", sort=False):
        print(said(own, str(kind)))
    print(said(found, "together"))


if __name__ == "__main__":
    main()
