"""Networks that begin with a source's weights: what is copied, what is refused, and that a fresh start is unchanged."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import chiasm
from chiasm.cohort import Cohort, Outcome, Unsupported, synthetic_cohort
from chiasm.fitting import warm_recipe
from chiasm.fitting.base import Training, trainable
from chiasm.fitting.card import card_of
from chiasm.fitting.network_recipe import NetworkRecipe
from chiasm.fitting.neural import prepare
from chiasm.fitting.parameter_places import places_of
from chiasm.fitting.source_model import SourceModel
from chiasm.fitting.source_network import by_column, network_of
from chiasm.fitting.warm_recipe import WarmRecipe
from chiasm.fitting.warm_start import Candidate, better_start
from chiasm.recipes.catalogue import RECIPES
from chiasm.recipes.registry import for_trial, make_recipe
from chiasm.testing.cohorts import Parts, synthetic_parts
from chiasm.training import predict_link

SIZES = {"latents": 4, "latent_width": 8, "heads": 2, "epochs": 1, "fuse_epochs": 1, "base_epochs": 1, "batch": 32}
DAILY = ("healnet", "cmta")
WARM = ("healnet", "lego-fuse", "cmta", "ssma", "bm-mae")


def tiny(name: str, **options: Any) -> Any:
    cls = RECIPES[name]
    known = {key: value for key, value in SIZES.items() if key in cls.__dataclass_fields__}
    return cls(**{**known, **options})


def still(name: str, **options: Any) -> Any:
    """A recipe that trains for one epoch without a step."""
    rates = {"learning_rate": 0.0, **({"fuse_learning_rate": 0.0} if name == "lego-fuse" else {})}
    return tiny(name, **rates, **options)


def lent(cohort: Cohort, *models: Any) -> Cohort:
    return cohort.with_lent_models([SourceModel(f"other/{k}", own) for k, own in enumerate(models)])


def begun(recipe: Any, cohort: Cohort) -> tuple[Training, list[Candidate]]:
    training = recipe.restricted(trainable(cohort, 0, None, "cpu"))
    return training, recipe.begun(training, prepare(training), recipe.design())


def link_of(own: Candidate) -> np.ndarray:
    return predict_link(own.network, own.data.tokens, own.data.present) * own.data.scale + own.data.origin


def other(parts: Parts) -> Parts:
    """The same patients with columns that are not those of `parts`: one of each block is missing, and one is new."""
    rng = np.random.default_rng(9)
    values = dict(parts.values)
    for name, lost in (("m1", "a2"), ("m2", "g3")):
        frame = values[name].drop(columns=lost)
        values[name] = frame.assign(new=rng.normal(size=len(frame)))
    return replace(parts, values=values)


@pytest.mark.parametrize(
    "name", [own if own in DAILY else pytest.param(own, marks=pytest.mark.nightly) for own in WARM]
)
def test_without_a_step_it_says_what_the_source_said(name: str) -> None:
    cohort = synthetic_parts("classification", 84, 0).cohort()
    source = tiny(name).fit(cohort, seed=3)
    _, (own,) = begun(still(name, warm=True), lent(cohort, source))
    np.testing.assert_allclose(link_of(own), source.predictor.link(cohort), atol=1e-5)
    numbers = sum(value.numel() for value in own.network.state_dict().values())
    assert own.copied == numbers


def test_every_recipe_that_can_begin_warm_is_named() -> None:
    able = [name for name, cls in RECIPES.items() if issubclass(cls, WarmRecipe)]
    assert sorted(able) == sorted(WARM)


@pytest.mark.parametrize("name", ["healnet", pytest.param("lego-fuse", marks=pytest.mark.nightly)])
def test_one_modality_begins_with_its_own_parameters(name: str) -> None:
    cohort = synthetic_parts("regression", 84, 0).cohort()
    source = tiny(name).fit(cohort, seed=0)
    recipe = still(name, warm=True, modality="m2")
    _, (own,) = begun(recipe, lent(cohort, source))
    state, theirs = own.network.state_dict(), source.predictor.state
    mine, places = places_of(recipe.design(), own.data.shapes), places_of(recipe.design(), source.predictor.shapes)
    where = {(place.part, place.modality): key for key, place in places.items()}
    assert {place.modality for place in mine.values()} == {"", "m2"}
    for key, place in mine.items():
        expected = theirs[f"fusion.{where[place.part, place.modality]}"]
        np.testing.assert_array_equal(state[f"fusion.{key}"].numpy(), expected)
    alone = tiny(name, modality="m2").fit(cohort, seed=0)
    found = network_of(alone.predictor)
    assert found is not None
    _, (back,) = begun(still(name, warm=True), lent(cohort, alone))
    known = {place.part: key for key, place in mine.items() if place.modality}
    for key, place in places.items():
        if place.modality == "m2":
            expected = found[0].state[f"fusion.{known[place.part]}"]
            np.testing.assert_array_equal(back.network.state_dict()[f"fusion.{key}"].numpy(), expected)


def test_shared_columns_are_copied_by_name_and_others_begin_fresh() -> None:
    parts = synthetic_parts("survival", 84, 1)
    cohort, recipe = parts.cohort(), still("healnet", warm=True)
    source = tiny("healnet").fit(other(parts).cohort(), seed=0)
    training, (own,) = begun(recipe, lent(cohort, source))
    ours, theirs = own.data.encoders["m1"].token_names, source.predictor.encoders["m1"].token_names
    weight, known = own.network.fusion.entrances[0].weight, source.predictor.state["fusion.entrances.0.weight"]
    place = {name: (t, f) for t, names in enumerate(theirs) for f, name in enumerate(names)}
    seen = 0
    for t, names in enumerate(ours):
        for f, name in enumerate(names):
            if name in place:
                np.testing.assert_array_equal(weight[t, f].detach().numpy(), known[place[name]])
                seen += 1
            else:
                assert name in ("a2", "a2 is missing")
    assert seen and "a2" in {name for names in ours for name in names}
    reads = own.data.encoders["m2"]
    assert "g3" not in reads.scaler.columns and "new" not in reads.scaler.columns
    raw = cohort.raw("m2")
    scaled, projection = prepare(training).encoders["m2"].scaler(raw), source.predictor.encoders["m2"].projections[0]
    columns, of = sorted(raw.columns), source.predictor.encoders["m2"].scaler.columns
    expected = sum(
        (scaled[:, [columns.index(c)]] - projection.mean[of.index(c)]) * projection.components[of.index(c)]
        for c in of if c in columns
    ) / projection.scale  # fmt: skip
    np.testing.assert_allclose(reads.encode(raw).values.flatten(1)[:, : expected.shape[1]], expected, atol=1e-5)


def test_columns_in_another_order_change_nothing() -> None:
    parts = synthetic_parts("classification", 84, 1)
    source = tiny("healnet").fit(other(parts).cohort(), seed=0)
    recipe, shuffled = tiny("healnet", warm=True), parts.shuffled(2)
    one, two = (recipe.fit(lent(own.cohort(), source), seed=0) for own in (parts, shuffled))
    new = synthetic_parts("classification", 21, 5).cohort().with_target(None, None)
    pd.testing.assert_frame_equal(one.predict(new), two.predict(new), check_exact=True)
    assert one.start


def test_bias_and_weights_of_tokens_of_several_columns() -> None:
    theirs, ours = (("a", "b"), ("c", "d")), (("a", "c", "d"), ("e",))
    weight = torch.arange(12.0).reshape(2, 2, 3)
    found = by_column(weight, (2, 3, 3), theirs, ours)
    torch.testing.assert_close(found[0], torch.stack([weight[0, 0], weight[1, 0], weight[1, 1]]))
    assert bool(found[1].isnan().all())
    bias = by_column(torch.tensor([[1.0], [2.0]]), (2, 1), theirs, ours)
    assert float(bias[0]) == 2.0 and bool(bias[1].isnan().all())


@pytest.mark.parametrize("name", ["healnet", pytest.param("lego-fuse", marks=pytest.mark.nightly)])
def test_a_fresh_start_that_is_kept_is_the_recipe_to_the_bit(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cohort = synthetic_parts("classification", 84, 0).cohort()
    source = tiny(name).fit(synthetic_parts("classification", 84, 7).cohort(), seed=0)
    monkeypatch.setattr(warm_recipe, "better_start", lambda own, begun: better_start(replace(own, loss=-9.9), begun))
    made = tiny(name, warm=True).fit(lent(cohort, source), seed=0)
    assert made.start == "fresh" and "It began fresh, not with the weights of a source" in card_of(made)
    pd.testing.assert_frame_equal(
        made.predict(cohort), tiny(name).fit(cohort, seed=0).predict(cohort), check_exact=True
    )


def test_a_source_is_kept_that_gains_two_units_and_the_logarithm_of_the_sources() -> None:
    cohort = synthetic_parts("classification", 84, 0).cohort()
    training = trainable(cohort, 0, None, "cpu")
    recipe, data = tiny("healnet"), prepare(training)
    network = warm_recipe.new_network(training, data, recipe.design(), 0.0)
    nan, inf = float("nan"), float("inf")
    made = Candidate(network, data, recipe.design(), 0.0)
    for fresh, losses, wanted in (
        (9.0, (6.9,), 1),
        (9.0, (7.1,), 0),
        (9.0, (6.9, 8.0, 8.0), 0),
        (9.0, (8.0, 5.8, 8.0), 1),
        (nan, (9.0,), 1),
        (9.0, (nan,), 0),
        (inf, (9.0,), 1),
        (nan, (nan, 5.0), 1),
    ):
        kept, notes = better_start(replace(made, loss=fresh), [replace(made, loss=own, copied=5) for own in losses])
        assert notes["warm_kept"] == wanted == (kept.copied == 5)
        assert all(np.isfinite(own) for own in notes.values())


def test_refused_in_a_sentence_before_any_fit() -> None:
    parts = synthetic_parts("classification", 84, 0)
    cohort = parts.cohort()
    with pytest.raises(Unsupported, match=r"no source is a model folder: fit one by `chiasm fit .* --recipe healnet:"):
        tiny("healnet", warm=True).supports(cohort)
    ridge = make_recipe("multi-ridge").fit(cohort, seed=0)
    with pytest.raises(Unsupported, match="no source model is a network"):
        tiny("healnet", warm=True).supports(lent(cohort, ridge))
    source = tiny("healnet").fit(cohort, seed=0)
    for wrong in (tiny("healnet", warm=True, depth=3), tiny("lego-fuse", warm=True)):
        with pytest.raises(Unsupported, match=r"'other/0' is 'healnet:.*another recipe or of other sizes"):
            wrong.supports(lent(cohort, source))
    alone = tiny("healnet").fit(parts.only(("m1", "m3")).cohort(), seed=0)
    tiny("healnet", warm=True).supports(lent(cohort, alone))
    with pytest.raises(Unsupported, match="no source network reads modality 'm2'"):
        tiny("healnet", warm=True, modality="m2").supports(lent(cohort, alone))
    forms = tiny("healnet", warm=True).alone(lent(cohort, alone))
    assert ["warm=True" in form for form in forms] == [True, False, True]
    with pytest.raises(ValueError, match="recipe 'clip-pairs' has no option 'warm'"):
        make_recipe("clip-pairs:warm=true")
    with pytest.raises(chiasm.LeakageError, match="learned from patients"):
        chiasm.fit(cohort, tiny("healnet", warm=True), sources=[source])


def test_a_trial_compares_it_with_the_same_recipe_without_a_source() -> None:
    cohort = synthetic_parts("classification", 84, 0).cohort()
    source = tiny("healnet").fit(synthetic_parts("classification", 84, 7).cohort(), seed=0)
    recipe = tiny("healnet", warm=True)
    listed, _ = for_trial([recipe], lent(cohort, source))
    assert recipe.against == tiny("healnet").name and recipe.against in [own.name for own in listed]
    assert recipe.settings_on(lent(cohort, source)) == 2 and recipe.settings_on(cohort) == 1
    assert not tiny("healnet").against and not tiny("healnet").borrows


def test_upon_a_linear_model_the_head_is_copied_only_from_one_upon_too() -> None:
    cohort = synthetic_parts("regression", 84, 0).cohort()
    plain = tiny("healnet").fit(cohort, seed=0)
    recipe = still("healnet", warm=True, upon="late")
    training = trainable(lent(cohort, plain), 0, None, "cpu")
    training = replace(training, offset=np.zeros((84, 1)))
    (own,) = recipe.begun(training, prepare(training), recipe.design())
    assert not bool(own.network.head.linear.weight.any())
    np.testing.assert_array_equal(own.network.fusion.latent.detach().numpy(), plain.predictor.state["fusion.latent"])


@pytest.mark.nightly
def test_upon_a_linear_model_a_fit_goes_through() -> None:
    cohort = synthetic_parts("regression", 84, 0).cohort()
    source = tiny("healnet", upon="late").fit(synthetic_parts("regression", 84, 7).cohort(), seed=0)
    made = tiny("healnet", warm=True, upon="late").fit(lent(cohort, source), seed=0)
    assert len(made.predict(cohort)) == 84


def test_classes_are_copied_by_name() -> None:
    cohort = synthetic_parts("classification", 84, 0).cohort()
    source = tiny("healnet").fit(cohort, seed=0)
    classes = source.response.classes
    turned = replace(source, response=replace(source.response, classes=classes[::-1]))
    _, (one,) = begun(still("healnet", warm=True), lent(cohort, source))
    _, (two,) = begun(still("healnet", warm=True), lent(cohort, turned))
    torch.testing.assert_close(one.network.head.linear.weight, two.network.head.linear.weight.flip(0))


@pytest.mark.nightly
def test_a_stopped_fit_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cohort = synthetic_parts("classification", 84, 0).cohort()
    source = tiny("healnet").fit(synthetic_parts("classification", 84, 7).cohort(), seed=0)
    ready, recipe, known = lent(cohort, source), tiny("healnet", warm=True, epochs=2), NetworkRecipe.run
    whole = recipe.fit(ready, seed=0)

    def stopped(self: NetworkRecipe, *args: Any, **options: Any) -> Any:
        found = known(self, *args, **options)
        if len(args) > 4 and args[4]:
            raise KeyboardInterrupt
        return found

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(NetworkRecipe, "run", stopped)
        recipe.fit(ready, seed=0, checkpoint=tmp_path)
    assert len(list(tmp_path.glob("healnet-from-*.safetensors"))) == 1
    resumed = recipe.fit(ready, seed=0, checkpoint=tmp_path)
    pd.testing.assert_frame_equal(resumed.predict(cohort), whole.predict(cohort), check_exact=True)


@pytest.mark.nightly
def test_model_page_and_trial_say_how_often_a_source_was_kept(tmp_path: Path) -> None:
    source = tiny("healnet", epochs=3).fit(synthetic_parts("classification", 84, 7).cohort(), seed=0)
    cohort = synthetic_parts("classification", 63, 0).cohort()
    cohort = replace(cohort, ids=np.array([f"own-{name}" for name in cohort.ids]))
    source.save(tmp_path / "other" / "model")
    recipe, rules = tiny("healnet", warm=True), chiasm.Protocol(folds=2, repeats=1, draws=100)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", chiasm.FindingWarning)
        made = chiasm.fit(cohort, recipe.name, sources=[tmp_path / "other" / "model"])
        given: dict[str, Any] = {"sources": [tmp_path / "other" / "model"], "out": tmp_path / "run"}
        trial = chiasm.evaluate(cohort, [recipe.name], rules, jobs=2, **given)
    assert made.start in ("source", "fresh") and "It began" in card_of(made)
    (row,) = [own for own in trial.document["recipes"] if own["name"] == recipe.name]
    kept = sum(fold["start"] == "source" for fold in row["folds"])
    assert row["settings"] == 2 and all("start" in fold for fold in row["folds"])
    pairs = [(own["recipe"], own["against"]) for own in trial.document["contrasts"]]
    assert pairs == [(recipe.name, tiny("healnet").name)]
    assert not any("start" in fold for own in trial.document["recipes"] for fold in own["folds"] if own is not row)
    page = (tmp_path / "run" / "report.html").read_text()
    assert f"kept the weights of a source in {kept} of 2 fits" in page


def drawn(n: int, seed: int, mark: str) -> Cohort:
    made = synthetic_cohort("complementary", n, target="regression", seed=seed)
    return replace(made, ids=np.array([f"{mark}{name}" for name in made.ids]))


def correlation(model: Any, new: Cohort) -> float:
    assert new.outcome is not None
    said = model.predict(new.with_target(None, None)).loc[list(new.ids), "prediction"]
    return float(np.corrcoef(said, new.outcome.value)[0, 1])


@pytest.mark.nightly
def test_a_source_of_the_same_population_helps_where_it_is_kept_and_noise_is_not() -> None:
    recipe = make_recipe("healnet:latents=8,latent_width=16,epochs=20,warm=true")
    plain = replace(recipe, warm=False)
    lender, new = drawn(400, 100, "lent-"), drawn(500, 101, "new-")
    assert lender.outcome is not None and lender.target is not None
    good, bad = plain.fit(lender, seed=0), list[Any]()
    for number in range(3):
        value = lender.outcome.value[np.random.default_rng(number).permutation(400)]
        noise = lender.with_target(lender.target, Outcome(value, None, lender.outcome.known))
        bad.append(plain.fit(noise, seed=number))
    gains, losses, kept, of_noise = list[float](), list[float](), 0, 0
    for seed in range(5):
        own = drawn(150, seed, "own-")
        fresh = correlation(plain.fit(own, seed=seed), new)
        made = recipe.fit(lent(own, good), seed=seed)
        gains.append(correlation(made, new) - fresh)
        kept += made.start == "source"
        made = recipe.fit(lent(own, *bad), seed=seed)
        losses.append(correlation(made, new) - fresh)
        of_noise += made.start == "source"
    assert kept >= 1 and np.mean(gains) > 0, (gains, kept)
    assert of_noise <= 1 and np.mean(losses) > -0.02, "of three that say nothing the best was kept three times in four"
