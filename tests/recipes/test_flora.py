"""`flora`: hospitals in one process; what each trains, what stays the base's, and what is refused."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

pytest.importorskip("peft")

from chiasm.cohort import (
    Classification,
    Cohort,
    Multilabel,
    Regression,
    Unsupported,
    cohort_from_frames,
    synthetic_cohort,
)
from chiasm.fitting.model import FittedModel
from chiasm.merging.lora_rounds import fold_lora
from chiasm.recipes.hospitals.federation import SCALING, Participant, Plan, finished, network_of, sites_of
from chiasm.recipes.hospitals.flora import Flora
from small_recipes import mixed, small

TINY = {"latents": 4, "latent_width": 8, "heads": 2, "depth": 1}
State = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    return mixed("survival", 84)


@pytest.fixture(scope="module")
def base(cohort: Cohort) -> FittedModel:
    fitted: FittedModel = small("healnet", **TINY).fit(at(cohort, "north"), seed=0)
    return fitted


def at(cohort: Cohort, site: str) -> Cohort:
    assert cohort.site is not None
    return cohort.subset(cohort.site == site)


def pair(base: FittedModel, cohort: Cohort, plan: Plan, ranks: tuple[int, int] = (3, 2)) -> list[Participant]:
    sites = ("north", "south")
    return [Participant(base, at(cohort, site), plan, rank, site) for site, rank in zip(sites, ranks, strict=True)]


def test_a_round_is_what_each_network_with_its_adapter_adds(base: FittedModel, cohort: Cohort) -> None:
    """The weights after FLoRA's round are the base's plus the weighted mean of what each hospital added alone."""
    plan = Plan(rounds=1, epochs=2, batch=16)
    members = pair(base, cohort, plan)
    adapters = [own.train(1) for own in members]
    counts = [own.patients for own in members]
    before = {key: torch.from_numpy(np.array(value)) for key, value in network_of(base).state.items()}
    wide = {key: value.double() for key, value in before.items()}
    alone = [fold_lora(wide, own, SCALING) for own in adapters]
    after = plan.weights_after(before, [plan.put_together(adapters, counts)])
    for key, value in before.items():
        gains = sum(count / sum(counts) * (own[key] - wide[key]) for own, count in zip(alone, counts, strict=True))
        torch.testing.assert_close(after[key].double(), wide[key] + gains, rtol=0, atol=1e-6)
        changed = not torch.equal(after[key], value)
        assert changed == (key.removesuffix(".weight") in members[0].sites)
    assert not any(site.startswith("head") for site in members[0].sites)


def test_nothing_but_the_sites_changes_and_the_calibration_stays(base: FittedModel, cohort: Cohort) -> None:
    fitted = small("flora", rounds=2, ranks="3/2", depth=1, latents=4).fit(cohort, seed=0)
    assert isinstance(fitted, FittedModel)
    plan = Plan(rounds=1, epochs=1)
    members = pair(base, cohort, plan)
    model = finished(base, plan, [plan.put_together([own.train(1) for own in members], [1, 1])])
    assert model.response == base.response or model.response is base.response
    assert network_of(model).encoders is network_of(base).encoders
    assert set(fitted.modalities) == {"m1", "m2", "m3"}


def test_training_again_gives_the_same_adapter_and_leaves_the_network(base: FittedModel, cohort: Cohort) -> None:
    """What a hospital that was killed and came back sends."""
    (own, _), (again, _) = (pair(base, cohort, Plan(epochs=2, batch=16)) for _ in range(2))
    before = {key: value.clone() for key, value in own.network.state_dict().items()}
    first, second = own.train(1), again.train(1)
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert all(torch.equal(value, own.network.state_dict()[key]) for key, value in before.items())
    assert any(not torch.equal(first[key], value) for key, value in own.train(2).items())
    update = own.plan.put_together([first, first], [1, 1])
    own.take(update, 1), again.take(update, 1)
    second = again.train(2)
    assert all(torch.equal(value, second[key]) for key, value in own.train(2).items())


@pytest.mark.parametrize("aggregation", ["fedavg", "zero-pad"])
def test_the_controls_start_alike_and_go_on_from_the_mean(base: FittedModel, cohort: Cohort, aggregation: str) -> None:
    plan = Plan(aggregation, rounds=2, rank=2, epochs=1, learning_rate=1e-12)
    members = pair(base, cohort, plan, (2, 2))
    first = [own.train(1) for own in members]
    name = next(key for key in first[0] if ".lora_A." in key)
    torch.testing.assert_close(first[0][name], first[1][name], rtol=0, atol=1e-6)  # they learned nothing: the start
    moved = [{key: value + 1 + k for key, value in own.items()} for k, own in enumerate(first)]
    update = plan.put_together(moved, [1, 3])
    for own in members:
        own.take(update, 1)
        torch.testing.assert_close(own.train(2)[name], first[0][name] + 1.75, rtol=0, atol=1e-5)


def test_flora_starts_anew_with_weights_of_its_own(base: FittedModel, cohort: Cohort) -> None:
    members = pair(base, cohort, Plan(rounds=2, epochs=1, learning_rate=1e-12), (2, 2))
    name = next(key for key in members[0].train(1) if ".lora_A." in key)
    drawn = [own.train(number)[name] for own in members for number in (1, 2)]
    assert all(not torch.allclose(drawn[k], drawn[j], atol=1e-3) for k in range(4) for j in range(k))


def test_an_interrupted_fit_goes_on(cohort: Cohort, tmp_path: Path) -> None:
    """The rounds are short and done again; the base's training is read back."""
    recipe = small("flora", rounds=1, ranks="2", depth=1, epochs=1)
    whole = recipe.fit(cohort, seed=3)
    recipe.fit(cohort, seed=3, checkpoint=tmp_path)
    assert list((tmp_path / "base").iterdir())
    again = recipe.fit(cohort, seed=3, checkpoint=tmp_path)
    for key, value in network_of(whole).state.items():
        assert np.array_equal(network_of(again).state[key], value)


