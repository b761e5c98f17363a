"""What an untrained network of sequences is worth beside k-mers, one-hot places and fingerprints: the lines to clear.

    python benchmarks/sequences.py [LINE ...] [--data ../shared/data] && python benchmarks/sequences.py --table

A line is `cohort/encoder`, as `gb1-sampled/onehot`; without any, every line that has none yet is run. Cohorts are those
of `sequence_cohorts.py`. Each encoder is judged by `single:sequence,models=linear`, a ridge or an elastic net that
inner folds choose, in the given split, or in five drawn folds that split no pair of strands, repeated twice for the 280
molecules. Untrained networks have width 64, two blocks and two directions. `ridge 1` is scikit-learn's ridge with
penalty 1 on the one-hot tokens of a given split, which FLIP's baseline is: no penalty is chosen.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

import chiasm
from pages import ROOT, part, rows_of, run
from sequence_cohorts import NAMES, write
from tested import scores_of, tested

RECIPE = "single:sequence,models=linear"
PLACES = "onehot:length=265,places=39-41+54"
COUNTED = {"kmers", "onehot", "ridge 1", "fingerprint"}  # without a network
CELLS = ("mamba2", "mamba", "xlstm", "gru")
PAGE = ROOT / "docs" / "sequences.md"

ENCODERS: dict[str, dict[str, str]] = {
    "promoters": {
        "kmers": "kmers",
        "onehot": "onehot:length=81",
        **{f"{cell} ph": f"sequence:cell={cell},rc=ph" for cell in CELLS},
        "mamba2 one strand": "sequence:cell=mamba2",
    },
    "gb1": {
        "ridge 1": PLACES,
        "onehot": PLACES,
        "kmers": "kmers",
        **{cell: f"sequence:cell={cell}" for cell in CELLS},
        "mamba2 letters": "sequence:cell=mamba2,windows=64",
    },
    "carcinogens": {
        "fingerprint": "fingerprint",
        "graph": "graph",
        **{cell: f"sequence:cell={cell}" for cell in CELLS},
    },
}
LINES = [f"{name}/{own}" for name in NAMES for own in ENCODERS[name.partition("-")[0]]]


def by_hand(manifest: Path) -> float:
    """Spearman's rho in the given test set of scikit-learn's ridge with penalty 1 on one-hot tokens."""
    import pandas as pd
    from scipy.stats import spearmanr
    from sklearn.linear_model import Ridge

    from chiasm.encoders.catalogue import make_encoder

    table = pd.read_csv(manifest.parent / "patients.csv").merge(pd.read_csv(manifest.parent / "folds.csv"), on="id")
    tokens = make_encoder(PLACES, "protein").encode(list(table["sequence"])).values.flatten(1).numpy()
    test = (table["fold"].astype(str) != "train").to_numpy()
    values = table["fitness"].to_numpy()
    predicted = Ridge(alpha=1.0).fit(tokens[~test], values[~test]).predict(tokens[test])
    return float(spearmanr(predicted, values[test])[0])


def one(line: str, data: Path, work: Path) -> dict[str, Any]:
    """Judge one encoder on one cohort."""
    name, _, label = line.partition("/")
    spec = ENCODERS[name.partition("-")[0]][label]
    manifest = write(name, work.parent / name, data)
    start = time.perf_counter()
    if label == "ridge 1":
        value = {"mean": by_hand(manifest), "low": None, "high": None}
        return {"cohort": line, "encoder": spec, "metric": "spearman", "values": {"spearman": value}}
    cohort = chiasm.open_cohort(manifest)
    encoded = chiasm.encode(cohort, {"sequence": spec}, jobs=1)
    made = time.perf_counter() - start
    protocol = chiasm.Protocol(folds=5, repeats=2 if name == "carcinogens" else 1)
    trial = tested(encoded.cohort, [RECIPE], protocol)
    metrics = ("r2", "spearman") if trial.kind == "regression" else ("auroc",)
    row = {"cohort": line, "encoder": spec, "patients": len(cohort), "metric": metrics[0]}
    row |= {"values": scores_of(trial, RECIPE, metrics)}
    return row | {"encode_seconds": round(made, 1), "seconds": round(time.perf_counter() - start, 1)}


def figure(value: dict[str, float | None]) -> str:
    """A mean with its interval."""
    if value["mean"] is None or not np.isfinite(value["mean"]):
        return "not estimable"
    return f"{value['mean']:.3f}" + ("" if value["low"] is None else f" ({value['low']:.3f} to {value['high']:.3f})")


def highest(rows: dict[str, dict[str, Any]], columns: list[str], metric: str) -> list[str]:
    """For each cohort a sentence: the highest figure without a network beside the highest of an untrained one."""
    said = []
    for column in columns:
        own = {row["cohort"].partition("/")[2]: row for row in rows.values() if row["cohort"].startswith(f"{column}/")}
        best = []
        for side in (own.keys() & COUNTED, own.keys() - COUNTED):
            values = {label: float(own[label]["values"][metric]["mean"]) for label in side}
            best.append(max(values.items(), key=lambda pair: pair[1]) if values else None)
        if best[0] is None or best[1] is None:
            continue
        (label, value), (network, reached) = best
        word = "above" if reached > value else "below"
        said.append(f"- {column}: the best network, `{network}`, is {abs(reached - value):.3f} {word} `{label}`.")
    return said


def write_part(results: Path, page: Path) -> str:
    """Write the tables between the marks of docs/sequences.md, and return them."""
    rows = list(rows_of(results).values())
    text = ""
    for kind, about in (
        ("promoters", "Promoters or not, both strands of each, five folds: AUROC"),
        ("gb1", "GB1, fitness of variants, the given splits: Spearman's rho"),
        ("carcinogens", "Carcinogenic molecules or not, two times five folds: AUROC"),
    ):
        own = [row for row in rows if row["cohort"].startswith(kind)]
        columns, labels = [name for name in NAMES if name.startswith(kind)], list(ENCODERS[kind])
        text += f"\n{about}.\n\n| encoder | " + " | ".join(column.partition("-")[2] or column for column in columns)
        text += " |\n|---|" + "---|" * len(columns) + "\n"
        found, metric = {row["cohort"]: row for row in own}, "spearman" if kind == "gb1" else "auroc"
        for label in labels:
            cells = []
            for column in columns:
                row = found.get(f"{column}/{label}")
                cells.append("-" if row is None else figure(row["values"][metric]))
            text += f"| `{label}` | " + " | ".join(cells) + " |\n"
        if said := highest(found, columns, metric):
            text += "\n" + "\n".join(said) + "\n"
    return part(PAGE, "sequences", text.lstrip("\n") + "\n")


if __name__ == "__main__":
    run(__doc__, "sequences", LINES, one, write_part)
