"""A source's weights are kept by one rule, whose patients they are is not forgotten, and page and card say what was."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
import torch

import chiasm
from chiasm.api.external_trial import require_comparable
from chiasm.cohort import Cohort
from chiasm.encoders.table.omics import OmicsEncoder
from chiasm.encoders.table.scaling import Scaler
from chiasm.fitting import lineage, warm_recipe
from chiasm.fitting.base import trainable
from chiasm.fitting.card import card_of
from chiasm.fitting.neural import prepare
from chiasm.fitting.row import Row
from chiasm.fitting.source_model import SourceModel
from chiasm.fitting.source_network import by_column, networks_of
from chiasm.fitting.warm_start import better_start
from chiasm.protocols import borrows
from chiasm.recipes.catalogue import RECIPES
from chiasm.recipes.fusion.healnet import HealNetRecipe
from chiasm.recipes.fusion.lego_blocks import train_blocks
from chiasm.recipes.fusion.lego_fuse import LegoFuseRecipe
from chiasm.recipes.registry import for_trial
from chiasm.report.sides import start_sentences
from chiasm.testing.cohorts import synthetic_parts
from recipes.test_warm_start import begun, lent, still, tiny


def named(mark: str, seed: int, target: str = "classification") -> Cohort:
    """Made-up patients under identifiers of their own, with tables alone."""
    made = synthetic_parts(target, 84, seed).only(("m1", "m2")).cohort()
    return replace(made, ids=np.array([f"{mark}{name}" for name in made.ids]))


def keeps(patch: pytest.MonkeyPatch) -> None:
    """Keep a source whatever it gains."""
    patch.setattr(warm_recipe, "better_start", lambda own, begun: better_start(replace(own, loss=1e9), begun))


def test_a_training_that_diverged_is_no_reason_not_to_save(tmp_path: Path) -> None:
    cohort, source = named("a", 0), tiny("healnet").fit(named("b", 7), seed=0)
    broken = {key: np.full_like(own, 1e30) for key, own in source.predictor.state.items()}
    wrong = replace(source, predictor=replace(source.predictor, state=broken))
    made = tiny("healnet", warm=True).fit(lent(cohort, wrong), seed=0)
    made.save(tmp_path / "model")
    assert made.start == "fresh" and "was not a number after it" in card_of(made)
    there = cohort.subset(cohort.rows_of("m1"))
    assert chiasm.load_model(tmp_path / "model").predict(there).notna().all(axis=None)


def test_whose_patients_a_chain_of_starts_learned_from_is_not_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third = (named(mark, seed) for mark, seed in (("a", 0), ("b", 7), ("c", 8)))
    keeps(monkeypatch)
    one = tiny("healnet").fit(first, seed=0)
    two = tiny("healnet", warm=True).fit(second.with_lent_models([SourceModel("one/model", one)]), seed=0)
    last = tiny("healnet", warm=True).fit(third.with_lent_models([SourceModel("two/model", two)]), seed=0)
    assert [own.name for own in last.predictor.begun_from] == ["two/model", "one/model"]
    assert "It began with the weights of the source 'two/model':" in card_of(last)
    last.save(tmp_path / "last")
    source = SourceModel("last", chiasm.load_model(tmp_path / "last"))  # type: ignore[arg-type]
    assert all(source.learned_from(own) for own in (first, second, third))
    assert not source.learned_from(named("d", 9))
    with pytest.raises(chiasm.LeakageError, match="learned from patients"):
        chiasm.fit(first, tiny("healnet", warm=True), sources=[tmp_path / "last"])
    with pytest.raises(chiasm.LeakageError, match="source model 'last' learned from patients"):
        require_comparable(named("d", 9).with_lent_models([source]), first)


def test_few_columns_of_a_source_are_kept() -> None:
    source = SourceModel("one", tiny("healnet").fit(named("a", 0), seed=0))
    (kept,) = source.lineage()
    assert kept.learned_from(named("a", 0)) and not kept.learned_from(named("b", 1))
    assert all(0 < len(own.columns) <= lineage.KEPT for own in kept.scalers.values())


@pytest.mark.parametrize("without", [(True, False), (False, True), (True, True)])
def test_the_decoder_is_no_part_of_what_has_to_be_alike(without: tuple[bool, bool]) -> None:
    cohort = named("a", 0)
    there, here = ({"base_epochs": 0} if own else {} for own in without)
    source = tiny("bm-mae", **there).fit(named("b", 7), seed=0)
    recipe = tiny("bm-mae", **here, warm=True)
    recipe.supports(lent(cohort, source))
    assert recipe.fit(lent(cohort, source), seed=0).start in ("source", "fresh")


def test_what_the_source_lacks_begins_as_the_block_that_the_cohort_trained() -> None:
    cohort = synthetic_parts("regression", 84, 0).only(("m1", "m3")).cohort()
    source = tiny("lego-fuse").fit(synthetic_parts("regression", 84, 7).only(("m1",)).cohort(), seed=0)
    recipe = still("lego-fuse", warm=True, mode="weave")
    recipe.supports(lent(cohort, source))
    training, (own,) = begun(recipe, lent(cohort, source))
    trained = train_blocks(training, recipe)
    for key, value in own.network.fusion.blocks[1].state_dict().items():
        np.testing.assert_array_equal(value.numpy(), trained.blocks["m3"][key])
    assert not all(
        np.array_equal(value.numpy(), trained.blocks["m1"][key])
        for key, value in own.network.fusion.blocks[0].state_dict().items()
    )


def test_with_one_block_the_order_of_the_blocks_says_nothing() -> None:
    cohort = named("a", 0)
    source = tiny("lego-fuse", mode="weave").fit(named("b", 7), seed=0)
    woven = replace(source.predictor, design=replace(source.predictor.design, mode="weave"))  # it may be a merge
    ready = lent(cohort, replace(source, predictor=woven))
    recipe = tiny("lego-fuse", mode="weave", warm=True)
    recipe.supports(ready)
    assert all("warm=True" in form for form in recipe.alone(ready))
    other = tiny("lego-fuse", mode="stack", warm=True)
    assert not other.starts(ready) and other.reading("m1").starts(ready)


@pytest.mark.parametrize("name", ["healnet", "lego-fuse"])
def test_where_nobody_is_held_out_no_source_is_tried(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cohort = named("a", 0)
    ready = lent(replace(cohort, group=np.array(["one"] * len(cohort))), tiny(name).fit(named("b", 7), seed=0))
    monkeypatch.setattr(type(tiny(name)), "begun", None)
    monkeypatch.setattr(LegoFuseRecipe, "begun_on", None)
    made = tiny(name, warm=True).fit(ready, seed=0)
    assert made.start == "untried" and not made.predictor.begun_from
    assert "It began fresh, and no source was tried: nobody could be held out to ask." in card_of(made)


def test_the_page_says_how_the_fits_began_and_where_the_sides_differ() -> None:
    def told(*starts: str, forms: tuple[str, ...] = ()) -> str:
        folds = [{"start": own} if own else {} for own in starts]
        (said,) = start_sentences([{"name": "healnet:warm=True", "folds": folds, "forms": forms}])
        return said

    always = told("source", "source")
    assert always.endswith("kept the weights of a source in 2 of 2 fits.")
    mixed = told("source", "fresh", "fresh", "untried", "")
    assert "in 1 of 4 fits, and began fresh in 2, where" in mixed and mixed.endswith("in 1 no source could be tried.")
    apart = told("source", forms=("healnet:modality=a,warm=True", "healnet:modality=b"))
    assert "'healnet:modality=b' begins fresh, as no source reads its modality" in apart
    assert start_sentences([{"name": "healnet", "folds": [{}], "forms": ()}]) == []


def test_each_source_is_one_setting_more() -> None:
    cohort, source = named("a", 0), tiny("healnet").fit(named("b", 7), seed=0)
    recipe = tiny("healnet", warm=True, upon="late")
    assert recipe.settings > 1 and recipe.settings_on(lent(cohort, source, source)) == recipe.settings + 2


@dataclass(frozen=True)
class Elsewhere(HealNetRecipe):
    """A recipe of another package, whose name no catalogue has."""

    row: ClassVar[Row] = replace(HealNetRecipe.row, name="elsewhere")


def test_a_recipe_object_brings_what_it_is_compared_with() -> None:
    cohort, source = named("a", 0), tiny("healnet").fit(named("b", 7), seed=0)
    sizes = {"latents": 4, "latent_width": 8, "heads": 2}
    listed, _ = for_trial([Elsewhere(**sizes, warm=True)], lent(cohort, source))
    assert [own.name for own in listed if own.id == "elsewhere"] == [
        Elsewhere(**sizes, warm=True).name, Elsewhere(**sizes).name,
    ]  # fmt: skip


def test_a_recipe_that_names_a_comparison_and_nothing_else_borrows() -> None:
    class Old:
        name, against = "old", "late-fusion"

    assert borrows(Old()) and not borrows(object())
    assert borrows(tiny("healnet", warm=True)) and not borrows(tiny("healnet"))


def test_a_weight_means_as_much_for_the_same_difference_of_values() -> None:
    import pandas as pd

    rng, n = np.random.default_rng(0), 40
    there = pd.DataFrame(
        {"grade": np.arange(n) % 4 + 1.0, "flag": np.arange(n) % 2, "age": rng.normal(size=n), "q": 1.0}
    )
    here = there.assign(grade=np.arange(n) % 2 + 1.0, age=np.arange(n) % 5)
    ours, theirs = Scaler.fit(here), Scaler.fit(there)
    steps = ours.steps(theirs)
    assert steps["flag"] == 1.0 and np.isnan(steps["age"]) and np.isnan(steps["q"])
    slope = [(own(frame)[1, 0] - own(frame)[0, 0]) for own, frame in ((ours, here), (theirs, there))]
    np.testing.assert_allclose(slope[0] * steps["grade"], slope[1])
    assert Scaler.fit(there).steps(theirs)["age"] == 1.0
    names = (("grade", "age"),)
    found = by_column(torch.ones(1, 2, 3), (1, 2, 3), names, names, steps)
    torch.testing.assert_close(found[0, 0], torch.full((3,), steps["grade"]))
    assert bool(found[0, 1].isnan().all())


def test_components_of_counts_say_the_same_of_the_same_difference() -> None:
    rng, n = np.random.default_rng(1), 60
    there = pd.DataFrame({f"c{k}": rng.integers(0, 5, n).astype(float) for k in range(4)})
    here = there.assign(c0=there["c0"].clip(upper=1), c3=rng.normal(size=n))
    source = OmicsEncoder(components=2).fit(there)
    reads = source.on_columns(list(there.columns), OmicsEncoder(components=2).fit(here))
    assert reads.scaler is not None and reads.scaler.columns == ("c0", "c1", "c2")
    two = pd.concat([here.iloc[[0]]] * 2, ignore_index=True).assign(c0=[0.0, 1.0], c3=0.0)
    assert source.scaler is not None
    said, known = (own.encode(two).values.double().numpy().reshape(2, -1) for own in (reads, source))
    np.testing.assert_allclose(np.diff(said, axis=0), np.diff(known, axis=0), rtol=1e-4)


def test_half_of_an_omics_block_is_shared_or_it_begins_fresh() -> None:
    parts = synthetic_parts("classification", 84, 0).only(("m1", "m2"))
    source = tiny("healnet").fit(parts.cohort(), seed=0)
    columns = list(parts.values["m2"].columns)
    for kept, shared in ((-(-len(columns) // 2), ["m1", "m2"]), ((len(columns) - 1) // 2, ["m1"])):
        few = replace(parts, values={**parts.values, "m2": parts.values["m2"][columns[:kept]]})
        (start,) = networks_of(lent(few.cohort(), source))
        assert sorted(start.shared) == shared


def test_three_classes_and_labels_are_copied_by_name() -> None:
    cohort = named("a", 0)
    assert cohort.outcome is not None
    value = np.arange(len(cohort)) % 3
    target = replace(cohort.target, classes=("x", "y", "z"))
    three = cohort.with_target(target, replace(cohort.outcome, value=value))
    source = tiny("healnet").fit(three, seed=0)
    head = source.predictor.state["head.linear.weight"]
    turned = replace(source, response=replace(source.response, classes=("y", "z", "x")))
    training, (own,) = begun(still("healnet", warm=True), lent(three, turned))
    np.testing.assert_array_equal(own.network.head.linear.weight.detach().numpy(), head[[2, 0, 1]])
    assert training.target.names == ("x", "y", "z")


def test_labels_are_copied_by_name() -> None:
    cohort = named("a", 0, "multilabel")
    source = tiny("healnet").fit(cohort, seed=0)
    names = source.response.classes
    turned = replace(source, response=replace(source.response, classes=(*names[1:], names[0])))
    _, (own,) = begun(still("healnet", warm=True), lent(cohort, turned))
    order = [len(names) - 1, *range(len(names) - 1)]
    head = source.predictor.state["head.linear.weight"]
    np.testing.assert_array_equal(own.network.head.linear.weight.detach().numpy(), head[order])


@pytest.mark.parametrize(("there", "here"), [(True, True), (True, False)])
def test_the_head_of_a_network_upon_a_linear_model(there: bool, here: bool) -> None:
    cohort = named("a", 0, "regression")
    plain = tiny("healnet").fit(cohort, seed=0)
    source = SourceModel("one", plain)
    ready = cohort.with_lent_models([source])
    (start,) = networks_of(ready)
    recipe = still("healnet", warm=True)
    training = trainable(ready, 0, None, "cpu")
    training = replace(training, offset=np.zeros((len(training.cohort), 1)) if here else None)
    data = prepare(training)
    network = warm_recipe.new_network(training, data, recipe.design(), 0.0)
    before = network.head.linear.weight.detach().clone()
    replace(start, upon=there).copied_into(network, training, data, recipe.design())
    wanted = torch.from_numpy(plain.predictor.state["head.linear.weight"]) if there == here else before
    torch.testing.assert_close(network.head.linear.weight.detach(), wanted)


def test_of_two_sources_the_better_is_kept_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    cohort = named("a", 0)
    one, two = (tiny("healnet").fit(named("b", seed), seed=0) for seed in (7, 8))
    keeps(monkeypatch)
    ready = cohort.with_lent_models([SourceModel("x/one", one), SourceModel("x/two", two)])
    _, found = begun(tiny("healnet", warm=True), ready)
    made = tiny("healnet", warm=True).fit(ready, seed=0)
    best = min(found, key=lambda own: own.loss).source
    assert best is not None and f"the source '{best.name}', the best of 2 sources:" in card_of(made)
    alone = cohort.subset(cohort.rows_of("m2")[:4]).with_modalities(["m2"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", chiasm.FindingWarning)
        assert made.predict(alone).notna().all(axis=None), "from one modality alone"


def test_all_recipes_of_the_option_are_those_that_can_use_it() -> None:
    able: list[Any] = [name for name, cls in RECIPES.items() if "warm" in getattr(cls, "__dataclass_fields__", {})]
    assert able and all(issubclass(RECIPES[name], warm_recipe.WarmRecipe) for name in able)