def test_sites_become_hospitals(cohort: Cohort) -> None:
    names = np.array(["a"] * 30 + ["b"] * 20 + ["c"] * 15 + ["d"] * 9 + ["e"] * 6 + ["f"] * 4)
    many = replace(cohort, site=names)
    assert [len(own) for own in Flora().hospital_rows(many)] == [30, 20, 19, 15]
    assert [len(own) for own in Flora(hospitals=2).hospital_rows(many)] == [43, 41]
    assert sorted(np.concatenate(Flora(hospitals=3).hospital_rows(many)).tolist()) == list(range(84))
    one = replace(cohort, site=np.array(["a"] * 80 + ["b"] * 4))
    with pytest.raises(Unsupported, match="1 hospitals of 10 patients or more"):
        Flora().supports(one)
    with pytest.raises(Unsupported, match="no sites: name their column"):
        Flora().supports(replace(cohort, site=None))


@pytest.mark.parametrize("why", ["few", "other modality"])
def test_a_fold_that_leaves_one_hospital_does_not_end_a_trial(why: str) -> None:
    """The second hospital has under ten patients in a training set, or ten whom the base cannot read."""
    cohort = mixed("classification", 84)
    recipe, site = small("flora", rounds=1, **TINY), np.array(["a"] * 70 + ["b"] * 14)
    whole = replace(cohort, site=site)
    if why == "few":
        recipe.supports(whole)
        fold = whole.subset(np.flatnonzero((site == "a") | (np.arange(84) % 2 == 0)))
        with pytest.raises(Unsupported, match="1 hospitals of 10 patients or more"):
            recipe.supports(fold)
    else:
        two = synthetic_cohort("redundant", 84)
        frames = {name: two.raw(name).loc[two.ids[site == own]] for own, name in (("a", "m1"), ("b", "m2"))}
        patients = pd.DataFrame({"label": two.outcome.value.astype(int), "site": site}, index=two.ids)
        fold = cohort_from_frames(patients, frames, Classification("label"), site="site")
    model = recipe.fit(fold, seed=0)
    alone = recipe.base_recipe.fit(fold.subset(fold.site == "a"), seed=0)
    assert model.predictor.notes == {"hospitals": 1.0}
    assert model.predict(fold).equals(alone.predict(fold))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"base": "late-fusion"}, "base='late-fusion' is not known"),
        ({"hospitals": 1}, "hospitals is 0"),
        ({"ranks": "8,4"}, "ranks='8,4'"),
        ({"ranks": "0"}, "ranks='0'"),
        ({"aggregation": "mean"}, "aggregation='mean'"),
        ({"weights": "events"}, "weights='events'"),
        ({"rounds": 0}, "rounds is a whole number between"),
        ({"rounds": 1.5}, "rounds is a whole number between"),
        ({"learning_rate": -1.0}, "learning_rate is -1.0"),
        ({"modality_dropout": 1.0}, "modality_dropout is 1.0"),
        ({"weight_decay": float("nan")}, "weight_decay is nan"),
        ({"ranks": "64"}, "width 32 has no room"),
        ({"aggregation": "fedavg", "ranks": "8/4"}, "fedavg needs equal ranks"),
        ({"heads": 0}, "heads"),
        ({"base_epochs": -3}, "epochs is -3"),
    ],
)
def test_options_that_cannot_be(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Flora(**options)  # type: ignore[arg-type]


def test_who_comes_from_nowhere_is_in_no_hospital(cohort: Cohort) -> None:
    site = np.array(["", "s1", "s2"])[np.arange(len(cohort)) % 3]
    rows = Flora().hospital_rows(replace(cohort, site=site))
    assert [set(site[own]) for own in rows] == [{"s1"}, {"s2"}]
    with pytest.raises(Unsupported, match="1 hospitals of 10 patients or more"):
        Flora().supports(replace(cohort, site=np.where(site == "s2", "", site)))


@pytest.mark.parametrize("aggregation", ["fedavg", "zero-pad"])
def test_the_controls_start_from_the_same_factors(base: FittedModel, cohort: Cohort, aggregation: str) -> None:
    """What is averaged has one meaning: a lower rank begins with the first rows of a higher one."""
    ranks = (2, 2) if aggregation == "fedavg" else (3, 2)
    plan = Plan(aggregation=aggregation, rounds=1, rank=ranks[0], epochs=1, learning_rate=0.0)
    first, second = (own.train(1) for own in pair(base, cohort, plan, ranks))
    downs = [name for name in first if ".lora_A." in name]
    assert downs and all(torch.equal(first[name][: ranks[1]], second[name]) for name in downs)
    assert all(float(first[name].abs().max()) > 0 for name in downs)


def test_cohorts_that_do_not_fit_the_base(base: FittedModel, cohort: Cohort) -> None:
    with pytest.raises(Unsupported, match="kind 'survival', the cohort's is 'classification'"):
        Participant(base, mixed("classification", 84), Plan(), 2, "a")
    with pytest.raises(Unsupported, match="8 patients have a known outcome and something"):
        Participant(base, cohort.subset(np.arange(8)), Plan(), 2, "a")
    with pytest.raises(Unsupported, match=r"0 patients .* that the base reads \(m1, m2, m3\)"):
        renamed = replace(
            cohort, kinds={"z": cohort.kinds["m1"]}, sources={"z": cohort.sources["m1"]},
            source_rows={"z": cohort.source_rows["m1"]},
        )  # fmt: skip
        Participant(base, renamed, Plan(), 2, "a")
    with pytest.raises(ValueError, match="rank 99: the base has room for ranks from 1 to"):
        Participant(base, cohort, Plan(), 99, "a")
    with pytest.raises(ValueError, match="fedavg needs equal ranks, and this plan's is 4"):
        Participant(base, cohort, Plan("fedavg"), 2, "a")


def test_another_unit_and_other_classes() -> None:
    numbers = mixed("regression", 84)
    grams = numbers.with_target(Regression("value", "g"), numbers.outcome)
    fitted = small("healnet", **TINY).fit(grams, seed=0)
    with pytest.raises(Unsupported, match="predicts 'g' and the cohort's target is in 'kg'"):
        Participant(fitted, numbers.with_target(Regression("value", "kg"), numbers.outcome), Plan(), 2, "a")
    labels = mixed("multilabel", 84)
    fitted = small("healnet", **TINY).fit(labels, seed=0)
    with pytest.raises(Unsupported, match="labels that the base does not know"):
        Participant(fitted, labels.with_target(Multilabel(("label", "other")), labels.outcome), Plan(), 2, "a")


def test_a_hospital_that_lacks_a_class_counts_the_others_as_the_base_does() -> None:
    cohort = mixed("classification", 84)
    assert cohort.outcome is not None and cohort.target is not None
    three = replace(cohort.target, classes=("maybe", "no", "yes"))  # type: ignore[call-arg]
    codes = cohort.outcome.value + (np.arange(84) % 3 > 0)
    whole = cohort.with_target(three, replace(cohort.outcome, value=codes))
    base = small("healnet", **TINY).fit(whole, seed=0)
    rows = np.flatnonzero(codes > 0)
    two = replace(three, classes=("no", "yes"))  # type: ignore[call-arg]
    part = whole.subset(rows)
    assert part.outcome is not None
    part = part.with_target(two, replace(part.outcome, value=part.outcome.value - 1))
    member = Participant(base, part, Plan(), 2, "a")
    assert np.array_equal(member.data.target.value.numpy(), codes[rows].astype(np.float32))


def test_without_peft_it_says_what_to_install(cohort: Cohort, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(Unsupported, match="need peft: pip install"):
        Flora().supports(cohort)


def test_the_sites_are_all_linear_layers_of_the_fusion(base: FittedModel) -> None:
    found = {
        name: tuple(module.weight.shape)
        for name, module in network_of(base).network().named_modules()
        if isinstance(module, torch.nn.Linear) and not name.startswith("head")
    }
    assert sites_of(base) == found and found
