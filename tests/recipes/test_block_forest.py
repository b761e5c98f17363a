"""`block-forest`: what trees find, wide blocks of noise, patients who lack a block, and patients left out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from chiasm.cohort import Outcome, Unsupported, synthetic_cohort
from chiasm.fitting.base import trainable
from chiasm.fitting.forest_choice import choose_forest
from chiasm.linear.losses import LOSSES
from chiasm.linear.tree_walk import single_precision
from chiasm.metrics.classification import auroc
from chiasm.recipes.registry import make_recipe
from small_recipes import at_night, mixed
from two_classes import area, framed


def test_a_product_within_a_modality_is_found_that_no_ridge_finds() -> None:
    rng = np.random.default_rng(0)
    values = {name: rng.normal(size=(400, 3)) for name in "ab"}
    cohort = framed(values, values["a"][:, 0] * values["a"][:, 1] > 0)
    assert area("block-forest:trees=60", cohort) > 0.85
    assert area("multi-ridge", cohort) < 0.65


def test_two_thousand_columns_of_noise_do_not_drown_three_that_tell() -> None:
    """Beside one forest on all columns, by the patients whom the trees left out."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(160, 2003)).astype(np.float32)
    outcome = Outcome(
        (rng.random(160) < 1 / (1 + np.exp(-2.0 * x[:, :3].sum(1)))).astype(float), None, np.ones(160, bool)
    )
    told = {}
    for widths in ([3, 2000], [2003]):
        present = np.ones((160, len(widths)), bool)
        found = choose_forest("classification", x, widths, present, outcome, 2, np.arange(160), 100, 0)
        told[len(widths)] = float(np.squeeze(auroc(found.links, outcome.value)))
        assert len(widths) == 1 or found.odds[0] > 2 * found.odds[1]
    assert told[2] > 0.85 and told[2] > told[1] + 0.1


@pytest.mark.parametrize("kind", ["survival", *at_night("classification", "multilabel", "regression")])
def test_a_patient_who_lacks_a_block_gets_the_votes_of_the_trees_without_it(kind: str) -> None:
    cohort = mixed(kind)
    predictor = make_recipe("block-forest:trees=60").fit(cohort, seed=0).predictor
    lacking = cohort.with_modalities(["m1", "m3"]).with_target(None, None)
    given = lacking.subset(lacking.present.all(1))
    m = list(predictor.widths).index("m2")
    kept = ~predictor.reads[:, m]
    whole = predictor.forest
    sizes = np.diff(np.append(whole.start, len(whole.feature)))
    nodes, shift = np.repeat(kept, sizes), np.repeat(np.cumsum(np.where(kept, 0, sizes)), sizes)
    moved = {
        name: np.where(getattr(whole, name) < 0, -1, getattr(whole, name) - shift)[nodes] for name in ("left", "right")
    }
    same = {name: getattr(whole, name)[nodes] for name in ("feature", "threshold", "value")}
    start = np.cumsum([0, *sizes[kept]])[:-1]
    forest = replace(whole, start=start, output=whole.output[kept], **moved, **same)
    restricted = replace(predictor, forest=forest, reads=predictor.reads[kept])
    np.testing.assert_array_equal(predictor.link(given), restricted.link(given))
    # and each tree of m1 and m3 alone, or both, votes: by hand
    x = np.zeros((len(given), whole.columns), np.float32)
    first = 0
    for name, width in predictor.widths.items():
        if name != "m2":
            x[:, first : first + width] = single_precision(predictor.features[name].features(given.raw(name)))
        first += width
    sums, numbers = forest.polled(x, np.ones((len(given), kept.sum()), bool))
    assert 0 < kept.sum() < len(kept)
    loss = LOSSES[kind]
    level = loss.link_of(predictor.prior[None])
    said = loss.link_of((sums + predictor.prior) / (numbers + 1))
    np.testing.assert_allclose(predictor.link(given), level + predictor.slope * (said - level), rtol=1e-9, atol=1e-12)


def test_links_are_of_trees_that_left_the_patient_out() -> None:
    """With noise alone, they go with the outcome by chance; those of all trees would go with it always."""
    rng = np.random.default_rng(3)
    cohort = framed({name: rng.normal(size=(120, 30)) for name in "ab"}, rng.random(120) < 0.5)
    found = make_recipe("block-forest:trees=100").cross_fitted(trainable(cohort, 0, None, "cpu"))
    y = cohort.outcome.value  # type: ignore[union-attr]
    told = [np.corrcoef(own[:, 1] - own[:, 0], y)[0, 1] for own in (found.links, found.predictor.link(cohort))]
    assert abs(told[0]) < 0.25 and told[1] > 0.9


def test_records_of_one_person_are_left_out_together() -> None:
    """Each person has three like records: who is told by his other records is told too well."""
    rng = np.random.default_rng(4)
    person = np.repeat(np.arange(40), 3)
    values = {name: rng.normal(size=(40, 5))[person] + 0.01 * rng.normal(size=(120, 5)) for name in "ab"}
    y = (rng.random(40) < 0.5)[person]
    told = {}
    for name, persons in (("together", person), ("apart", None)):
        training = trainable(framed(values, y, persons), 0, None, "cpu")
        links = make_recipe("block-forest:trees=60").cross_fitted(training).links
        told[name] = float(np.squeeze(auroc(links, y.astype(float))))
    assert told["apart"] > 0.95 and told["together"] < 0.75


