"""Every model folder has a card that says what it holds of training patients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

import chiasm
from chiasm.encoders import TableEncoder
from chiasm.fitting.card import LISTED, HoldsTraining, card_of, held_of_training
from chiasm.recipes.registry import make_recipe

N = 83  # a prime: no width of a layer is it by chance


@pytest.fixture(scope="module")
def cohort() -> chiasm.Cohort:
    return chiasm.synthetic_cohort("complementary", N, target="survival", seed=0)


def test_the_card_says_what_the_model_reads_and_holds(cohort: chiasm.Cohort, tmp_path: Path) -> None:
    model = chiasm.fit(cohort, "late-fusion", seed=0)
    model.save(tmp_path / "model")
    card = (tmp_path / "model" / "card.md").read_text(encoding="utf-8")
    assert (tmp_path / "model" / "card.md").stat().st_mode & 0o777 == 0o600
    events = int(cohort.outcome.event.sum())
    assert "# Model card: `late-fusion`" in card and f"learned from {N} patients with {events} events" in card
    assert "| m1 | omics |" in card or "| m1 | table |" in card
    assert all(f"Columns of {name}: {', '.join(model.columns[name])}." in card for name in ("m1", "m2"))
    held = card.partition("## What this folder holds of training patients")[2]
    assert "at which training patients had the event" in held and "median, mean and scale" in held
    assert not any(name in card for name in cohort.ids.astype(str))
    chiasm.load_model(tmp_path / "model").save(tmp_path / "model")  # over itself, and the card is the same
    assert (tmp_path / "model" / "card.md").read_text(encoding="utf-8") == card


@pytest.mark.parametrize("recipe", ["single:m1", "early-fusion", "kron-rls", "lego-merge:epochs=1", "presence"])
def test_an_array_of_a_row_for_each_patient_is_said(cohort: chiasm.Cohort, recipe: str, tmp_path: Path) -> None:
    target = "regression" if recipe == "kron-rls" else "survival"
    own = chiasm.synthetic_cohort("complementary", N, target=target, seed=0)
    model = make_recipe(recipe).fit(own, seed=0)
    model.save(tmp_path / "model")
    arrays = load_file(tmp_path / "model" / "weights.safetensors")
    by_patient = [name for name, array in arrays.items() if N in array.shape]
    said = " ".join(held_of_training(model))
    assert bool(by_patient) == ("row by row" in said) == (recipe == "kron-rls"), by_patient
    assert recipe != "kron-rls" or f"{N} training patients" in said


def test_the_columns_of_a_wide_modality_are_counted_and_not_listed() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(N, LISTED + 1)), columns=[f"G{k}" for k in range(LISTED + 1)])
    patients = pd.DataFrame({"y": (["a", "b"] * N)[:N]})
    own = chiasm.cohort_from_frames(patients, {"rna": frame}, chiasm.Classification("y"), kinds={"rna": "omics"})
    card = card_of(chiasm.fit(own, "single:rna", seed=0))  # type: ignore[arg-type]
    assert f"| rna | omics | {LISTED + 1} |" in card and "Columns of" not in card


def test_the_card_counts_the_levels_that_are_not_kept() -> None:
    held = {}
    for sites, declared in ((20, ("site",)), (20, ()), (41, ())):
        names = [f"site{k % sites}" for k in range(N - 1)] + ["a site of its own"]
        encoder = TableEncoder(declared=declared).fit(pd.DataFrame({"age": np.arange(N) * 1.5, "site": names}))
        held[sites, declared], _ = held_of_training({"clin": encoder})
    written = "levels of categories as written, each of two patients or more"
    assert held[20, ("site",)] == f"20 {written}; 1 that too few share is not kept"
    assert held[20, ()] == f"2 {written}; 19 that too few share are not kept"
    assert held[41, ()] == "no level of categories as written; 42 that too few share are not kept"


def test_a_kernel_says_that_it_keeps_rows() -> None:
    from chiasm.linear.gaussian_kernel import gaussian_maps

    (made,) = gaussian_maps(np.random.default_rng(0).normal(size=(N, 4)), 0, components=3, widths=(1.0,))
    assert (
        isinstance(made, HoldsTraining) and made.of_training() == f"the 4 features of {N} training patients, row by row"
    )


def test_signs_of_markdown_and_terminals_are_taken_out(cohort: chiasm.Cohort) -> None:
    model: Any = chiasm.fit(cohort, "late-fusion", seed=0)
    object.__setattr__(model, "recipe", "late\x1b[31m|`x`")
    assert "\x1b" not in card_of(model) and "31m/'x'`" in card_of(model)


def test_a_card_that_somebody_wrote_is_never_read(cohort: chiasm.Cohort, tmp_path: Path) -> None:
    chiasm.fit(cohort, "late-fusion", seed=0).save(tmp_path / "model")
    (tmp_path / "model" / "card.md").unlink()
    chiasm.load_model(tmp_path / "model").predict(cohort)
