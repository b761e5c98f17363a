"""`transfer`: nothing borrowed is its base to the bit, noise is not borrowed from, and what is alike helps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.cohort import Cohort, Unsupported, synthetic_cohort
from chiasm.fitting import borrowed_choice
from chiasm.fitting.card import card_of
from chiasm.fitting.sides import settings_of
from chiasm.fitting.source_model import SourceModel
from chiasm.recipes.registry import make_recipe
from chiasm.testing import check_recipe
from examples import examples
from small_recipes import at_night


def others(cohort: Cohort, mark: str = "other-") -> Cohort:
    """The same values as people of another cohort."""
    return replace(cohort, ids=np.array([f"{mark}{own}" for own in cohort.ids]), name=mark)


def source(kind: str, n: int = 300, seed: int = 2) -> Cohort:
    return others(synthetic_cohort("complementary", n, target=kind, seed=seed))


def fitted(cohort: Cohort, *lenders: Cohort, recipe: str = "transfer") -> Any:
    return make_recipe(recipe).fit(cohort.with_lenders(lenders) if lenders else cohort, seed=0)


@pytest.mark.nightly
def test_laws_hold() -> None:
    check_recipe(make_recipe("transfer"), kinds=("classification",), n=56)


@pytest.mark.parametrize("kind", ["regression", *at_night("classification", "survival", "multilabel")])
def test_nothing_borrowed_is_its_base_to_the_bit(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(borrowed_choice, "BORROWED", np.inf)
    own, asked = synthetic_cohort("complementary", 60, target=kind, seed=1), synthetic_cohort("unique", 30, seed=3)
    asked = asked.with_target(None, None)
    borrowing = fitted(own, source(kind, 120))
    assert borrowing.predictor.tau.size == 0 and borrowing.predictor.gain != 0
    pd.testing.assert_frame_equal(
        borrowing.predict(asked), fitted(own, recipe="multi-ridge").predict(asked), check_exact=True
    )


def wide(n: int, seed: int, mark: str) -> Cohort:
    """80 columns, of which each tells a little of the outcome, the same in every cohort."""
    rng = np.random.default_rng(seed)
    coef = np.random.default_rng(0).normal(size=80) / np.sqrt(80)
    x = pd.DataFrame(rng.normal(size=(n, 80)), [f"{mark}{k}" for k in range(n)], [f"g{k}" for k in range(80)])
    patients = pd.DataFrame({"y": 1.5 * x.to_numpy() @ coef + rng.normal(size=n)}, x.index)
    values = {"a": x.iloc[:, :40], "b": x.iloc[:, 40:]}
    return chiasm.cohort_from_frames(patients, values, target=chiasm.Regression("y"))


def test_one_with_the_same_coefficients_helps_at_sixty_patients() -> None:
    new = wide(1000, 9, "new-")
    assert new.outcome is not None
    scores = []
    for seed in range(examples(4)):
        own = wide(60, 20 + seed, "own-")
        models = fitted(own, recipe="multi-ridge"), fitted(own, wide(400, 40 + seed, "lent-"))
        told = [model.predict(new.with_target(None, None)).loc[list(new.ids), "prediction"] for model in models]
        scores.append([np.corrcoef(own, new.outcome.value)[0, 1] ** 2 for own in told])
    alone, borrowing = np.mean(scores, axis=0)
    assert alone < 0.3 and borrowing > 0.4, (alone, borrowing)


@pytest.fixture(scope="module")
def lent() -> tuple[Cohort, Cohort, Any]:
    """A cohort, one that helps it, and what was fitted of both."""
    own, told = wide(80, 1, "own-"), wide(300, 2, "lent-")
    return own, told, fitted(own, told)


def test_a_source_that_says_the_reverse_is_not_borrowed_from(lent: tuple[Cohort, Cohort, Any]) -> None:
    own, told, helped = lent
    assert told.outcome is not None and helped.predictor.tau.size
    reverse = told.with_target(told.target, replace(told.outcome, value=-told.outcome.value))
    found = fitted(own, reverse).predictor
    assert found.gain > borrowed_choice.BORROWED and found.tau.size == 0


def frames(cohort: Cohort) -> dict[str, pd.DataFrame]:
    return {name: pd.DataFrame(cohort.raw(name)) for name in cohort.modalities}


def rebuilt(cohort: Cohort, values: dict[str, pd.DataFrame]) -> Cohort:
    assert cohort.outcome is not None and cohort.target is not None
    patients = pd.DataFrame({"y": cohort.outcome.value}, cohort.ids)
    return chiasm.cohort_from_frames(patients, values, target=cohort.target)


def test_units_and_the_order_of_columns_and_rows_of_the_source_change_nothing(
    lent: tuple[Cohort, Cohort, Any],
) -> None:
    own, told, one = lent
    values = {name: (1000 * frame + 3).iloc[::-1, ::-1] for name, frame in frames(told).items()}
    other = fitted(own, rebuilt(told, values))
    assert one.predictor.tau.size
    np.testing.assert_allclose(one.predictor.ridge.linear.coef, other.predictor.ridge.linear.coef, rtol=1e-6, atol=1e-6)


def test_classes_in_another_order_and_columns_that_one_lacks_are_matched_by_name() -> None:
    """Columns that neither shares, and a source that holds half of them, leave what is shared where it belongs."""
    rng = np.random.default_rng(0)

    def drawn(n: int, mark: str, names: list[str]) -> Cohort:
        x = pd.DataFrame(rng.normal(size=(n, 6)), [f"{mark}{k}" for k in range(n)], list("abcdef"))
        other = pd.DataFrame(rng.normal(size=(n, 3)), x.index, list("uvw"))
        y = np.where(2 * x["a"] - 2 * x["f"] + rng.logistic(size=n) > 0, "yes", "no")
        values = {"m": x[names], "o": other}
        return chiasm.cohort_from_frames(pd.DataFrame({"y": y}, x.index), values, target=chiasm.Classification("y"))

    own = drawn(50, "a", list("abcdef"))
    found = fitted(own, drawn(300, "b", list("afb")), drawn(300, "c", list("fedcba"))).predictor
    coef = found.ridge.linear.coef[:, 1]
    assert found.tau.size and list(found.ridge.means) == ["m", "o"]
    assert coef[0] > 2 * np.abs(coef[1:5]).max() and coef[5] < -2 * np.abs(coef[1:5]).max()


def test_a_stored_model_needs_no_source(tmp_path: Path) -> None:
    own, new = synthetic_cohort("complementary", 60, seed=1), synthetic_cohort("complementary", 40, seed=5)
    model = chiasm.fit(own, "transfer", sources=[source("classification")])
    model.save(tmp_path / "model")
    loaded: Any = chiasm.load_model(tmp_path / "model")
    pd.testing.assert_frame_equal(model.predict(new), loaded.predict(new), check_exact=True)
    assert "300 patients of source cohorts" in card_of(loaded)
    assert chiasm.validate(tmp_path / "model", new, draws=100).external.patients == 40


def test_without_a_source_it_says_how_to_name_one() -> None:
    own = synthetic_cohort("complementary", 60, seed=1)
    with pytest.raises(Unsupported, match=r"none is named: write sources = .* or name one by --source"):
        make_recipe("transfer").supports(own)


def noise(seed: int, n: int) -> Cohort:
    """A source of 16 + 16 columns that say nothing of its outcome."""
    drawn = source("survival", n, seed)
    assert drawn.outcome is not None
    return drawn.with_target(drawn.target, drawn.outcome.take(np.random.default_rng(seed).permutation(n)))


def test_a_source_that_tells_of_other_columns_is_not_borrowed_from_for_what_it_gains_by_chance() -> None:
    own, told = wide(80, 24, "own-"), wide(150, 44, "lent-")
    turned = {name: frame.set_axis(frame.columns[::-1], axis=1) for name, frame in frames(told).items()}
    found = fitted(own, rebuilt(told, turned)).predictor
    assert 0 < found.gain < borrowed_choice.BORROWED and found.tau.size == 0


@pytest.mark.parametrize("cohorts", [1, pytest.param(200, marks=pytest.mark.nightly)])
def test_noise_is_not_borrowed_from(cohorts: int) -> None:
    """Of 200 cohorts one in twenty at the most borrows from a source that says nothing, and the first one does not.

    Most of these sources find nothing in themselves, and so offer nothing; one that does is looked at above.
    """
    borrowed = 0
    for seed in range(cohorts):
        own = synthetic_cohort("complementary", 80, target="survival", seed=1000 + seed)
        borrowed += fitted(own, noise(seed, 150)).predictor.tau.size > 0
    assert borrowed <= cohorts // 20, borrowed


def test_a_form_answers_where_a_class_is_too_rare_among_those_who_have_its_modality() -> None:
    rng = np.random.default_rng(0)
    ids = [f"case-{k:03d}" for k in range(60)]
    y = np.array(["x", "y"] * 24 + ["z"] * 12)
    b = pd.DataFrame(rng.normal(size=(60, 3)), ids, list("pqr")).iloc[[*range(30), 50]]
    values = {"a": pd.DataFrame(rng.normal(size=(60, 3)), ids, list("klm")), "b": b}
    cohort = chiasm.cohort_from_frames(pd.DataFrame({"y": y}, ids), values, target=chiasm.Classification("y"))
    frame = make_recipe("transfer:modality=b").fit(cohort, seed=0).predict(cohort)
    assert np.isfinite(frame[["p_x", "p_y", "p_z"]].to_numpy()).all()


def test_every_source_adds_settings_that_are_tried() -> None:
    recipe, cohort = make_recipe("transfer"), synthetic_cohort("complementary", 40, seed=1)
    lender, model = source("classification", 40), make_recipe("multi-ridge").fit(source("classification", 40), seed=0)
    models = [SourceModel(name, model) for name in ("one", "two")]
    one, two = cohort.with_lenders([lender]), cohort.with_lenders([lender]).with_lent_models(models[:1])
    three = cohort.with_lenders([lender]).with_lent_models(models)
    base = recipe.settings // 2
    counts = [settings_of(recipe, own) for own in (cohort, one, two, three)]
    assert counts == [base, 2 * base, (1 + 2 + 1) * base, (1 + 3 + 2 + 1) * base] and settings_of(recipe) == 2 * base
