"""A cohort on disk with a table, an omics block in Parquet, notes in a column and a bag a patient, to be sealed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.cohort import CohortError
from chiasm.cohort.seal import read_seal
from chiasm.cohort.sealing import seal_cohort
from chiasm.recipes.baselines.presence import Presence
from chiasm.recipes.baselines.single import Single
from lighter_trials import ridges_by_day

MANIFEST = """
name = "wards"
[patients]
table = "patients.csv"
id = "case"
group = "family"
site = "site"
[target]
{target}
[modalities.clinical]
kind = "table"
columns = ["age", "sex", "smoker"]
[modalities.rna]
kind = "omics"
table = "rna.parquet"
"""
SLIDES = """
[modalities.slide]
kind = "bag"
path = "slides/{id}.npy"
"""
TARGETS = {
    "classification": 'kind = "classification"\ncolumn = "label"',
    "survival": 'kind = "survival"\ntime = "months"\nevent = "died"\nunit = "months"',
    "regression": 'kind = "regression"\ncolumn = "score"',
}


def write_cohort(folder: Path, kind: str = "classification", n: int = 120, more: str = SLIDES) -> Path:
    """Write the cohort and return its manifest: families of two, four sites, some without RNA or slide."""
    rng = np.random.default_rng(7)
    folder.mkdir(parents=True, exist_ok=True)
    ids = [f"case-{number:03d}" for number in rng.permutation(n)]
    age, gene = rng.normal(size=(2, n))
    signal = age + gene + rng.normal(size=n)
    patients = pd.DataFrame(
        {
            "case": ids,
            "family": [f"fam{number // 2:02d}" for number in range(n)],
            "site": np.repeat(rng.choice(list("ABCD"), n // 2 + 1), 2)[:n],
            "label": np.where(signal > 0, "yes", "no"),
            "months": np.round(rng.exponential(np.exp(3 - 0.5 * signal)) + 0.1, 2),
            "died": (rng.uniform(size=n) < 0.6).astype(int),
            "score": np.round(signal, 3),
            "age": np.round(60 + 5 * age, 1),
            "sex": rng.choice(["f", "m"], n),
            "smoker": rng.choice(["true", "false"], n),
        }
    )
    patients.to_csv(folder / "patients.csv", index=False)
    rna = pd.DataFrame(rng.normal(size=(n, 4)), columns=[f"G{k}" for k in range(4)]).assign(case=ids, count=range(n))
    rna["G0"] += gene
    rna[rng.uniform(size=n) < 0.8].to_parquet(folder / "rna.parquet", index=False)
    (folder / "slides").mkdir(exist_ok=True)
    for name, own in zip(ids, rng.normal(size=(n, 3, 2)).astype(np.float32), strict=True):
        if rng.uniform() < 0.4:
            np.save(folder / "slides" / f"{name}.npy", own + 1)
    manifest = folder / "cohort.toml"
    manifest.write_text(MANIFEST.format(target=TARGETS[kind]) + more, encoding="utf-8")
    return manifest


@contextmanager
def quick_trials() -> Iterator[None]:
    """Within, recipes that belong to every trial are linear, by day ridges, and the pictures of a page stay undrawn."""
    with pytest.MonkeyPatch.context() as patch, ridges_by_day():
        patch.setattr(
            "chiasm.recipes.registry.companions",
            lambda cohort: [*(Single(name, models="linear") for name in cohort.modalities), Presence()],
        )
        patch.setattr("chiasm.report.drawing.Picture.source", "data:,")
        yield


def sealed_names(manifest: Path) -> set[str]:
    """Identifiers of the sealed patients."""
    names = pd.read_csv(manifest.parent / "patients.csv", dtype=str)["case"].to_numpy(str)
    return set(names[read_seal(manifest.with_suffix(".seal.json")).holds(names)].tolist())


def sealed_cohort(folder: Path, kind: str = "classification", more: str = SLIDES, **options: object) -> Path:
    """Write the cohort and seal a quarter of it."""
    manifest = write_cohort(folder, kind, more=more)
    seal_cohort(manifest, 0.25, **options)  # type: ignore[arg-type]
    return manifest


def spoil(manifest: Path, *, values: bool = True, outcomes: bool = True) -> None:
    """Write 1e9 and words never seen into everything that is known of the sealed patients."""
    folder, names = manifest.parent, sealed_names(manifest)
    patients = pd.read_csv(folder / "patients.csv", dtype=str)
    rows = patients["case"].isin(names)
    if outcomes:
        patients.loc[rows, "label"] = "never seen"
        patients.loc[rows, ["months", "score"]] = "1e9"
        patients.loc[rows, "died"] = "perhaps"
    if values:
        patients.loc[rows, "age"] = "about sixty"
        patients.loc[rows, "sex"] = "1e9"
        patients.loc[rows, "smoker"] = "never seen"
        rna = pd.read_parquet(folder / "rna.parquet")
        columns = rna.columns.drop("case")
        rna[columns] = rna[columns].astype(float).mask(rna["case"].isin(names), 1e9)
        rna.to_parquet(folder / "rna.parquet", index=False)
        for name in names:
            file = folder / "slides" / f"{name}.npy"
            if file.exists():
                file.write_bytes(b"no array")
    patients.to_csv(folder / "patients.csv", index=False)


def seal_of(manifest: Path) -> Path:
    return manifest.with_suffix(".seal.json")


def refusal(manifest: Path) -> str:
    with pytest.raises(CohortError) as fault:
        chiasm.open_cohort(manifest)
    return str(fault.value)
