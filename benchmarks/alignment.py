"""Alignment of two measurements of the same cells: how well test cells find themselves, and take over a cell type.

    python benchmarks/alignment.py [--data ../shared/data] [--folds 5]

SNARE-seq (1,047 cells: 19 topics of accessibility, 10 components of expression) and scGEM (177 cells: expression of 34
genes, methylation of 27 loci), paired cell by cell, from SCOT (MIT). For each of the folds, `clip-pairs` is fitted on
the paired training cells, and scored on the test cells alone: FOSCTTM (0 perfect, .5 chance), the share whose own other
measurement is the first found, and the accuracy of the type taken over from the five nearest test cells of the other
measurement. Beside it canonical correlation analysis on the same cells, the line to clear. The alignment reads no cell
type; the published figures of unpaired methods are on all cells and not comparable.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.cross_decomposition import CCA
from sklearn.preprocessing import StandardScaler

import chiasm
from chiasm.cohort import Cohort, cohort_from_frames, fold_ids
from chiasm.recipes.registry import make_recipe
from chiasm.retrieval import foscttm, label_transfer, recall_at

RECIPES = ("clip-pairs", "clip-pairs:epochs=100,share=0.9,dropout=0.0")
COMPONENTS = 8


def cells(folder: Path) -> dict[str, Cohort]:
    """The two sets as cohorts of two tables, with the cell type as the target."""
    snare, gem = folder / "SNARE", folder / "scGEM"
    read = {
        "SNARE-seq": (
            np.load(snare / "SNAREseq_atac_feat.npy"), np.load(snare / "SNAREseq_rna_feat.npy"),
            np.loadtxt(snare / "SNAREseq_rna_types.txt"),
        ),
        "scGEM": (
            np.loadtxt(gem / "DNAmethylation.txt"), np.loadtxt(gem / "GeneExpression.txt"),
            np.loadtxt(gem / "type1.txt"),
        ),
    }  # fmt: skip
    made = {}
    for name, (one, other, types) in read.items():
        ids = pd.Index([f"cell-{number:04d}" for number in range(len(types))], dtype=object)
        frames = {
            key: pd.DataFrame(own, ids, [f"{key}_{column}" for column in range(own.shape[1])])
            for key, own in (("one", one), ("other", other))
        }
        patients = pd.DataFrame({"type": [f"t{code:.0f}" for code in types]}, index=ids)
        made[name] = cohort_from_frames(patients, frames, chiasm.Classification("type"), name=name)
    return made


def by_cca(cohort: Cohort, train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Canonical variates of the test cells, of an analysis of the training cells."""
    views = [cohort.raw(name).to_numpy(float) for name in ("one", "other")]
    views = [StandardScaler().fit(own[train]).transform(own) for own in views]
    views = [own[:, own[train].std(0) > 0] for own in views]
    found = CCA(COMPONENTS, max_iter=2000).fit(views[0][train], views[1][train])
    one, other = found.transform(views[0][test], views[1][test])
    return one.astype(np.float32), other.astype(np.float32)


def by_recipe(spec: str, cohort: Cohort, train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Aligned vectors of the test cells, of a model of the training cells."""
    space = make_recipe(spec).fit(cohort.subset(train), seed=0).predictor.space
    return space.vectors(cohort.subset(test), "one")[1], space.vectors(cohort.subset(test), "other")[1]


def scores(one: np.ndarray, other: np.ndarray, codes: np.ndarray) -> list[float]:
    """FOSCTTM, recall at 1 and label transfer, the latter two of both directions."""
    unit = [own / np.maximum(np.linalg.norm(own, axis=1, keepdims=True), 1e-12) for own in (one, other)]
    alone, first = np.ones(len(one), int), []
    for product in (unit[0] @ unit[1].T, unit[1] @ unit[0].T):
        ranked = np.argsort(-product, axis=1, kind="stable") == np.arange(len(one))[:, None]
        first.append(recall_at(ranked, alone, 1))
    moved = [label_transfer(a, codes, b, codes) for a, b in ((one, other), (other, one))]
    return [foscttm(unit[0], unit[1]), float(np.mean(first)), float(np.mean(moved))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--folds", type=int, default=5)
    given = parser.parse_args()
    for name, cohort in cells(given.data / "wings" / "single-cell-multiomics").items():
        fold, codes = fold_ids(cohort, given.folds, seed=0), cohort.outcome.value.astype(int)
        rows = {}
        for spec in (f"CCA, {COMPONENTS} components", *RECIPES):
            start, found = time.process_time(), []
            for number in range(given.folds):
                train, test = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
                pair = by_recipe(spec, cohort, train, test) if spec in RECIPES else by_cca(cohort, train, test)
                found.append(scores(*pair, codes[test]))
            rows[spec] = [*np.mean(found, axis=0), time.process_time() - start]
        columns = ["FOSCTTM", "first found", "type taken over", "CPU s"]
        print(f"{name}: {len(cohort):,} cells, the mean of {given.folds} folds")
        print(pd.DataFrame.from_dict(rows, orient="index", columns=columns).round(3).to_string(), flush=True)


if __name__ == "__main__":
    main()
