"""Fit and predict once, by every default recipe, on pairs as many as KIBA's: 98,000 to train on, 20,000 to predict.

    python benchmarks/pairs.py [--train 98000] [--test 20000] [--drugs 2100] [--proteins 230] [--jobs 2] [recipe ...]

The pairs are made here, in files of the form of `davis-affinity`: molecules put together from parts, sequences of a few
families, and an affinity of a drug's own, a protein's own and an interaction, of variance 1 : 1 : 1, with noise of .5.
Knowing nothing scores R² 0, the noise lets nobody pass .86. Recipes run in `--jobs` processes of one thread, those that
share fitted parts in one process; memory is the largest resident size of the process up to then.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import tempfile
import time
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import chiasm
from chiasm.cohort import Cohort
from chiasm.recipes.registry import default_recipes

RINGS = ("c1ccc({})cc1", "c1ccnc({})c1", "c1csc({})n1", "C1CCN({})CC1", "c1ccc2c(c1)cc({})[nH]2", "c1cnc2ccc({})cc2n1")
LINKS = ("C(=O)N{}", "S(=O)(=O)N{}", "CC{}", "NC(=O){}", "OC{}", "C(=O)O{}", "CN(C){}")
ENDS = ("C", "CC", "C(C)C", "C1CC1", "CF", "C(F)(F)F", "CO", "CCO", "CC#N", "CCl", "CCN", "c2ccccc2", "Cc2ccncc2")
TAILS = ("", "O", "N", "Cl")
ACIDS = "ACDEFGHIKLMNPQRSTVWY"
LINEAR = ("early-fusion", "late-fusion", "stacked-fusion", "kron-rls")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*")
    parser.add_argument("--train", type=int, default=98_000)
    parser.add_argument("--test", type=int, default=20_000)
    parser.add_argument("--drugs", type=int, default=2_100)
    parser.add_argument("--proteins", type=int, default=230)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "pairs.json")
    options = parser.parse_args()
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        manifest = write_pairs(Path(folder), options)
        cohort = chiasm.encode(chiasm.open_cohort(manifest), jobs=options.jobs).cohort
        names = options.recipes or [recipe.name for recipe in default_recipes(cohort)]  # an encoded cohort is asked
        print(f"{time.perf_counter() - start:.0f} s to write and encode", flush=True)
        shares = [[name for name in names if (name in LINEAR) is linear] for linear in (True, False)]
        found: list[dict[str, Any]] = []
        with multiprocessing.get_context("spawn").Pool(options.jobs) as pool:
            for share in pool.imap_unordered(run, [(manifest, own) for own in shares if own], chunksize=1):
                found += share
    document = {
        "train": options.train, "test": options.test, "drugs": options.drugs, "proteins": options.proteins,
        "jobs": options.jobs, "cores": os.cpu_count(), "seconds": time.perf_counter() - start, "recipes": found,
    }  # fmt: skip
    options.out.write_text(json.dumps(document, indent=1) + "\n")
    print(pd.DataFrame(found).round(2).to_string(index=False))
    print(f"{document['seconds'] / 60:.1f} min in all")


def write_pairs(folder: Path, options: argparse.Namespace) -> Path:
    """Write tables and a manifest as those of `davis-affinity`; return the path of the manifest."""
    rng = np.random.default_rng(0)
    molecules = [
        ring.format(link.format(end)) + (f".{tail}" if tail else "")
        for ring, link, end, tail in product(RINGS, LINKS, ENDS, TAILS)
    ]
    if options.drugs > len(molecules):
        raise SystemExit(f"the parts make {len(molecules):,} molecules, and --drugs asks for {options.drugs:,}")
    drugs = pd.DataFrame({"smiles": rng.permutation(molecules)[: options.drugs]})
    drugs["ligand"] = [f"l{k}" for k in range(len(drugs))]
    families = ["".join(rng.choice(list(ACIDS), 400)) for _ in range(12)]
    proteins = pd.DataFrame({"sequence": [mutated(families[k % 12], rng) for k in range(options.proteins)]})
    proteins["target"] = [f"t{k}" for k in range(len(proteins))]
    drug_traits, protein_traits = traits(drugs["smiles"], rng), traits(proteins["sequence"], rng)
    count = options.train + options.test
    cells = rng.choice(options.drugs * options.proteins, count, replace=False)
    drug, protein = np.divmod(cells, options.proteins)
    affinity = (
        drug_traits[drug, 0] + protein_traits[protein, 0] + (drug_traits[drug, 1:] * protein_traits[protein, 1:]).sum(1)
        + rng.normal(size=count) * 0.7
    )  # fmt: skip
    ids = [f"p{k}" for k in range(count)]
    table = {"pair": ids, "ligand": drugs["ligand"].to_numpy()[drug], "target": proteins["target"].to_numpy()[protein]}
    pd.DataFrame({**table, "affinity": affinity}).to_parquet(folder / "pairs.parquet")
    tested = np.where(np.arange(count) < options.train, "train", "test")
    pd.DataFrame({"pair": ids, "fold": tested}).to_parquet(folder / "folds.parquet")
    drugs.to_csv(folder / "ligands.csv", index=False)
    proteins.to_csv(folder / "targets.csv", index=False)
    manifest = folder / "cohort.toml"
    manifest.write_text(
        'name = "pairs"\n[patients]\ntable = "pairs.parquet"\nid = "pair"\n'
        '[target]\nkind = "regression"\ncolumn = "affinity"\n'
        '[modalities.drug]\nkind = "molecule"\ntable = "ligands.csv"\non = "ligand"\ncolumn = "smiles"\n'
        '[modalities.protein]\nkind = "protein"\ntable = "targets.csv"\non = "target"\ncolumn = "sequence"\n'
        '[folds]\ntable = "folds.parquet"\n'
    )
    return manifest


def mutated(sequence: str, rng: np.random.Generator) -> str:
    """Replace a third of the amino acids."""
    letters = np.array(list(sequence))
    places = rng.permutation(len(letters))[: len(letters) // 3]
    letters[places] = rng.choice(list(ACIDS), len(places))
    return "".join(letters)


def traits(texts: pd.Series, rng: np.random.Generator) -> np.ndarray:
    """(U, 5) numbers of unit variance that follow from the words of each text, as an encoder could find them."""
    pairs = [a + b for a in sorted(set("".join(texts))) for b in sorted(set("".join(texts)))]
    counts = np.array([[text.count(pair) for pair in pairs] for text in texts], dtype=float)
    counts = (counts - counts.mean(0)) / np.maximum(counts.std(0), 1e-9)
    found = counts @ rng.normal(size=(len(pairs), 5))
    found /= found.std(0)
    return found * np.array([1.0, 0.7, 0.5, 0.5, 0.5])


def run(task: tuple[Path, list[str]]) -> list[dict[str, Any]]:
    """Fit and predict by one recipe after the other, in a process of one thread."""
    import torch

    torch.set_num_threads(1)
    manifest, names = task
    cohort = chiasm.encode(chiasm.open_cohort(manifest), jobs=1).cohort
    assert cohort.fold is not None
    tested, whole = cohort.fold == "test", replace(cohort, fold=None)
    train, test = whole.subset(~tested), whole.subset(tested)
    rows = []
    for name in names:
        begin, work = time.perf_counter(), time.process_time()
        model = chiasm.fit(train, name, seed=0)
        fitted = time.perf_counter()
        predicted = model.predict(test)["prediction"]
        row = {"recipe": name, "fit_s": fitted - begin, "predict_s": time.perf_counter() - fitted}
        row |= {"cpu_s": time.process_time() - work, "r2": r2(predicted, test)}
        row["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        rows.append(row)
        print(pd.DataFrame([row]).round(2).to_string(index=False, header=len(rows) == 1), flush=True)
    return rows


def r2(predicted: pd.Series, cohort: Cohort) -> float:
    """R² of the test pairs."""
    assert cohort.outcome is not None
    value = cohort.outcome.value
    error = value - predicted.loc[list(cohort.ids)].to_numpy()
    return float(1 - (error**2).sum() / ((value - value.mean()) ** 2).sum())


if __name__ == "__main__":
    main()
