"""How often `chiasm collect` is right on made cohorts of known price and gain, and what its wrong answers cost.

    python benchmarks/collecting.py [--cohorts 200] [--rows rows.csv] > benchmarks/results/collecting-five.txt
    python benchmarks/collecting.py [--cohorts 200] --repeats 1 [--rows rows.csv] > benchmarks/results/collecting.txt

Each cohort has 400 patients of whom a share between 20 and 70 % that is drawn has both modalities and the others `m1`
alone, at random; the outcome (numbers, two classes of which the rarer one is drawn between 15 and 50 %, or survival, in
turn) depends on one column of each, on that of `m2` by a strength that is drawn, a quarter of the time zero. There are
five folds and five repeats, as `chiasm collect` takes up to 500 patients, unless `--repeats` says otherwise; `--rows`
keeps what each cohort gave, and a run that was stopped goes on from there. The true gain is what the recipe, fitted on
the whole cohort, explains of 20,000 further patients with both modalities beyond `m1` alone. An outcome known for
certain is worth 1,000; the price is drawn from 1 to 400, evenly on the scale of logarithms, whatever the gain. Right is
to collect where 1,000 times the true gain is more than the price. The sign of the estimated net gain decides; beside it
stand the answers that its interval allows, and the regret: what a decision loses against the right one in the mean of
all cohorts, beside collecting from everybody and nobody.

`oracle` is how often somebody would be right who need not cross-validate: who has the very model whose gain is the true
one, and as many fresh patients with both as the cohort has. With e the standard error of the net gain of so many, that
is Phi(|true net gain| / e), e by the 20,000. The second table has both by the true net gain in such errors: where it is
under one, no method that has these patients alone can often be right.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

import chiasm
from chiasm.evaluation.fits import with_horizons
from chiasm.metrics.scored import scored_of
from chiasm.metrics.table import EXPLAINED, METRICS
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


def true_gain(kind: str, cohort: chiasm.Cohort, further: chiasm.Cohort, seed: int) -> tuple[float, float]:
    """What the fitted recipe explains of further patients with both modalities beyond `m1` alone.

    Beside it the standard error of that for as many patients as have both in the cohort, by the delta method.
    """
    model = make_recipe(RECIPE).fit(with_horizons(cohort), seed=seed)
    assert cohort.target is not None and further.outcome is not None
    (metric,) = (own for own in METRICS[kind] if own.id == EXPLAINED[kind])
    assert metric.of_patients is not None
    terms = []
    for names in (["m1", "m2"], ["m1"]):
        frame = model.predict(further.with_modalities(names)).loc[list(further.ids)]
        scored = scored_of(kind, frame, further.outcome, cohort.target.names, cohort.outcome)
        terms.append(metric.of_patients(scored))
    gained, prior = terms[1][:, 0] - terms[0][:, 0], terms[0][:, 1]
    gain = float(gained.sum() / prior.sum())
    error = float((gained - gain * prior).std() / prior.mean() / np.sqrt(cohort.present.all(axis=1).sum()))
    return gain, error


def rows(cohorts: int, repeats: int, kept: Path | None) -> pd.DataFrame:
    """What was estimated of each cohort beside the truth."""
    told = [] if kept is None or not kept.exists() else pd.read_csv(kept).to_dict("records")
    for number in range(len(told), cohorts):
        kind, rng = list(TARGETS)[number % len(TARGETS)], np.random.default_rng([7, number])
        strength = 0.0 if rng.random() < 0.25 else float(rng.uniform(0.1, 1.0))
        price = float(np.exp(rng.uniform(np.log(1), np.log(400))))
        missing, common = float(rng.uniform(0.3, 0.8)), float(rng.uniform(0.15, 0.5))
        cohort = made(kind, N, strength, 2 * number, missing, common)
        further = made(kind, FURTHER, strength, 2 * number + 1, 0.0, common)
        truth, error = true_gain(kind, cohort, further, number)
        protocol = chiasm.Protocol(repeats=repeats, draws=300)
        found = chiasm.collect(
            cohort, worth=WORTH, cost={"m2": price}, recipe=RECIPE, protocol=protocol, seed=number, jobs=1
        )
        row = found.table.set_index(["have", "add"]).loc[("m1", "m2")]
        own = {name: row[name] for name in ("gain", "low", "high", "net", "decision")}
        told.append({"kind": kind, "truth": truth, "error": error, "price": price, **own})
        if kept is not None:
            pd.DataFrame(told).to_csv(kept, index=False)
        print(f"{number + 1} of {cohorts}", file=sys.stderr)
    return pd.DataFrame(told[:cohorts])


def oracle(found: pd.DataFrame) -> pd.Series:
    """How likely the sign is right by as many fresh patients and the model itself."""
    return pd.Series(norm.cdf(in_errors(found)), index=found.index)


def in_errors(found: pd.DataFrame) -> pd.Series:
    """The true net gain in its standard errors."""
    return (found["truth"] - found["price"] / WORTH).abs() / found["error"]


def by_size(found: pd.DataFrame) -> None:
    """Print the table by the true net gain in its standard errors."""
    right = (WORTH * found["truth"] > found["price"]) == (found["net"] > 0)
    print(f"\n{'true net gain, errors':<23}{'cohorts':>8}{'right':>8}{'oracle':>8}")
    for low, high in ((0, 1), (1, 2), (2, 4), (4, np.inf)):
        own = in_errors(found).between(low, high, inclusive="left")
        if own.any():
            name = f"{low} to {high}" if np.isfinite(high) else f"over {low}"
            print(f"{name:<23}{own.sum():>8}{right[own].mean():>8.1%}{oracle(found)[own].mean():>8.1%}")


def said(found: pd.DataFrame, name: str) -> str:
    """One line of the table."""
    true_net = WORTH * found["truth"] - found["price"]
    right, asked = true_net > 0, found["net"] > 0
    loss = true_net.abs().where(right != asked, 0.0)
    plain = found[found["decision"].isin(["collect", "do not collect"])]
    wrong = (plain["decision"] == "collect") != right[plain.index]
    covered = (found["low"] <= found["truth"]) & (found["truth"] <= found["high"])
    regrets = [loss.mean(), (-true_net).clip(lower=0).mean(), true_net.clip(lower=0).mean()]
    shares = f"{(right == asked).mean():>8.1%}{oracle(found).mean():>8.1%}"
    shares += f"{len(plain) / len(found):>9.1%}{wrong.sum():>7}{covered.mean():>9.1%}"
    return f"{name:<15}{len(found):>8}{shares}" + "".join(f"{value:>10.2f}" for value in regrets)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cohorts", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--rows", type=Path)
    asked = parser.parse_args()
    found = rows(asked.cohorts, asked.repeats, asked.rows)
    print(f"`{RECIPE}`, {N} patients, 5 folds, {asked.repeats} repeats; worth {WORTH:,.0f}; regret in its currency\n")
    names = f"{'target':<15}{'cohorts':>8}{'right':>8}{'oracle':>8}{'decided':>9}{'wrong':>7}{'covered':>9}"
    print(names + f"{'regret':>10}{'everybody':>10}{'nobody':>10}")
    for kind, own in found.groupby("kind", sort=False):
        print(said(own, str(kind)))
    print(said(found, "together"))
    by_size(found)


if __name__ == "__main__":
    main()
