"""Whom to train on for a site: the selection by optimal transport as a recipe, what it reads, and what it refuses."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import chiasm
from adapted_cohorts import notes
from chiasm.recipes.adaptation import got_d
from chiasm.recipes.adaptation.lora import LoRARecipe
from chiasm.recipes.registry import make_recipe
from chiasm.testing.adaptation import check_adaptation
from chiasm.testing.laws import differing, folder_bytes
from lighter_trials import ridges_by_day
from tiny_models import tiny_models

pytest.importorskip("ot")
QUICK = "recipe=healnet;epochs=1;latents=2;latent_width=4;heads=1"


def hospitals(n: int = 90) -> chiasm.Cohort:
    """Two tables; of the other site's patients every fifth is of a kind of which the site "north" has every second.

    Its kind stands in three columns of `m1`, which is everybody's; one in ten lacks "m2".
    """
    rng = np.random.default_rng(0)
    north, rare = np.arange(n) % 3 == 0, np.arange(n) % 5 == 0
    rare = np.where(north, rng.random(n) < 0.5, rare)
    ids = [f"p{row:03d}" for row in range(n)]
    patients = pd.DataFrame({"y": rng.integers(0, 2, n), "place": np.where(north, "north", "south")}, index=ids)
    first = pd.DataFrame(rng.normal(size=(n, 4)), index=ids, columns=list("abcd"))
    first[["a", "b", "c"]] += 12 * rare[:, None]
    second = pd.DataFrame(rng.normal(size=(n, 2)), index=ids, columns=list("ef"))
    return chiasm.cohort_from_frames(
        patients, {"m1": first, "m2": second[np.arange(n) % 10 != 3]}, chiasm.Classification("y"), site="place"
    )


def rarely(cohort: chiasm.Cohort) -> np.ndarray:
    """(B,) who is of the rare kind."""
    return (cohort.raw("m1")["a"] > 6).to_numpy()


def test_it_keeps_the_site_and_of_the_others_those_whom_their_pool_lacks() -> None:
    cohort = hospitals()
    north, rare = cohort.site == "north", rarely(cohort)
    share = 0.3
    kept = make_recipe(f"got-d:site=north,share={share},{QUICK}").chosen(cohort, 0)
    assert kept[north].all() and kept[~north].sum() == round(share * (~north).sum())
    assert rare[~north].mean() < 0.35  # a random third would have as many
    assert kept[rare & ~north].mean() > 0.9
    assert make_recipe(f"got-d:site=north,share=1.0,{QUICK}").chosen(cohort, 0).all()


def test_no_label_is_read_and_the_order_of_rows_does_not_count() -> None:
    cohort, recipe = hospitals(), make_recipe(f"got-d:site=north,{QUICK}")
    assert cohort.outcome is not None
    turned = cohort.with_target(cohort.target, replace(cohort.outcome, value=1 - cohort.outcome.value))
    np.testing.assert_array_equal(recipe.chosen(cohort, 0), recipe.chosen(turned, 0))
    np.testing.assert_array_equal(recipe.chosen(cohort, 0), recipe.chosen(cohort, 5))


def test_who_cannot_be_compared_is_kept() -> None:
    cohort = hospitals()
    kept = make_recipe(f"got-d:site=north,share=0.2,compare=m2,{QUICK}").chosen(cohort, 0)
    lacking = ~cohort.present[:, cohort.modalities.index("m2")]
    assert kept[lacking].all() and lacking.sum() == 9
    compared = ~lacking & (cohort.site != "north")
    assert kept[compared].sum() == round(0.2 * compared.sum())


def test_a_part_of_a_large_target_is_drawn_by_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    cohort, recipe = hospitals(), make_recipe(f"got-d:site=north,{QUICK}")
    others = int((cohort.site != "north").sum())
    monkeypatch.setattr(got_d, "MOST_PAIRS", 3 * others)
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    drawn = [recipe.chosen(cohort, seed) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert (drawn[0] != drawn[2]).any() and drawn[0].sum() == drawn[2].sum()
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_the_model_is_that_of_the_inner_recipe_on_those_who_are_kept(tmp_path: Path) -> None:
    cohort, recipe = hospitals(), make_recipe(f"got-d:site=north,{QUICK}")
    model = recipe.fit(cohort, seed=0, checkpoint=tmp_path)
    alone = recipe.inner.fit(cohort.subset(recipe.chosen(cohort, 0)), seed=0)
    assert not differing(folder_bytes(replace(model, recipe=alone.recipe).save), folder_bytes(alone.save))
    assert model.recipe == recipe.name and list(tmp_path.iterdir())
    again = recipe.fit(cohort, seed=0, checkpoint=tmp_path)
    assert not differing(folder_bytes(model.save), folder_bytes(again.save))
    everybody = recipe.inner.fit(cohort, seed=0)
    assert differing(folder_bytes(replace(model, recipe=alone.recipe).save), folder_bytes(everybody.save))


ADAPTED = "got-d:site=north,recipe=lora;rank=1;epochs=1;latent_width=4"


def test_it_reads_what_its_recipe_reads() -> None:
    assert make_recipe(ADAPTED).reads_inputs and not make_recipe(f"got-d:{QUICK}").reads_inputs


@pytest.mark.nightly  # by day the laws of adapted recipes are held by `lora` itself
def test_it_selects_for_a_network_that_is_adapted(tmp_path: Path) -> None:
    check_adaptation(make_recipe(ADAPTED), notes(tiny_models(tmp_path / "models"), tmp_path / "store"))


def test_in_a_trial_no_test_patient_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cohort, seen = hospitals(), []
    chosen = got_d.GotD.chosen

    def noted(self: Any, own: chiasm.Cohort, seed: int) -> Any:
        seen.append(set(own.ids.tolist()))
        return chosen(self, own, seed)

    monkeypatch.setattr(got_d.GotD, "chosen", noted)
    recipe = make_recipe(f"got-d:site=north,{QUICK}")
    protocol = chiasm.Protocol(folds=2, repeats=1, draws=100, inner_folds=2)
    with ridges_by_day():
        trial = chiasm.evaluate(cohort, [recipe], protocol, jobs=1, out=tmp_path / "run")
    frame = pd.read_parquet(tmp_path / "run" / "predictions.parquet")
    tested = [set(part["patient"]) for _, part in frame.groupby("fold")]
    assert seen and all(any(not ids & test for test in tested) for ids in seen)
    assert len(trial.table())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("", "selects towards one site"),
        ("site=east", "0 patients of this site"),
        ("site=north,compare=m3", "not among those of the cohort"),
        ("site=north,recipe=lora", "network to adapt"),
    ],
)
def test_where_it_has_no_meaning_it_refuses(options: str, message: str) -> None:
    with pytest.raises(chiasm.Unsupported, match=message):
        make_recipe(f"got-d:{options}").supports(hospitals())


def test_in_the_verdict_it_stands_where_its_inner_recipe_does(monkeypatch: pytest.MonkeyPatch) -> None:
    cohort, recipe = hospitals(), make_recipe("got-d:site=north,recipe=lora;rank=2")
    monkeypatch.setattr(LoRARecipe, "alone", lambda self, own: ("lora:rank=2,where=all",), raising=False)
    assert recipe.alone(cohort) == ("got-d:site=north,recipe=lora;rank=2;where=all",)
    forms = [make_recipe(name) for name in make_recipe(f"got-d:site=north,{QUICK}").alone(cohort)]
    assert [own.modalities(cohort) for own in forms] == [(name,) for name in cohort.modalities]
    assert not any(own.reads_presence or own.alone(cohort) for own in forms)


def test_one_place_has_nothing_to_select() -> None:
    cohort = hospitals()
    with pytest.raises(chiasm.Unsupported, match="0 patients of other sites"):
        make_recipe("got-d:site=north").supports(cohort.subset(cohort.site == "north"))
    with pytest.raises(chiasm.Unsupported, match="its own target"):
        make_recipe("got-d:site=north").supports(replace(cohort, site=None))


@pytest.mark.parametrize("options", ["share=0", "share=1.5", "recipe=got-d", "recipe=single;m1", "recipe=none"])
def test_options_that_cannot_be(options: str) -> None:
    with pytest.raises(ValueError, match=r"share lies|got-d fits|no recipe"):
        make_recipe(f"got-d:{options}")


def test_it_is_its_inner_recipe_on_those_who_are_kept() -> None:
    """Whatever the inner recipe does of its own in a fit, it does here: it reads the one block that was named."""
    cohort = hospitals()
    recipe = make_recipe("got-d:site=north,recipe=lego-merge;blocks=m1;epochs=1;latents=4;latent_width=8;heads=2")
    model = recipe.fit(cohort, seed=0)
    alone = recipe.inner.fit(cohort.subset(recipe.chosen(cohort, 0)), seed=0)
    assert sorted(model.modalities) == ["m1"] and model.recipe == recipe.name
    pd.testing.assert_frame_equal(model.predict(cohort), alone.predict(cohort))


def test_where_too_few_can_be_compared_everybody_is_kept() -> None:
    cohort = hospitals()
    assert cohort.site is not None
    north = np.flatnonzero(cohort.site == "north")
    few = cohort.subset(np.setdiff1d(np.arange(len(cohort)), north[8:]))
    recipe = make_recipe(f"got-d:site=north,share=0.2,{QUICK}")
    assert recipe.chosen(few, 0).all() and not recipe.chosen(cohort, 0).all()
    assert len(recipe.fit(few, seed=0).predict(few)) == len(few)


def test_what_is_not_installed_is_said_before_any_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ot", None)
    with pytest.raises(chiasm.Unsupported, match="need POT"):
        make_recipe(f"got-d:site=north,{QUICK}").supports(hospitals())
