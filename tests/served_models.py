"""Small models behind a service, and a client that asks it without a socket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from starlette.testclient import TestClient

import chiasm
from chiasm.api.serving import serving_app
from chiasm.serving.settings import Limits, Policy

OPENLY = Policy(unfamiliar="flag")
EVERY = [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, 0, 1), (0, 1, 1), (1, 1, 1)]


def frames(n: int, seed: int = 0) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """Patients of every pattern of a table with words and missing cells, an omics block and a second table."""
    rng = np.random.default_rng(seed)
    ids = [f"case-{number:04d}" for number in range(n)]
    clinical = pd.DataFrame({"age": rng.normal(60, 9, n), "stage": rng.choice(["I", "II", "IV"], n)}, index=ids)
    clinical.loc[rng.random(n) < 0.1, "age"] = np.nan
    clinical["bmi"] = rng.normal(25, 3, n)
    clinical["code"] = rng.choice(["250.00", "250.10"], n)
    rna = pd.DataFrame(rng.normal(size=(n, 6)), index=ids, columns=[f"G{number}" for number in range(6)])
    lab = pd.DataFrame({"crp": rng.gamma(2, 5, n)}, index=ids)
    signal = 0.05 * (clinical["age"].fillna(60) - 60) + rna["G0"] + (clinical["stage"] == "IV") + 0.02 * lab["crp"]
    patients = pd.DataFrame({"sick": np.where(signal + rng.normal(size=n) > 0.5, "yes", "no")}, index=ids)
    there = np.array([EVERY[number % len(EVERY)] for number in range(n)], dtype=bool)
    blocks = zip(("clinical", "rna", "lab"), (clinical, rna, lab), strict=True)
    return patients, {name: frame[there[:, m]] for m, (name, frame) in enumerate(blocks)}


def cohort(n: int, seed: int = 0, target: bool = True) -> chiasm.Cohort:
    patients, blocks = frames(n, seed)
    return chiasm.cohort_from_frames(
        patients, blocks, target=chiasm.Classification("sick") if target else None, kinds={"rna": "omics"},
        categories={"clinical": ["code"]},
    )  # fmt: skip


def as_json(blocks: dict[str, pd.DataFrame], ids: Any) -> dict[str, Any]:
    """The body of a request."""
    return {
        "patients": [
            {name: json.loads(frame.loc[key].to_json()) for name, frame in blocks.items() if key in frame.index}
            for key in ids
        ]
    }


@contextmanager
def asked(models: Any, **options: Any) -> Iterator[TestClient]:
    """A client of a service."""
    options.setdefault("limits", Limits(wait_seconds=0.0))
    with TestClient(serving_app(models, **options), base_url="http://localhost", raise_server_exceptions=False) as own:
        yield own


def stored(folder: Path, recipe: str = "late-fusion", seed: int = 0, n: int = 140) -> Path:
    """A model folder."""
    chiasm.fit(cohort(n, seed), recipe, seed=0).save(folder)
    return folder
