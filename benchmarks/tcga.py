"""`chiasm evaluate` on the TCGA cohorts, beside ridge Cox and MCAT, patient by patient.

    python benchmarks/tcga.py [--data ../shared/data] [--out runs/tcga] [--recipes a,b] [cohort ...]

For each cohort the given folds; `stacked-fusion`, and in each fold the neural recipe that its inner folds select, less
ridge Cox (`ridge_cox.py` beside the data) and less MCAT (`published_risks.csv.gz`). Harrell's C within each test fold,
mean of the folds; the interval of a difference is a bootstrap of patients within folds, the same draw for both sides,
conditional on the fitted models. MCAT saw whole slides and no age or sex: the inputs differ.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd

import chiasm
from chiasm.evaluation.estimates import percentile_interval
from chiasm.evaluation.intervals import trial_differences, trial_scores

COHORTS = ("tcga-blca", "tcga-brca", "tcga-gbmlgg", "tcga-luad", "tcga-ucec")
NEURAL = ("healnet", "lego-merge", "lego-fuse")


def pick(names: Sequence[str], inner: Mapping[tuple[str, int, str], float], key: tuple[int, str]) -> str:
    """The recipe with the best inner score in this outer fold; the first named where scores are equal or missing."""
    return max(names, key=lambda name: value if (value := inner.get((name, *key), -math.inf)) == value else -math.inf)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cohorts", nargs="*", default=COHORTS)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[1] / ".." / "shared" / "data")
    parser.add_argument("--out", type=Path, default=Path("runs/tcga"))
    parser.add_argument("--recipes", default=None)
    options = parser.parse_args()
    ridge = load_ridge(options.data / "ridge_cox.py")
    rows, draws = [], {}
    for name in options.cohorts:
        start = time.perf_counter()
        trial = evaluated(options.data / name / "cohort.toml", options.out / name, options.recipes)
        seconds = time.perf_counter() - start
        row, own = compare(trial, options.data / name, ridge)
        rows.append({"cohort": name, **row, "minutes": seconds / 60})
        for key, values in own.items():
            draws.setdefault(key, []).append(values)
        print_cohort(name, trial, row, own, seconds)
    table = pd.DataFrame(rows).set_index("cohort")
    table.loc["mean"] = table.mean(numeric_only=True)
    print("\n" + table.round(3).to_string())
    for key, values in draws.items():
        low, high = percentile_interval(np.mean(values, axis=0))
        print(f"mean over cohorts, {key}: {table.loc['mean', key]:+.3f} ({low:+.3f} to {high:+.3f})")


def evaluated(manifest: Path, out: Path, recipes: str | None, jobs: int | None = None) -> chiasm.Trial:
    """Run the command line, as a user would; a finished run is read back."""
    command = [sys.executable, "-m", "chiasm", "evaluate", str(manifest), "--out", str(out), "--resume"]
    command += ["--recipes", recipes] if recipes else []
    command += ["--jobs", str(jobs)] if jobs else []
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return chiasm.load_trial(out)


def compare(trial: chiasm.Trial, folder: Path, ridge: ModuleType) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Harrell's C of each side, the differences, and the bootstrap draws of the differences."""
    inner = {
        (row["name"], fold["repeat"], fold["fold"]): fold["inner"]
        for row in trial.document["recipes"]
        for fold in row["folds"]
        if fold["inner"] is not None
    }
    neural = [row["name"] for row in trial.document["recipes"] if row["name"].split(":")[0] in NEURAL]
    sides = {
        "stacked": list(trial.frames["stacked-fusion"].values()),
        "ridge_cox": ridge_frames(trial, folder, ridge),
        "mcat": published_frames(trial, folder, "MCAT"),
    }
    if neural:
        sides["neural"] = [trial.frames[pick(neural, inner, key)][key] for key in trial.folds]
    folds = list(trial.folds.values())
    result = {}
    for name, frames in sides.items():
        result[name] = trial_scores("survival", folds, frames, (), trial.draws, ["harrell_c"])["harrell_c"].mean
    singles = [row for row in trial.document["recipes"] if row["family"] == "single"]
    result["best_single"] = max(row["mean"] for row in singles)
    draws = {}
    for ours in ("stacked", "neural"):
        for theirs in ("ridge_cox", "mcat"):
            if ours in sides:
                key = f"{ours} - {theirs}"
                points, draws[key] = trial_differences("survival", folds, sides[ours], sides[theirs], (), trial.draws)
                result[key] = float(np.mean(points))
    return result, draws


def load_ridge(path: Path) -> ModuleType:
    """The baseline script that lies beside the data."""
    spec = importlib.util.spec_from_file_location("ridge_cox", path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"no ridge_cox.py beside the data at {path.parent}: give --data")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def ridge_frames(trial: chiasm.Trial, folder: Path, ridge: ModuleType) -> list[pd.DataFrame]:
    """Ridge Cox's risk of every tested patient, in the order of each fold."""
    blocks, outcome, fold = ridge.cohort(folder)
    ids = pd.read_csv(folder / "patients.csv", dtype={"case_id": str})["case_id"].to_numpy()
    risks = pd.Series(np.nan, index=ids)
    for name in sorted(set(fold)):
        train, test = fold != name, fold == name
        made = [ridge.block(block[train], block[test]) for block in blocks.values()]
        features = [np.hstack([part[side] for part in made]) for side in (0, 1)]
        risks[ids[test]] = ridge.risk(features[0], outcome[train], features[1])
    return [risk_frame(risks, trial, fold) for fold in trial.folds.values()]


def published_frames(trial: chiasm.Trial, folder: Path, model: str) -> list[pd.DataFrame]:
    """A published model's risk of every tested patient, in the order of each fold."""
    table = pd.read_csv(folder / "published_risks.csv.gz", dtype={"case_id": str, "fold": str})
    table = table[table["model"] == model]
    frames = []
    for (_, name), fold in trial.folds.items():
        own = table[table["fold"] == name].set_index("case_id")["risk"]
        frames.append(risk_frame(own, trial, fold))
    return frames


def risk_frame(risks: pd.Series, trial: chiasm.Trial, fold: object) -> pd.DataFrame:
    """Risks in the order of a fold's patients."""
    return pd.DataFrame({"risk": risks.loc[trial.outcomes.index[fold.patients]].to_numpy(float)})


def print_cohort(
    name: str, trial: chiasm.Trial, row: dict[str, float], draws: dict[str, np.ndarray], seconds: float
) -> None:
    print(f"\n{name}: {seconds:.0f} s")
    print(trial.table()[["recipe", "mean", "low", "high", "seconds"]].round(3).to_string(index=False))
    for key, values in draws.items():
        low, high = percentile_interval(values)
        print(f"  {key}: {row[key]:+.3f} ({low:+.3f} to {high:+.3f})")
    print(f"  verdict: {trial.verdict.sentence}", flush=True)


if __name__ == "__main__":
    main()
