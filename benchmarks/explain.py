"""Whether explanations find what was planted, and whether those of two halves of a cohort agree.

    python benchmarks/explain.py [--data ../shared/data] [--out benchmarks/results/explain.jsonl] [task ...]
    python benchmarks/explain.py --table    writes the part of docs/benchmarks.md

Planted genes: 200 patients, 80 genes in blocks of eight that go together (correlation .3), one gene of each block in
the outcome, a number of which they explain two thirds; one column of noise is the second modality. Planted sets: the
same genes, sixteen sets of five, four of which make the outcome. Planted tiles: 160 bags of 12 tiles of eight features;
in half of them, which is the class, two tiles are shifted in two features. Recall is the share of what was planted
among as many as were planted that the explanation puts first, of tiles in each bag that has them; beside it stands
what a model of nothing puts first, and chance. Means over seeds, whose 95 % interval is Student's.

Halves: a cohort is cut in two, a recipe is fitted to each half and explained on it; the two orders of columns or sets
are compared by Spearman's correlation, by permutation, and of a wide modality of a linear recipe by coefficient. Orders
of two models that were fitted to other patients differ more than those of one model by halves of its patients.
"""

from __future__ import annotations

import os
import time
import warnings
from pathlib import Path
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")  # before numpy is loaded

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from scipy import stats  # type: ignore[import-untyped]  # noqa: E402

import chiasm  # noqa: E402
from chiasm.api import demo_cohort  # noqa: E402
from chiasm.cohort import Cohort, fold_ids  # noqa: E402
from chiasm.models.explain.soundness import FEWEST_RANKED  # noqa: E402
from pages import not_run, part, rows_of, run  # noqa: E402

NAME = "explain"
N, GENES, BLOCK, PLANTED = 200, 80, 8, 10
SETS, PER_SET, PLANTED_SETS = 16, 5, 4
BAGS, TILES, FEATURES, PLANTED_TILES = 160, 12, 8, 2
NETWORK, NETWORK_OF_TILES = "healnet:epochs=40", "healnet:modality=slide,epochs=40"
WHAT = {"genes": "column", "sets": "set"}
SEEDS, SPLITS, PERMUTATIONS = 4, 2, 2
RECIPES = {
    "genes": ("early-fusion", "healnet"),
    "sets": ("early-fusion", "healnet"),
    "tiles": ("healnet",),
}
COHORTS = {
    "demo": ("multi-ridge", "late-fusion", "healnet", "lego-fuse"),
    **{f"tcga-{tumour}": ("multi-ridge", "late-fusion") for tumour in ("blca", "brca", "gbmlgg", "luad", "ucec")},
}
TASKS = (
    *(f"{kind}:{recipe}" for kind, recipes in RECIPES.items() for recipe in recipes),
    *(f"halves:{cohort}:{recipe}" for cohort, recipes in COHORTS.items() for recipe in recipes),
)
INTRODUCTION = """## What explanations find

`python benchmarks/explain.py`, its results in `benchmarks/results/explain.jsonl`; this part of the page is written by
`--table`. Recall of what was planted, among as many as were planted, with the 95 % interval over seeds; beside it
that of a model that has learned nothing. The first lines of the script say how each cohort is made.
"""


def main() -> None:
    run(__doc__, NAME, TASKS, one, write_part)


def one(task: str, data: Path, work: Path) -> dict[str, Any]:
    """Run a task: a line of the results."""
    start = time.process_time()
    kind, _, rest = task.partition(":")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", chiasm.FindingWarning)
        if kind == "halves":
            cohort, _, recipe = rest.partition(":")
            found: dict[str, Any] = {"correlation": agreement(opened(cohort, data), recipe)}
        elif kind == "tiles":
            found = {"recall": [recall_of_tiles(seed) for seed in range(SEEDS)], "chance": PLANTED_TILES / TILES}
        else:
            found = {"recall": [recall_of_columns(kind, rest, seed) for seed in range(SEEDS)]}
            found["chance"] = PLANTED / GENES if kind == "genes" else PLANTED_SETS / SETS
    return {"cohort": task, **found, "cpu": round(time.process_time() - start)}


