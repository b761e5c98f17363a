"""Small cohorts with a modality whose encoder is a tiny network, encoded with its inputs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import chiasm
import chiasm.training.checkpoint as checkpoint
from chiasm.artifact import save_checkpoint
from chiasm.cohort import Target
from chiasm.encoders.adaptable import Trunk, unread_modules
from chiasm.recipes.adaptation.trunks import adapted_modalities
from chiasm.tokens import Tokens

WORDS = ("fever", "cough", "no", "and", "a")


def notes(
    models: Path, store: Path, n: int = 48, target: Target | None = None, model: str = "bert", options: str = ""
) -> chiasm.Cohort:
    """Notes of a few words, of which `fever` makes the outcome likelier, and a table; one in eight lacks either.

    Args:
        models: the folder of `tiny_models`.
        store: of the tokens.
        model, options: of the notes' encoder.
    """
    rng = np.random.default_rng(3)
    sick = rng.random(n) < 0.5
    texts = [" ".join([*rng.choice(WORDS[1:], rng.integers(2, 9)), *(["fever"] * 3 if ill else [])]) for ill in sick]
    ids = [f"p{row:03d}" for row in range(n)]
    patients = pd.DataFrame({"y": np.where(sick, "yes", "no"), "x": sick + rng.normal(size=n)}, index=ids)
    patients["days"], patients["died"] = rng.exponential(np.where(sick, 50.0, 200.0)) + 1, rng.random(n) < 0.7
    patients["sick"], patients["late"] = sick.astype(float), np.where(rng.random(n) < 0.2, np.nan, rng.random(n) < 0.5)
    patients["place"] = np.where(rng.random(n) < 0.4, "north", "south")
    table = pd.DataFrame(rng.normal(size=(n, 3)) + sick[:, None], index=ids, columns=["a", "b", "c"])
    note = pd.DataFrame({"note": texts}, index=ids)
    rows = np.arange(n)
    cohort = chiasm.cohort_from_frames(
        patients,
        {"clinical": table[rows % 8 != 1], "note": note[rows % 8 != 5]},
        target or chiasm.Classification("y"),
        site="place",
        kinds={"note": "text"},
    )
    return chiasm.encode(cohort, {"note": f"hf:{models}/{model}{options}"}, store=store, inputs=True).cohort


def scans(models: Path, store: Path, network: str = "hf:{models}/vit", n: int = 40) -> chiasm.Cohort:
    """Images of noise, brighter in one corner where the outcome is likelier, and a table; one in eight lacks either.

    Args:
        models: the folder of `tiny_models`.
        store: of the tokens; the images lie beside it.
        network: the encoder.
    """
    rng = np.random.default_rng(4)
    sick = rng.random(n) < 0.5
    ids = [f"p{row:03d}" for row in range(n)]
    files = {}
    for row in range(n):
        if row % 8 != 5:
            pixels = rng.integers(0, 90, (32, 32)) + 120 * sick[row] * (np.arange(32) < 16)
            files[ids[row]] = store.parent / f"{store.name}-{ids[row]}.png"
            Image.fromarray(pixels.astype(np.uint8)).save(files[ids[row]])
    patients = pd.DataFrame({"y": np.where(sick, "yes", "no")}, index=ids)
    table = pd.DataFrame(rng.normal(size=(n, 3)) + sick[:, None], index=ids, columns=["a", "b", "c"])
    cohort = chiasm.cohort_from_frames(
        patients,
        {"clinical": table[np.arange(n) % 8 != 1], "scan": files},
        chiasm.Classification("y"),
        kinds={"scan": "image"},
    )
    return chiasm.encode(cohort, {"scan": network.format(models=models)}, store=store, inputs=True).cohort


def pictures(folder: Path, store: Path, encoder: str, n: int = 48) -> chiasm.Cohort:
    """Grey images of 32 x 32, brighter on the left of who is ill, and a table; one in eight lacks either.

    Args:
        folder: where the files are written.
        store: of the tokens.
        encoder: of the images.
    """
    rng = np.random.default_rng(4)
    ill, ids = np.arange(n) % 2 == 1, [f"p{row:03d}" for row in range(n)]
    values = rng.integers(0, 120, (n, 32, 32)).astype(np.uint8)
    values[ill, 8:24, :12] += 100
    files = {}
    for row in np.flatnonzero(np.arange(n) % 8 != 5):
        files[ids[row]] = folder / f"{ids[row]}.png"
        Image.fromarray(values[row]).save(files[ids[row]])
    patients = pd.DataFrame({"y": np.where(ill, "yes", "no"), "x": rng.normal(size=n)}, index=ids)
    table = pd.DataFrame(rng.normal(size=(n, 3)), index=ids, columns=["a", "b", "c"])
    cohort = chiasm.cohort_from_frames(
        patients,
        {"clinical": table[np.arange(n) % 8 != 1], "scan": files},
        chiasm.Classification("y"),
        kinds={"scan": "image"},
    )
    return chiasm.encode(cohort, {"scan": encoder}, store=store, inputs=True).cohort


def network_of(model: Any) -> Any:
    """The stored network of a model, also where who has none of its modalities is answered by a prior beside it."""
    return getattr(model.predictor, "predictor", model.predictor)


class Stopped(BaseException):
    """The power went off."""


@contextmanager
def stopped_after(checkpoints: int) -> Iterator[None]:
    """What trains inside is stopped when it has written so many checkpoints."""
    written = 0

    def stop(path: Path, state: Any) -> None:
        nonlocal written
        save_checkpoint(path, state)
        written += 1
        if written == checkpoints:
            raise Stopped

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "save_checkpoint", stop)
        with pytest.raises(Stopped):
            yield


def trunk_of(cohort: chiasm.Cohort) -> tuple[Trunk, Tokens]:
    """The network of the cohort's one adapted modality, and the inputs of its first patients."""
    ((name, own),) = adapted_modalities(cohort).items()
    values, mask = cohort.inputs(name).batch(range(4))
    trunk = own.trunk()
    trunk.unread = unread_modules(trunk, Tokens(torch.from_numpy(values), torch.from_numpy(mask)))
    return trunk, Tokens(torch.from_numpy(values), torch.from_numpy(mask))
