"""Every registered recipe at a size that trains in a moment, and cohorts with three kinds of modality."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from chiasm import artifact
from chiasm.cohort import Cohort
from chiasm.recipes.registry import RECIPES
from chiasm.testing.cohorts import Parts, synthetic_parts
from molecule_cohorts import whole_parts
from record_cohorts import record_parts

SMALL = {
    "latents": 4, "latent_width": 8, "heads": 2, "epochs": 2, "fuse_epochs": 2, "base_epochs": 2, "tune_epochs": 1,
    "batch": 16,
}  # fmt: skip
VARIANTS: dict[str, list[dict[str, Any]]] = {
    "single": [{"modality": "m1"}, {"modality": "m2", "models": "linear"}],
    "early-fusion": [{}, {"presence": True}],
    "multi-ridge": [{}, {"free": "m1"}],
    "boosted-trees": [{}, {"modality": "m1"}],
    "block-forest": [{"trees": 20}, {"trees": 20, "modality": "m2"}],
    "healnet": [{}, {"tied": True, "depth": 3}, {"modality": "m3"}],
    "kron-rls": [{}, {"modality": "m1"}],
    "lego-merge": [
        {},
        {"domain": "fft", "method": "harmonic"},
        {"domain": "complex", "method": "geometric", "soup": 2, "head_method": "ot"},
        {"method": "logits"},
    ],
    "lego-fuse": [{}, {"mode": "weave", "domain": "complex"}, {"mode": "weave", "modality": "m2"}],
    "clip-pairs": [{}, {"tune": True, "modality": "m3"}],
    "imgany-retrieval": [{"words": 24, "k": 3}],
    "fuse-language": [{"anchor": "m1"}],
    "unicl": [{"words": "m1"}, {"modality": "m3"}],
    "siglip": [{"words": "m1"}],
    "clinical-labels": [{}],
    "mirror": [{}, {"modality": "m3"}],
    "symile": [{}, {"complete": True}],
    "centre-shift": [{}, {"strength": 0.5, "modality": "m3"}],
    "agm": [{}, {"modality": "m2"}],
    "iemf": [{"noise": True}],
    "staged": [{"epochs": 6, "unimodal": 0.34, "rebuild": 0.34}, {"joint": "fusion", "modality": "m3"}],
    "cmta": [{}, {"modality": "m3"}],
    "ssma": [{}, {"schedule": "joint", "modality": "m2"}],
    "uni-perceiver": [{}, {"classes": "free", "modality": "m1"}],
    "mammal": [{"depth": 1}, {"depth": 1, "modality": "m3"}],
    "bm-mae": [{}, {"modality": "m3"}],
    "urfound": [{"text": "m1"}, {"modality": "m3"}],
    "irregular-ehr": [{}, {"modality": "m2"}],
    "contextual-fusion": [{}, {"guarded": "m2", "alpha": 0.1, "modality": "m2"}],
    "biod2c": [{}, {"base": "m3", "modality": "m2"}],
    "ptunifier": [{"pool": 8}, {"missing": "indicator"}],
    "dispro": [{"epochs": 4}],
    "gtp4o": [{}, {"modality": "m2"}],
    "breadcrumbs": [{"views": "patients", "granularity": "row"}],
    "portllm": [{"limit": 1.0}],
    "flora": [{"rounds": 2, "ranks": "4/2", "epochs": 1}],
}
# What those need to be fitted beside a target: a cohort of molecules and text, of records, or a source. The
# public check meets them in tests of their own, as it does what changes an encoder's network (recipes/test_adapted.py).
NEEDS = {
    "ehr-mamba": {"events"}, "gin": {"drug"}, "molfm": {"drug", "note"}, "transfer": {"m1"}, "flair": {"m1"},
    "devide": {"m1"}, "bioclip": {"m1"},
}  # fmt: skip
QUICK: dict[str, dict[str, Any]] = {
    "ehr-mamba": {"depth": 1, "base_epochs": 1}, "gin": {"layers": 2}, "molfm": {"layers": 2}, "flair": {"words": "m1"},
    "devide": {"words": "m1"}, "bioclip": {"words": "m1"},
}  # fmt: skip
WRITTEN = {"flair", "devide", "bioclip"}  # what they read of labels, `described` writes
ELSEWHERE = set(NEEDS)
# Recipes of one kind of target alone, competing risks and texts, which the public check meets in tests of their own.
ON_ONE_KIND = {"fine-gray", "nearest-patient"}
APART = {"adaptation", "detection", "dynamics", "language", "segmentation"}  # families that have tests of their own
ON_TOKENS = [name for name, cls in RECIPES.items() if cls.family not in APART and name not in ELSEWHERE | ON_ONE_KIND]


def small(name: str, **options: Any) -> Any:
    """A registered recipe with few epochs and a small latent, where it has such options."""
    cls = RECIPES[name]
    known = {field.name for field in fields(cls)}
    return cls(**{**{key: value for key, value in SMALL.items() if key in known}, **options})


def every_recipe() -> list[Any]:
    """One of each registered recipe."""
    return [small(name, **VARIANTS.get(name, [{}])[0]) for name in ON_TOKENS]


def every_variant() -> list[Any]:
    """Each registered recipe in each way of working that it has."""
    return [small(name, **options) for name in ON_TOKENS for options in VARIANTS.get(name, [{}])]


def elsewhere() -> list[Any]:
    """One of each recipe that needs a cohort of its own, `cohort_for`."""
    return [small(name, **QUICK.get(name, {})) for name in sorted(ELSEWHERE)]


def parts_for(recipe: Any, kind: str, n: int = 84, seed: int = 0) -> Parts:
    """The parts of a cohort that has what a recipe needs: those of `parts`, with a source cohort, or of molecules."""
    if "drug" in NEEDS.get(recipe.id, ()):
        pytest.importorskip("rdkit.Chem")
        return whole_parts(kind, n, seed)
    if "events" in NEEDS.get(recipe.id, ()):
        return record_parts(kind, n, seed)
    made = parts(kind, n, seed)
    if recipe.id in WRITTEN:
        return described(made)
    return made.borrowing(parts(kind, n, seed + 1)) if recipe.id in ELSEWHERE else made


def described(made: Parts) -> Parts:
    """The same parts with two sentences and a lineage of each label, where the target has labels."""
    target = made.cohort().target
    if target is None or not (target.has_classes or target.has_labels):
        return made
    prompts = {name: (f"what is called {name}", f"{name} as it is seen") for name in target.names}
    lineages = {name: {"genus": "Parus", "species": f"alba{k}"} for k, name in enumerate(target.names)}
    return replace(made, prompts=prompts, lineages=lineages)


def described_parts(kind: str, n: int = 84, seed: int = 0) -> Parts:
    """`parts` with what is written of each label."""
    return described(parts(kind, n, seed))


def cohort_for(recipe: Any, kind: str, n: int = 84, seed: int = 0) -> Cohort:
    """The cohort of `parts_for`."""
    return parts_for(recipe, kind, n, seed).cohort()


# One of each way through the code: these meet every promise in `make test`, all of them in `make nightly`. `lego-fuse`
# trains blocks and merges them as `lego-merge` does; a form of one modality differs by what it leaves out. The public
# check, of each recipe by day and of each variant at night, holds the laws of seeds, orders, patterns, batches, none at
# all and globals; the promises add other kinds of target, files, ragged bags, threads, few patients, whole trials.
PATHS = {
    "single-m1", "presence", "early-fusion", "late-fusion", "kron-rls", "healnet", "lego-fuse",
    "breadcrumbs-views=patients-granularity=row", "flora-ranks=4/2-rounds=2",
}  # fmt: skip


# What reads and predicts in a way of its own: a merged network, and one of several hospitals, do it as `healnet`, and
# differ in their training alone.
READING = PATHS - {"breadcrumbs-views=patients-granularity=row", "flora-ranks=4/2-rounds=2"}


# A linear model and a network, for what another test holds on every path and this one looks at more closely.
TWO = frozenset({"late-fusion", "lego-fuse"})
FEW = TWO | {"kron-rls", "healnet"}  # a kernel, and one network without blocks, too


def on_paths(recipes: list[Any], paths: Collection[str] = PATHS) -> list[Any]:
    """The recipes as parameters of a test: one of each way through the code, the others in `make nightly` alone."""
    return [
        recipe if short_name(recipe) in paths else pytest.param(recipe, marks=pytest.mark.nightly) for recipe in recipes
    ]


def at_night(*values: Any) -> list[Any]:
    """Parameters that only `make nightly` tries."""
    return [pytest.param(value, marks=pytest.mark.nightly) for value in values]


def short_name(recipe: Any) -> str:
    """The recipe's name without the options that make it small."""
    name, _, options = recipe.name.partition(":")
    kept = [part for part in options.split(",") if part.split("=")[0] not in SMALL]
    return "-".join(filter(None, [name, *kept]))