def test_another_unit_of_the_target_gives_the_same_trees() -> None:
    cohort = mixed("regression")
    outcome = cohort.outcome
    assert outcome is not None
    forests = [
        make_recipe("block-forest:trees=40").fit(cohort.with_target(cohort.target, replace(outcome, value=own)), seed=0)
        for own in (outcome.value, outcome.value * 0.37 + 11.0)
    ]
    one, other = (own.predictor.forest for own in forests)
    np.testing.assert_array_equal(one.feature, other.feature)
    np.testing.assert_array_equal(one.threshold, other.threshold)
    np.testing.assert_allclose(one.value[one.feature < 0] * 0.37 + 11.0, other.value[other.feature < 0], rtol=1e-9)


@pytest.mark.parametrize("kind", ["survival", *at_night("classification")])
def test_a_form_reads_its_modality_and_says_the_prior_of_who_lacks_it(kind: str) -> None:
    cohort, recipe = mixed(kind), make_recipe("block-forest:trees=40,modality=m2")
    assert recipe.settings == 1 and not recipe.reads_presence
    assert make_recipe("block-forest").alone(cohort) == tuple(f"block-forest:modality=m{k}" for k in (1, 2, 3))
    model = recipe.fit(cohort, seed=0)
    frame = model.predict(cohort.with_target(None, None))
    lacks = ~cohort.present[:, 1][cohort.order]
    said = frame.drop(columns="pattern").to_numpy()[lacks]
    assert model.has_prior and list(model.modalities) == ["m2"] and lacks.any() and (said == said[0]).all()
    if kind == "classification":
        frequency = np.bincount(cohort.outcome.value.astype(int)) + 0.5  # type: ignore[union-attr]
        np.testing.assert_allclose(said[0], frequency / frequency.sum(), rtol=1e-9)


def test_those_who_have_a_modality_may_all_be_of_one_class() -> None:
    cohort = mixed("classification")
    lacks = np.setdiff1d(np.arange(len(cohort)), cohort.rows_of("m2"))
    few = cohort.subset(np.union1d(lacks, np.flatnonzero(cohort.outcome.value == 1)))  # type: ignore[union-attr]
    for spec in ("block-forest:trees=20", "block-forest:trees=20,modality=m2"):
        frame = make_recipe(spec).fit(few, seed=0).predict(cohort)
        assert np.isfinite(frame["p_yes"]).all() and frame["p_yes"].between(0.01, 0.99).all()


def test_a_modality_that_says_nothing_is_read_less() -> None:
    cohort = synthetic_cohort("noise-modality", 200, target="survival", seed=0)
    odds = make_recipe("block-forest:trees=60").fit(cohort, seed=0).predictor.odds
    assert odds["m1"] > 2 * odds["m2"]


def test_more_blocks_than_all_sets_of_are_tried() -> None:
    rng = np.random.default_rng(0)
    values = {f"b{k}": rng.normal(size=(60, 2)) for k in range(7)}
    predictor = make_recipe("block-forest:trees=40").fit(framed(values, values["b0"][:, 0] > 0), seed=0).predictor
    alone = predictor.reads[predictor.reads.sum(1) == 1]
    assert alone.any(0).all() and (predictor.reads.sum(1) > 1).any()


def test_what_no_memory_holds_is_refused_before_it_is_spread_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chiasm.recipes.baselines.block_forest.MOST_CELLS", 1_000)
    monkeypatch.setattr("chiasm.recipes.baselines.block_forest.side_by_side", None)
    with pytest.raises(Unsupported, match="are too many for block-forest"):
        make_recipe("block-forest").fit(synthetic_cohort("noise-modality", 60), seed=0)
    with pytest.raises(ValueError, match="trees=3 must lie between"):
        make_recipe("block-forest:trees=3")


def test_a_modality_of_ten_patients_may_have_samples_that_leave_nobody_out() -> None:
    rng = np.random.default_rng(0)
    x = single_precision(rng.normal(size=(40, 6)))
    present = np.column_stack([np.ones(40, bool), np.arange(40) < 10])
    outcome = Outcome(np.asarray(x[:, 0], float), None, np.ones(40, bool))
    found = choose_forest("regression", x, [3, 3], present, outcome, None, np.arange(40), 200, 0)
    assert np.isfinite(found.links).all()


def test_who_has_a_modality_is_not_taken_for_what_it_says() -> None:
    """Of 30 % cases, nine in ten of those who have b are one."""
    rng = np.random.default_rng(0)
    case = rng.random(1200) < 0.3
    has = rng.random(1200) < np.where(case, 0.75, 0.036)
    noise, outcome = rng.normal(size=(1200, 4)), Outcome(case.astype(float), None, np.ones(1200, bool))
    found = {
        effect: choose_forest(
            "classification",
            single_precision(noise + effect * case[:, None]),
            [4],
            has[:, None],
            outcome,
            2,
            np.arange(1200),
            200,
            0,
        )
        for effect in (0.0, 1.0)
    }
    assert float(np.squeeze(auroc(found[1.0].links[has], outcome.value[has]))) > 0.8
    assert 0.3 < found[1.0].slope < 6
    chance = 1 / (1 + np.exp(found[0.0].links[has, 0] - found[0.0].links[has, 1]))
    assert abs(chance.mean() - 0.3) < 0.05
