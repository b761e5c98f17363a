"""P11: the same seed on the same machine gives identical weights; a fit or a prediction changes nothing global."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import chiasm
from chiasm.compute.memo import forget
from chiasm.recipes.registry import make_recipe
from chiasm.testing.laws import folder_bytes, globals_unchanged
from small_recipes import (
    TWO,
    at_night,
    cohort_for,
    elsewhere,
    every_variant,
    mixed,
    on_paths,
    short_name,
    small,
)


def saved(recipe: Any, seed: int, kind: str = "survival") -> dict[str, bytes]:
    forget()
    return folder_bytes(recipe.fit(cohort_for(recipe, kind), seed=seed).save)


# `check_recipe` fits every variant twice with one seed, and watches what is global, with one thread.
@pytest.mark.parametrize("recipe", on_paths([*every_variant(), *elsewhere()], TWO), ids=short_name)
def test_the_same_seed_gives_the_same_bytes_wherever_the_generators_stand(recipe: Any) -> None:
    reference = saved(recipe, 7)
    torch.rand(3), np.random.rand(3), random.random()  # noqa: NPY002
    assert saved(recipe, 7) == reference


@pytest.mark.parametrize("name", ["healnet", "lego-fuse", *at_night("lego-merge")])
def test_another_seed_gives_other_weights(name: str) -> None:
    assert saved(small(name), 7)["weights.safetensors"] != saved(small(name), 8)["weights.safetensors"]


@pytest.fixture(params=[3, *at_night(1)])
def threads(request: pytest.FixtureRequest) -> Iterator[None]:
    """Torch's thread count as a user may have set it."""
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("recipe", on_paths([*every_variant(), *elsewhere()], TWO), ids=short_name)
def test_nothing_global_is_changed(recipe: Any, tmp_path: Path) -> None:
    cohort = cohort_for(recipe, "classification")
    with globals_unchanged("fit"):
        model = recipe.fit(cohort, seed=1)
    with globals_unchanged("predict"):
        frame = model.predict(cohort)
    model.save(tmp_path / "model")
    with globals_unchanged("load_model and predict"):
        again = chiasm.load_model(tmp_path / "model").predict(cohort)
    assert frame.equals(again)


def test_nothing_global_is_changed_by_a_fit_that_fails() -> None:
    cohort = mixed("classification")
    for recipe in [*every_variant(), *elsewhere()]:
        with globals_unchanged("a fit that is refused"), pytest.raises(chiasm.Unsupported):
            recipe.fit(cohort.with_target(None, None), seed=1)
    with globals_unchanged("a training that stops in a step"), pytest.raises(RuntimeError, match="stopped"):
        broken = torch.Tensor.backward
        try:
            torch.Tensor.backward = _stop  # type: ignore[method-assign]
            small("healnet").fit(cohort, seed=1)
        finally:
            torch.Tensor.backward = broken  # type: ignore[method-assign]


def _stop(*given: Any, **named: Any) -> None:
    raise RuntimeError("stopped")


@pytest.mark.usefixtures("ridges")
def test_nothing_global_is_changed_by_a_trial() -> None:
    cohort = mixed("classification")
    with globals_unchanged("evaluate"):
        protocol = chiasm.Protocol(folds=2, repeats=1, inner_folds=2, draws=100)
        chiasm.evaluate(cohort, ["single:m1", small("lego-merge")], protocol, seed=0, jobs=1)


def test_a_change_would_be_seen() -> None:
    before = torch.get_rng_state()
    for what, change in {
        "torch's random state": lambda: torch.rand(1),
        "numpy's random state": lambda: np.random.rand(),  # noqa: NPY002
        "python's random state": random.random,
        "torch's default dtype": lambda: torch.set_default_dtype(torch.float64),
        "torch's gradient mode": lambda: torch.set_grad_enabled(False),
    }.items():
        try:
            with pytest.raises(AssertionError, match=what), globals_unchanged("it"):
                change()
        finally:
            torch.set_default_dtype(torch.float32)
            torch.set_grad_enabled(True)
    torch.set_rng_state(before)


@pytest.mark.parametrize("spec", ["healnet", "lego-merge", "lego-fuse"])
def test_a_default_dtype_of_float64_changes_nothing_and_stays(spec: str) -> None:
    options = "latents=4,latent_width=8,epochs=1" + (",fuse_epochs=1" if spec == "lego-fuse" else "")
    cohort = chiasm.synthetic_cohort("complementary", 60, seed=0, missing=0.2)
    expected = make_recipe(f"{spec}:{options}").fit(cohort, seed=0).predict(cohort)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        forget()
        found = make_recipe(f"{spec}:{options}").fit(cohort, seed=0).predict(cohort)
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(before)
    pd.testing.assert_frame_equal(found, expected)