def parts(kind: str, n: int = 84, seed: int = 0) -> Parts:
    """A table `m1`, an omics block `m2` and bags `m3`, every pattern of them equally often."""
    return synthetic_parts(kind, n, seed)


def mixed(kind: str, n: int = 84, seed: int = 0) -> Cohort:
    """The cohort of `parts`."""
    return parts(kind, n, seed).cohort()


@lru_cache(maxsize=64)
def fitted(recipe: Any, kind: str) -> Any:
    """The model of a recipe on its cohort, fitted once for all tests that only ask it."""
    return recipe.fit(cohort_for(recipe, kind), seed=0)


def on_disk(folder: Path, made: Parts, *, names: list[str] | None = None) -> Path:
    """Write `parts` as files with a manifest, modalities in the order of `names`; returns the manifest."""
    folder.mkdir(parents=True)
    table = made.values["m1"]
    columns = list(table.columns)
    patients = made.patients.join(table)
    patients.rename_axis("id").reset_index().to_csv(folder / "patients.csv", index=False)
    made.values["m2"].rename_axis("id").reset_index().to_parquet(folder / "omics.parquet", index=False)
    (folder / "bags").mkdir()
    for patient, bag in made.values["m3"].items():
        np.save(folder / "bags" / f"{patient}.npy", bag)
    target = {
        "classification": 'kind = "classification"\ncolumn = "label"',
        "multilabel": 'kind = "multilabel"\ncolumns = ["label", "rarer"]',
        "regression": 'kind = "regression"\ncolumn = "value"',
        "survival": 'kind = "survival"\ntime = "months"\nevent = "died"',
    }[made.target.kind]
    modalities = {
        "m1": f'kind = "table"\ncolumns = {columns}'.replace("'", '"'),
        "m2": 'kind = "omics"\ntable = "omics.parquet"',
        "m3": 'kind = "bag"\npath = "bags/{id}.npy"',
    }
    sections = [f"[modalities.{name}]\n{modalities[name]}\n" for name in names or sorted(modalities)]
    head = f'name = "mixed"\n[patients]\ntable = "patients.csv"\nid = "id"\nsite = "site"\n[target]\n{target}\n'
    (folder / "cohort.toml").write_text(head + "".join(sections))
    return folder / "cohort.toml"


def gap(one: pd.DataFrame, other: pd.DataFrame) -> float:
    """The largest difference of two predictions of the same patients, in any order of rows."""
    assert sorted(one.index) == sorted(other.index) and list(one.columns) == list(other.columns)
    other = other.loc[one.index]
    assert list(one["pattern"]) == list(other["pattern"])
    numbers = [frame.drop(columns="pattern").to_numpy(float) for frame in (one, other)]
    return float(np.abs(numbers[0] - numbers[1]).max() / max(1.0, np.abs(numbers[0]).max()))


def read_no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on reading an array of a model folder fails the test."""

    def never(*_: object) -> Any:
        raise AssertionError("weights were read")

    for name in ("read_arrays", "hash_of_rest"):
        monkeypatch.setattr(artifact.loading, name, never)
