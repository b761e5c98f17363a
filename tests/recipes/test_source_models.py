"""Fitted models as sources of `transfer`: what they lend, what is refused, and that nothing else of them is needed."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import ndtri  # type: ignore[import-untyped]

import chiasm
from chiasm.api.sources import opened_source
from chiasm.cohort import Cohort, Outcome, synthetic_cohort
from chiasm.fitting import borrowed_choice
from chiasm.fitting.block_choice import choose_blocks
from chiasm.fitting.borrowed_choice import Offer, Setting, choose_borrowing
from chiasm.fitting.card import card_of
from chiasm.fitting.source_model import SourceModel, SourceScore
from chiasm.recipes.baselines.columns import columns
from chiasm.recipes.registry import make_recipe
from chiasm.testing.cohorts import restricted, synthetic_parts
from small_recipes import at_night, small

LINEAR = ["multi-ridge", "early-fusion", "late-fusion", "stacked-fusion", "ipf-lasso", "priority-lasso"]


def wide(n: int, seed: int, mark: str, kind: str = "regression", width: int = 40) -> Cohort:
    """Two modalities of columns, of which each tells a little of the outcome, the same in every cohort."""
    rng = np.random.default_rng(seed)
    coef = np.random.default_rng(0).normal(size=width) / np.sqrt(width)
    x = pd.DataFrame(rng.normal(size=(n, width)), [f"{mark}{k}" for k in range(n)], [f"g{k}" for k in range(width)])
    link = 1.5 * x.to_numpy() @ coef
    patients = pd.DataFrame({"y": link + rng.normal(size=n), "c": np.where(link + rng.logistic(size=n) > 0, "b", "a")})
    target = chiasm.Regression("y") if kind == "regression" else chiasm.Classification("c")
    values = {"a": x.iloc[:, : width // 2], "b": x.iloc[:, width // 2 :]}
    return chiasm.cohort_from_frames(patients.set_index(x.index), values, target=target, name=mark)


def model_of(cohort: Cohort, recipe: Any = "multi-ridge") -> Any:
    return (make_recipe(recipe) if isinstance(recipe, str) else recipe).fit(cohort, seed=0)


def borrowing(cohort: Cohort, *sources: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", chiasm.FindingWarning)
        return chiasm.fit(cohort, "transfer", sources=sources)


def told(model: Any, new: Cohort) -> float:
    assert new.outcome is not None
    frame = model.predict(new.with_target(None, None))
    return float(np.corrcoef(frame.loc[list(new.ids), "prediction"], new.outcome.value)[0, 1] ** 2)


@pytest.mark.parametrize(
    "recipe", [*LINEAR[:3], "early-fusion:presence=true", *at_night(*LINEAR[3:], "single:a,models=linear")]
)
@pytest.mark.parametrize("kind", ["regression", pytest.param("classification", marks=pytest.mark.nightly)])
def test_coefficients_by_column_make_up_the_link(recipe: str, kind: str) -> None:
    cohort = wide(60 if kind == "regression" else 250, 1, "lent-", kind, width=8)
    if recipe == "early-fusion:presence=true":
        cohort = cohort.without("a", np.arange(8))
    model = model_of(cohort, recipe)
    predictor = model.predictor
    own, link = predictor.coefficients(), predictor.link(cohort)
    if own is None:
        assert recipe in ("late-fusion", "stacked-fusion") and any(m.bent for m in predictor.models.values())
        return
    made = np.zeros_like(link)
    for name, (names, coef) in own.items():
        features = features_in(predictor, name)
        assert names == features.feature_names == tuple(sorted(names))
        made += np.asarray(columns(cohort, {name: features}, {name: np.zeros(len(names))})) @ coef
    whole = cohort.present[:, [cohort.modalities.index(name) for name in own]].all(1)
    rest = (link - made)[whole]
    np.testing.assert_allclose(rest, np.broadcast_to(rest.mean(0), rest.shape), atol=1e-8)
    assert np.abs(made).max() > 0.01


def features_in(predictor: Any, name: str) -> Any:
    if hasattr(predictor, "models"):
        return predictor.models[name].features
    return predictor.features[name] if isinstance(predictor.features, dict) else predictor.features


@pytest.mark.parametrize("recipe", ["multi-ridge", *at_night("boosted-trees")])
def test_nothing_borrowed_is_its_base_to_the_bit(recipe: str, monkeypatch: pytest.MonkeyPatch) -> None:
    own, new = wide(50, 1, "own-", width=8), wide(40, 5, "new-", width=8).with_target(None, None)
    source = model_of(wide(60, 2, "lent-", width=8), recipe)
    monkeypatch.setattr(borrowed_choice, "BORROWED", np.inf)
    made = borrowing(own, source)
    assert made.predictor.gain != 0 and not made.predictor.models and not made.predictor.scores
    pd.testing.assert_frame_equal(made.predict(new), model_of(own).predict(new), check_exact=True)


@pytest.fixture(scope="module")
def boosted() -> Any:
    """Trees, which lend a score and no coefficients."""
    return model_of(wide(300, 40, "lent-"), "boosted-trees")


@pytest.mark.parametrize("recipe", ["boosted-trees", pytest.param("early-fusion", marks=pytest.mark.nightly)])
def test_a_model_of_the_same_coefficients_helps_at_sixty_patients(recipe: str, boosted: Any) -> None:
    own, new = wide(50, 20, "own-"), wide(500, 9, "new-")
    source = boosted if recipe == "boosted-trees" else model_of(wide(300, 40, "lent-"), recipe)
    made = borrowing(own, source)
    assert bool(made.predictor.scores) == (recipe == "boosted-trees") != bool(made.predictor.models)
    alone, helped = told(model_of(own), new), told(made, new)
    assert helped > alone + 0.05, (alone, helped)


@pytest.mark.nightly
def test_a_model_that_says_nothing_or_the_reverse_is_not_borrowed_from() -> None:
    own, lent = wide(60, 1, "own-", width=20), wide(150, 2, "lent-", width=20)
    assert lent.outcome is not None
    shuffled = lent.outcome.take(np.random.default_rng(0).permutation(len(lent)))
    for value, least in ((shuffled.value, -np.inf), (-lent.outcome.value, borrowed_choice.BORROWED)):
        found = borrowing(own, model_of(lent.with_target(lent.target, replace(lent.outcome, value=value)))).predictor
        assert not found.models and found.gain > least


@pytest.mark.nightly
def test_of_several_sources_those_are_taken_that_gain_in_any_order() -> None:
    rng = np.random.default_rng(0)
    first, second, noise = (rng.normal(size=(80, 1)) for _ in range(3))
    value, folds = first[:, 0] + second[:, 0] + rng.normal(size=80), np.arange(80) % 4
    outcome = Outcome(value, None, np.ones(80, bool))
    values, held = [rng.normal(size=(80, 5))], [None]
    base = choose_blocks("regression", values, outcome, folds, None, held)
    setting = Setting("regression", values, outcome, folds, None, held, base)
    offers = [Offer(first), Offer(noise), Offer(second)]
    one, other = choose_borrowing(setting, offers), choose_borrowing(setting, offers[::-1])
    assert [tau is not None for tau in one.taus] == [True, False, True]
    for tau, same in zip(one.taus, other.taus[::-1], strict=True):
        np.testing.assert_array_equal(np.zeros(0) if tau is None else tau, np.zeros(0) if same is None else same)


def test_the_model_holds_a_score_whole_and_needs_no_folder(tmp_path: Path, boosted: Any) -> None:
    own, new = wide(60, 20, "own-"), wide(40, 5, "new-")
    boosted.save(tmp_path / "other" / "model")
    made = borrowing(own, tmp_path / "other" / "model")
    made.save(tmp_path / "made")
    shutil.rmtree(tmp_path / "other")
    loaded: Any = chiasm.load_model(tmp_path / "made")
    pd.testing.assert_frame_equal(made.predict(new), loaded.predict(new), check_exact=True)
    assert loaded.predictor.scores and "1 source model, whole" in card_of(loaded)
    assert isinstance(opened_source(tmp_path / "made"), SourceModel)  # what borrowed may lend
    assert SourceModel("made", loaded).learned_from(own)
    assert SourceModel("made", loaded).learned_from(wide(300, 40, "lent-")), "and tells of whom the score has learned"
    assert not SourceModel("made", loaded).learned_from(new)


def test_a_score_reads_what_is_shared_and_who_lacks_it_gets_nothing() -> None:
    """No other column, no absent modality and no pattern of modalities moves it."""
    lent, own = wide(60, 2, "lent-", width=10), wide(60, 1, "own-", width=10).without("a", np.arange(20))
    source = SourceModel("lent", model_of(lent, small("healnet", epochs=1)))
    frames = {"a": pd.DataFrame(own.raw("a")), "b": pd.DataFrame(own.raw("b")).drop(columns="g5")}
    assert own.outcome is not None
    patients = pd.DataFrame({"y": own.outcome.value}, own.ids)
    part = chiasm.cohort_from_frames(patients, frames, target=own.target)
    shared = source.shared(part)
    assert len(shared["a"]) == 5 and len(shared["b"]) == 4
    score = SourceScore.fit(source, part, shared, ())
    for names in (["a"], ["b"], ["a", "b"]):
        level = score.columns(part.with_modalities(names))
        here = part.with_modalities(names).present.all(1)
        assert abs(level[here].mean()) < 1e-6
    assert not score.columns(part.with_modalities(["a"]))[~part.present[:, 0]].any()
    pd.testing.assert_frame_equal(pd.DataFrame(score.columns(part)), pd.DataFrame(score.columns(own)), check_exact=True)
    assert np.ptp(score.columns(own)) > 0
    one = part.with_modalities(["a"])
    lone = SourceScore.fit(source, one, source.shared(one), ())
    assert lone.known(one).tolist() == one.present[:, 0].tolist()
    assert np.sqrt((lone.columns(one)[one.present[:, 0]] ** 2).mean()) == pytest.approx(1.0)


def test_every_pattern_is_predicted_alone_and_among_others() -> None:
    parts, other = synthetic_parts("classification", 112, 0), synthetic_parts("classification", 112, 1)
    lent = replace(other.cohort(), ids=np.array([f"source-{name}" for name in other.cohort().ids]))
    cohort = parts.cohort()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(borrowed_choice, "BORROWED", -np.inf)
        patch.setattr(borrowed_choice, "_alike", lambda *given, **options: True)
        model = borrowing(cohort, model_of(lent, small("healnet")))
    assert model.predictor.scores
    for names in (("m1",), ("m2",), ("m3",), ("m1", "m3"), ("m1", "m2", "m3")):
        some = restricted(cohort, names).with_target(None, None)
        together = model.predict(some)
        one = model.predict(some.subset([0]))
        np.testing.assert_allclose(together.loc[one.index, "p_" + model.response.classes[0]], one.iloc[:, 1], rtol=1e-5)


def survival(unit: str) -> Cohort:
    cohort = synthetic_cohort("complementary", 80, target="survival", seed=2)
    assert cohort.target is not None
    return replace(cohort, ids=np.array([f"x{own}" for own in cohort.ids]), target=replace(cohort.target, unit=unit))


REFUSED: dict[str, tuple[Callable[[], tuple[Cohort, Cohort]], str]] = {
    "kind": (
        lambda: (wide(60, 1, "own-"), wide(60, 2, "x-", "classification")),
        "the target of the source model 'multi-ridge' is of kind 'classification'",
    ),
    "unit": (
        lambda: (synthetic_cohort("complementary", 80, target="survival", seed=1), survival("furlongs")),
        "is in 'furlongs' and that of",
    ),
    "modality": (
        lambda: (wide(60, 1, "own-").with_modalities(["a"]), wide(60, 2, "x-").with_modalities(["b"])),
        "has none of the modalities 'a'",
    ),
    "itself": (lambda: (wide(60, 1, "own-"), wide(60, 1, "own-")), "learned from patients of 'own-'"),
}


@pytest.mark.parametrize("wrong", REFUSED)
def test_what_cannot_be_borrowed_from_is_refused_before_any_fit(wrong: str, tmp_path: Path) -> None:
    made, said = REFUSED[wrong]
    own, lent = made()
    recipe = "multi-ridge" if len(lent.modalities) > 1 else "multi-ridge:modality=b"
    source = model_of(lent, recipe if ":" not in recipe else "single:b,models=linear")
    with pytest.raises((chiasm.Unsupported, chiasm.LeakageError), match=said) as refused:
        chiasm.evaluate(own, ["late-fusion"], sources=[source], out=tmp_path / "run", jobs=1)
    assert "\n" not in str(refused.value) and not (tmp_path / "run").exists()


def test_a_damaged_folder_and_one_that_is_no_model_are_named(tmp_path: Path) -> None:
    model_of(wide(60, 2, "x-")).save(tmp_path / "model")
    with (tmp_path / "model" / "weights.safetensors").open("ab") as file:
        file.write(b"more")
    with pytest.raises(chiasm.CohortError, match=r"source model: 'model/weights.safetensors' is truncated or is"):
        opened_source(tmp_path / "model")
    (tmp_path / "model" / "model.json").write_text("{")
    with pytest.raises(chiasm.CohortError, match=r"source model: 'model/model.json' is not JSON"):
        opened_source(tmp_path / "model")


def test_an_equal_model_is_one_source_and_part_of_the_fingerprint(tmp_path: Path) -> None:
    own, model = wide(60, 1, "own-"), model_of(wide(80, 2, "x-"))
    model.save(tmp_path / "model")
    one, other = SourceModel("one", model), opened_source(tmp_path / "model")
    assert isinstance(other, SourceModel) and one.identity == other.identity
    assert own.with_lent_models([one]).fingerprint == own.with_lent_models([other]).fingerprint != own.fingerprint
    assert own.with_lent_models([one]).subset([0, 1]).lent_models == (one,)


@pytest.mark.parametrize("lender", ["model", *at_night("cohort")])
def test_whose_coefficients_were_borrowed_is_not_forgotten(lender: str, tmp_path: Path) -> None:
    theirs, ours = wide(200, 7, "s"), wide(60, 1, "t")
    if lender == "model":
        model_of(theirs).save(tmp_path / "theirs")
    made = borrowing(ours, theirs if lender == "cohort" else tmp_path / "theirs")
    assert made.predictor.tau.size or made.predictor.models
    made.save(tmp_path / "made")
    source = SourceModel("made", chiasm.load_model(tmp_path / "made"))  # type: ignore[arg-type]
    assert source.learned_from(theirs) and source.learned_from(ours)
    assert not source.learned_from(wide(200, 8, "u"))
    with pytest.raises(chiasm.LeakageError, match="learned from patients"):
        borrowing(theirs, tmp_path / "made")
    with pytest.raises(chiasm.LeakageError, match="learned from these very patients"):
        chiasm.validate(tmp_path / "made", theirs)


def test_a_model_is_not_validated_on_the_patients_that_it_learned_from(tmp_path: Path) -> None:
    ours = wide(60, 1, "t")
    made = model_of(ours)
    with pytest.raises(chiasm.LeakageError, match="learned from these very patients"):
        chiasm.validate(made, ours, out=tmp_path / "validation")
    assert not (tmp_path / "validation").exists()
    assert chiasm.validate(made, wide(60, 2, "u"), draws=100).table().notna().any(axis=None)


def test_ranks_alone_tell_no_cohort() -> None:
    """Columns that are the quantiles of a normal distribution are alike in any two cohorts of one size."""

    def ranked(cohort: Cohort) -> Cohort:
        frames = {name: cohort.raw(name) for name in cohort.modalities}
        values = {
            name: pd.DataFrame(ndtri(own.rank() / (len(own) + 1)), own.index, own.columns)
            for name, own in frames.items()
        }
        patients = pd.DataFrame({"y": cohort.outcome.value}, cohort.ids)  # type: ignore[union-attr]
        return chiasm.cohort_from_frames(patients, values, target=chiasm.Regression("y"), name=cohort.name)

    ours, theirs = ranked(wide(60, 1, "t")), ranked(wide(60, 2, "u"))
    assert chiasm.validate(model_of(ours), theirs, draws=100).table().notna().any(axis=None)
