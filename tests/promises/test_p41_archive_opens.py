"""P41: the models of every earlier release open, and predict as they did when they were stored."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from packaging.version import Version

import chiasm
from archived import RELEASES, kinds_in
from chiasm import artifact
from chiasm.encoders.catalogue import CATALOGUE
from chiasm.fitting.base import BaseRecipe
from chiasm.recipes.catalogue import RECIPES, ROWS
from small_recipes import at_night
from storable_kinds import every_kind

CASES = {
    f"{folder.name}/{name}": (folder, name, case["manifest"])
    for folder in RELEASES
    for name, case in json.loads((folder / "cases.json").read_text()).items()
}
BY_DAY = ("presence", "multi-ridge", "transfer", "ssma-", "symile", "hmm-glm", "centres", "unet")
"""Of the newer archives, the cases of these recipes by day, and all in `make nightly`."""
# What came after the newest archive enters with the next release's.
NOT_YET_ARCHIVED = {
    "added-block", "added-link", "adversarial-pictures", "asked-design", "asked-outliner", "choice-model",
    "code-writer", "coded-pictures", "encoder-pretrained", "encoder-pretrained-raster", "encoder-prompt-tokens",
    "encoder-prompts", "encoder-record", "extended", "fitted-pictures", "kernel-machine", "latent-pictures",
    "mammal-prompts", "mixed-columns", "mixed-diffusion", "one-modality", "option-space", "pattern-levels",
    "picture-artist", "picture-autoencoder", "picture-codes", "picture-editor", "picture-net", "record-network",
    "residual-start", "sequence-network", "similar-groups", "source-score", "step", "text-model", "tree-machine",
    "unibiomed", "wide-block",
}  # fmt: skip
"""Kinds outside of new recipes' own modules that came after the newest archive, and recipes that it lacks."""
CLOSE = 1e-6
NIGHTLY = pytest.mark.nightly


@pytest.fixture(autouse=True, scope="module")
def no_fit() -> Iterator[None]:
    """Opening and predicting fits nothing."""

    def refused(*_: object, **__: object) -> Any:
        raise AssertionError("a recipe was fitted")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BaseRecipe, "fit", refused)
        yield


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One token store for all cases: what a frozen encoder gives is made once."""
    return tmp_path_factory.mktemp("archive") / "tokens"


def by_day(case: str) -> bool:
    """Whether a case is of the first archive, or one of the few of later ones that are opened by day."""
    return case.startswith(f"{RELEASES[0].name}/") or case.rpartition("/")[2][3:].startswith(BY_DAY)


@pytest.mark.parametrize("case", [case if by_day(case) else pytest.param(case, marks=NIGHTLY) for case in CASES])
def test_an_archived_model_opens_and_predicts_as_it_did(
    case: str, tokens: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, name, manifest = CASES[case]
    monkeypatch.setenv("CHIASM_STORE", str(tokens))
    monkeypatch.chdir(folder)  # the models name their encoders from here
    stored = pd.read_csv(
        f"predictions/{name}.csv", index_col="patient", float_precision="round_trip", keep_default_na=False
    )
    frame = chiasm.load_model(Path("models") / name).predict(chiasm.open_cohort(manifest))
    assert list(frame.index) == list(stored.index) and list(frame.columns) == list(stored.columns)
    assert list(frame["pattern"]) == list(stored["pattern"])
    for column in stored.select_dtypes("number"):
        np.testing.assert_allclose(frame[column], stored[column], rtol=CLOSE, atol=CLOSE, err_msg=column)


@pytest.mark.parametrize("folder", [RELEASES[0], *at_night(*RELEASES[1:])], ids=lambda folder: folder.name)
def test_what_is_opened_says_all_that_was_stored(folder: Path) -> None:
    every_kind()
    for place in _places(folder):
        before = artifact.outline(place).tree
        lost = _lost(before, artifact.outline_of(artifact.load(place)).tree)
        assert not lost, f"{place.name}: {lost}"


def test_the_archive_holds_every_recipe_and_every_storable_kind() -> None:
    recipes = {name.partition("-")[2] for _, name, _ in CASES.values()}
    lacking = {name for name in RECIPES if not any(own.startswith(f"{name}-") for own in recipes)}
    newest = max(Version(folder.name) for folder in RELEASES)
    new = {name for name, row in ROWS.items() if Version(row.since) > newest or name in NOT_YET_ARCHIVED}
    assert lacking == new
    kinds = {kind for folder in RELEASES for place in _places(folder) for kind in kinds_in(place)}
    own = {f"chiasm.recipes.{ROWS[name].where.partition(':')[0]}" for name in new}
    own |= {entry.where.partition(":")[0] for entry in CATALOGUE if Version(entry.since) > newest}
    lacking = {kind for kind, cls in every_kind().items() if kind not in kinds and cls.__module__ not in own}
    assert lacking == NOT_YET_ARCHIVED - new


def _places(folder: Path) -> list[Path]:
    return [folder / "parts", *sorted((folder / "models").iterdir())]


def _lost(before: Any, after: Any, where: str = "") -> str:
    """Where `after` says other than `before`, but for fields that it has beyond; "" where it says all."""
    if isinstance(before, dict) and isinstance(after, dict):
        parts = [
            _lost(item, after[key], f"{where}.{key}") if key in after else f"{where}.{key}"
            for key, item in before.items()
        ]
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        parts = [_lost(own, other, f"{where}.{k}") for k, (own, other) in enumerate(zip(before, after, strict=True))]
    else:
        return "" if before == after else where
    return next(filter(None, parts), "")