def opened(name: str, data: Path) -> Cohort:
    return demo_cohort() if name == "demo" else chiasm.open_cohort(data / name / "cohort.toml")


def planted(kind: str, seed: int) -> tuple[Cohort, list[str]]:
    """A cohort of genes, with the names of those, or of the sets, that make the outcome."""
    rng = np.random.default_rng(seed)
    ids = [f"p{row:03d}" for row in range(N)]
    shared = np.repeat(rng.normal(size=(N, GENES // BLOCK)), BLOCK, axis=1)
    values = np.sqrt(0.3) * shared + np.sqrt(0.7) * rng.normal(size=(N, GENES))
    genes = pd.DataFrame(values, index=ids, columns=[f"G{k:03d}" for k in range(GENES)])
    members = {f"S{k:02d}": [f"G{k * PER_SET + i:03d}" for i in range(PER_SET)] for k in range(SETS)}
    told = [f"G{k * BLOCK:03d}" for k in range(PLANTED)]
    sets = list(members)[:: SETS // PLANTED_SETS]
    read = told if kind == "genes" else [gene for name in sets for gene in members[name]]
    signal = genes[read].to_numpy() @ rng.choice([-1.0, 1.0], len(read))
    noise = rng.normal(0, signal.std() / np.sqrt(2), N)
    patients = pd.DataFrame({"y": signal + noise}, index=ids)
    groups = {"genes": members} if kind == "sets" else None
    frames = {"genes": genes, "clinical": pd.DataFrame({"age": rng.normal(60, 9, N)}, index=ids)}
    kinds = {"genes": "omics"}
    cohort = chiasm.cohort_from_frames(patients, frames, chiasm.Regression("y"), kinds=kinds, groups=groups)
    return cohort, told if kind == "genes" else sets


def recall_of_columns(kind: str, recipe: str, seed: int) -> dict[str, float]:
    """Share of the planted genes, or sets, that come first, by each way, and by a model of nothing."""
    cohort, told = planted(kind, seed)
    model = chiasm.fit(cohort, NETWORK if recipe == "healnet" else recipe, seed=seed)
    most = GENES if kind == "genes" else 1
    found = chiasm.explain_columns(model, cohort, most=most, permutations=PERMUTATIONS, seed=seed)
    table = found.table[(found.table["modality"] == "genes") & (found.table["what"] == WHAT[kind])]
    recall = {}
    for way, sorted_rows in table.groupby("way"):
        rows = sorted_rows.sample(frac=1, random_state=seed)  # sizes of zero are in no order
        recall[str(way)] = len(set(rows.nlargest(len(told), "size")["name"]) & {*told}) / len(told)
        recall[f"{way} of nothing"] = len(set(rows.nlargest(len(told), "nothing")["name"]) & {*told}) / len(told)
    return recall


def recall_of_tiles(seed: int) -> dict[str, float]:
    """Share of the planted tiles that have the largest shares of their bag, in the mean of the bags that have some."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(BAGS, TILES, FEATURES)).astype(np.float32)
    has = np.arange(BAGS) % 2 == 1
    places = np.array([rng.permutation(TILES)[:PLANTED_TILES] for _ in range(BAGS)])
    for row in np.flatnonzero(has):
        values[row, places[row], :2] += 2.5
    ids = [f"p{row:03d}" for row in range(BAGS)]
    patients = pd.DataFrame({"y": np.where(has, "yes", "no")}, index=ids)
    bags = dict(zip(ids, values, strict=True))
    target = chiasm.Classification("y")
    cohort = chiasm.cohort_from_frames(patients, {"slide": bags}, target, kinds={"slide": "bag"})
    model = chiasm.fit(cohort, NETWORK_OF_TILES, seed=seed)
    found = chiasm.explain_tokens(model, cohort, steps=16, checks=False)
    shares = {patient: rows["share"].to_numpy() for patient, rows in found.table.groupby("patient")}
    hits = []
    for row in np.flatnonzero(has):
        first = np.argsort(-shares[ids[row]])[:PLANTED_TILES]
        hits.append(len(set(first) & set(places[row])) / PLANTED_TILES)
    return {"gradient": float(np.mean(hits))}


def agreement(cohort: Cohort, recipe: str) -> dict[str, list[float]]:
    """Spearman's correlation of the orders by two models of two halves, by modality, what and way: one a split."""
    found: dict[str, list[float]] = {}
    for split in range(SPLITS):
        half = fold_ids(cohort, 2, seed=split)
        tables = []
        for side in (0, 1):
            own = cohort.subset(np.flatnonzero(half == side))
            model = chiasm.fit(own, recipe, seed=split)
            told = chiasm.explain_columns(model, own, permutations=2, checks=False, seed=split)
            tables.append(told.table[told.table["output"].isin(told.answers)])
        keys = ["modality", "what", "way"]
        for family, rows in tables[0].groupby(keys):
            there = (tables[1][keys] == list(family)).all(axis=1)  # one half's model may be linear, the other's not
            other = tables[1][there]
            sizes = rows.groupby("name")["size"].mean(), other.groupby("name")["size"].mean()
            names = sizes[0].index.intersection(sizes[1].index)
            if len(names) >= FEWEST_RANKED:
                rho = float(stats.spearmanr(sizes[0][names], sizes[1][names]).statistic)
                found.setdefault(" ".join(family), []).append(round(rho, 3))
    return found


def interval(values: list[float]) -> str:
    """Mean with the 95 % interval of Student over seeds."""
    mean = float(np.mean(values))
    if np.ptp(values) == 0:
        return f"{mean:.2f} (all seeds alike)"
    low, high = stats.t.interval(0.95, len(values) - 1, loc=mean, scale=stats.sem(values))
    return f"{mean:.2f} ({max(0.0, low):.2f} to {min(1.0, high):.2f})"


def write_part(results: Path, page: Path) -> str:
    """Write the part of the page between its marks, and return it; what was not run is named."""
    rows = rows_of(results)
    lines = ["| planted | recipe | way | recall | a model of nothing | chance |", "|---|---|---|---|---|---|"]
    for task in (task for task in TASKS if task in rows and not task.startswith("halves")):
        kind, _, recipe = task.partition(":")
        own = rows[task]
        for way in (way for way in own["recall"][0] if not way.endswith("of nothing")):
            nothing = [seed.get(f"{way} of nothing") for seed in own["recall"]]
            beside = interval(nothing) if None not in nothing else "-"
            recall = interval([seed[way] for seed in own["recall"]])
            lines.append(f"| {kind} | `{recipe}` | {way} | {recall} | {beside} | {own['chance']:.2f} |")
    lines += ["", f"{SEEDS} seeds. Two halves of a cohort, each with a model of its own, mean of {SPLITS} splits:", ""]
    lines += ["| cohort | recipe | modality, what, way | rank correlation | of the splits |", "|---|---|---|---|---|"]
    for task in (task for task in TASKS if task in rows and task.startswith("halves")):
        _, cohort, recipe = task.split(":", 2)
        if not rows[task]["correlation"]:
            lines.append(f"| {cohort} | `{recipe}` | none that both halves are told in | not estimable | - |")
        for family, values in rows[task]["correlation"].items():
            known = [value for value in values if np.isfinite(value)]
            mean = f"{np.mean(known):.2f}" if len(known) == len(values) else "not estimable"
            each = ", ".join(f"{value:.2f}" if np.isfinite(value) else "-" for value in values)
            lines.append(f"| {cohort} | `{recipe}` | {family} | {mean} | {each} |")
    return part(page, NAME, "\n".join([INTRODUCTION, *lines, *not_run(TASKS, rows)]) + "\n")


if __name__ == "__main__":
    main()
