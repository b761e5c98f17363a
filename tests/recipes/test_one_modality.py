"""The one-modality forms of networks and kernels: what they read, and what they say of who lacks the modality."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.recipes.registry import make_recipe
from small_recipes import mixed, small

FORMS: list[tuple[str, dict[str, Any]]] = [
    ("healnet", {}), ("lego-merge", {}), ("lego-merge", {"soup": 2}), ("lego-fuse", {}),
    ("lego-fuse", {"mode": "weave"}), ("wise-ft", {}), ("slerp-merge", {}), ("breadcrumbs", {}), ("kron-rls", {}),
    ("boosted-trees", {}),
]  # fmt: skip


KINDS = ("classification", "regression", "survival")


def named(form: tuple[str, dict[str, Any]]) -> str:
    return "-".join([form[0], *map(str, form[1].values())])


@pytest.mark.parametrize("form", FORMS, ids=named)
def test_a_recipe_names_its_form_for_each_modality_and_a_form_names_none(form: tuple[str, dict[str, Any]]) -> None:
    cohort, recipe = mixed("classification"), small(form[0], **form[1])
    alone = [make_recipe(name) for name in recipe.alone(cohort)]
    assert [own.modality for own in alone] == ["m1", "m2", "m3"]
    # of one block alone, weaving is stacking
    plain = replace(recipe, mode="stack") if form[1].get("mode") == "weave" else recipe
    assert alone == [replace(plain, modality=name) for name in ("m1", "m2", "m3")]
    assert recipe.reads_presence and recipe.modalities(cohort) == cohort.modalities
    for own in alone:
        assert own.alone(cohort) == () and not own.reads_presence and own.settings == recipe.settings
        assert own.modalities(cohort) == (own.modality,)
        own.supports(cohort.with_modalities([own.modality]))
    single = cohort.with_modalities(["m1"])
    assert recipe.alone(single) == ()
    with pytest.raises(chiasm.Unsupported, match="needs 2 modalities"):
        recipe.supports(single)
    with pytest.raises(chiasm.Unsupported, match="no modality 'm9'"):
        replace(recipe, modality="m9").supports(cohort)


# Every form with classes, the network and the kernel with the other kinds of target too; all in `make nightly`.
def by_day(name: str, kind: str) -> bool:
    """One kind of target for each form, all for a network and a kernel; a merged network is read as any other."""
    return name in ("healnet", "kron-rls") or (
        kind == "classification" and name not in ("slerp-merge", "breadcrumbs", "wise-ft")
    )


@pytest.mark.parametrize(
    ("form", "kind"),
    [
        pytest.param(f, k, marks=[] if by_day(f[0], k) else [pytest.mark.nightly])
        for f in FORMS
        for k in KINDS
        if f[0] != "kron-rls" or k != "survival"  # least squares has no survival
    ],
    ids=lambda own: own if isinstance(own, str) else named(own),
)
def test_a_form_reads_its_modality_alone_and_says_the_prior_of_who_lacks_it(
    form: tuple[str, dict[str, Any]], kind: str, tmp_path: Any
) -> None:
    cohort = mixed(kind)
    recipe = small(form[0], modality="m2", **form[1])
    model = recipe.fit(cohort, seed=0)
    assert model.has_prior and list(model.modalities) == ["m2"] and not model.scarce
    rows = cohort.rows_of("m2")
    link = model.predictor.link(cohort)
    np.testing.assert_allclose(link[rows].mean(0), model.predictor.prior, atol=1e-6)
    frame = model.predict(cohort)
    lacking = frame.drop(columns="pattern").to_numpy()[~cohort.present[:, 1][cohort.order]]
    assert len(lacking) and (lacking == lacking[0]).all()
    if kind == "classification":
        frequency = np.bincount(cohort.outcome.value.astype(int)) + 0.5  # type: ignore[union-attr]
        np.testing.assert_allclose(lacking[0], frequency / frequency.sum(), rtol=1e-9)
    only = cohort.with_modalities(["m2"])
    again = recipe.fit(only.subset(only.present.any(1)), seed=0).predictor.predictor
    np.testing.assert_array_equal(again.link(only.subset(rows)), model.predictor.predictor.link(only.subset(rows)))
    model.save(tmp_path / "model")
    pd.testing.assert_frame_equal(chiasm.load_model(tmp_path / "model").predict(cohort), frame)


def test_of_a_modality_that_few_have_the_prior_is_all_there_is() -> None:
    cohort = mixed("classification")
    rows = np.setdiff1d(np.arange(len(cohort)), cohort.rows_of("m2")[5:])
    few = cohort.subset(rows)
    for name in ("healnet", "kron-rls"):
        frame = small(name, modality="m2").fit(few, seed=0).predict(cohort)
        assert frame["p_yes"].nunique() == 1


@pytest.mark.parametrize("name", ["healnet", "lego-fuse", "kron-rls", "boosted-trees"])
def test_those_who_have_it_may_all_be_of_one_class(name: str) -> None:
    cohort = mixed("classification")
    lacks = np.setdiff1d(np.arange(len(cohort)), cohort.rows_of("m2"))
    keep = np.union1d(lacks, np.flatnonzero(cohort.outcome.value == 1))  # type: ignore[union-attr]
    frame = small(name, modality="m2").fit(cohort.subset(keep), seed=0).predict(cohort)
    assert np.isfinite(frame["p_yes"]).all()


def test_blocks_of_one_modality_read_one_modality() -> None:
    cohort = mixed("classification")
    one, two = small("lego-merge", blocks="m1"), small("lego-merge", blocks="m1+m3")
    assert one.modalities(cohort) == ("m1",) and one.alone(cohort) == () and not one.reads_presence
    assert two.modalities(cohort) == ("m1", "m3") and two.reads_presence
    assert two.alone(cohort) == tuple(small("lego-merge", modality=name).name for name in ("m1", "m3"))
    with pytest.raises(ValueError, match="blocks and modality both name"):
        small("lego-merge", blocks="m1", modality="m1")


def test_what_a_recipe_says_of_itself() -> None:
    cohort = mixed("classification")
    for name in ("single:m1", "late-fusion", "stacked-fusion", "early-fusion"):
        recipe = make_recipe(name)
        assert not recipe.reads_presence and recipe.alone(cohort) == () and recipe.settings > 8
    assert make_recipe("kron-rls").settings == 15 and make_recipe("healnet").settings == 1
    assert make_recipe("single:m1,models=linear").settings < make_recipe("single:m1").settings
