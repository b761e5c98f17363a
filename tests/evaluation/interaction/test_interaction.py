"""How modalities share what they tell: known answers of made cohorts, the estimator's bias, and who is left unread."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.evaluation.folded import folded
from chiasm.evaluation.interaction.estimated import TOLD, Labelled, decomposed, parts_of, summing
from chiasm.evaluation.interaction.interaction import others_drawn
from chiasm.evaluation.interaction.modality_states import FoldStates, Wanted, named_alike, states_of_fold
from chiasm.evaluation.interaction.outcome_states import outcome_states
from chiasm.evaluation.interaction.words import beside_verdict, hidden_from_single, says
from chiasm.evaluation.intervals import bootstrap_weights
from chiasm.targets import Outcome
from lighter_trials import only_ridges

PLAIN = chiasm.Protocol(repeats=1, folds=3, draws=100)


@pytest.fixture(scope="module", autouse=True)
def ridges() -> Iterator[None]:
    with only_ridges():
        yield


def answered(cohort: chiasm.Cohort, states: str = "predictions", **options: object) -> pd.DataFrame:
    found = chiasm.interaction(cohort, states=states, protocol=PLAIN, jobs=1, **options)  # type: ignore[arg-type]
    return found.table.set_index(["first", "second", "states_by"])


def test_only_both_tell_an_exclusive_or_and_no_prediction_of_one_sees_it() -> None:
    found = chiasm.interaction(chiasm.synthetic_cohort("xor", 600), protocol=PLAIN, jobs=1)
    table = found.table.set_index("states_by")
    assert table.loc["predictions", "together_high"] < 0.1
    row = table.loc["clusters"]
    assert row["told"] and row["synergy_low"] > 0.5
    assert max(row["redundant"], row["first_alone"], row["second_alone"]) < 0.05
    assert len(found.findings) == 1 and "reads both at once" in found.findings[0]


@pytest.mark.parametrize("name", ["redundant", "complementary", "xor", "noise-modality"])
def test_too_few_is_said_of_eighty_patients(name: str) -> None:
    table = answered(chiasm.synthetic_cohort(name, 80))
    assert (table["basis"] == "too few to say").all() and table["redundant"].isna().all()
    assert "80 tested patients" in table["says"].iloc[0]


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(3))
def test_known_answers_of_two_thousand_patients(seed: int) -> None:
    def row(name: str, states: str = "predictions") -> pd.Series:
        return answered(chiasm.synthetic_cohort(name, 2000, seed=seed), states).iloc[0]

    same = row("redundant")
    assert same["redundant_low"] > 0.7 * same["together"] and same["synergy"] < 0.06 * same["together"]
    assert same["adds_second_high"] < 0.1 * same["together"] and same["says"].startswith("redundant")
    both = row("complementary")  # by either as much, and by both much more: no part is told by one alone
    assert both["synergy_low"] > 0.4 * both["together"] and "there is something to combine" in both["says"]
    noise = row("noise-modality")
    assert noise["first_alone_low"] > 0.8 * noise["together"] and noise["synergy"] < 0.06 * noise["together"]
    assert "nearly all" in noise["says"]
    hidden = row("xor", "clusters")
    assert hidden["synergy_low"] > 0.9


def drawn(joint: np.ndarray, n: int, seed: int) -> tuple[list[Labelled], np.ndarray]:
    rng = np.random.default_rng(seed)
    cell = rng.choice(joint.size, n, p=joint.ravel())
    codes = np.unravel_index(cell, joint.shape)
    return [Labelled(np.arange(n), *codes, np.ones(n))], bootstrap_weights(n, 30, rng)


def test_the_bias_of_few_patients_is_taken_away_and_the_control_shows_it() -> None:
    joint = np.full((2, 2, 2), 1 / 8)
    found = [decomposed(*drawn(joint, 200, seed)[:1], joint.shape, drawn(joint, 200, seed)[1], 0) for seed in range(4)]
    plain, corrected = (np.mean(own) for own in ([f.plain for f in found], [f.parts["together"].value for f in found]))
    chance = np.mean([f.chance[0] for f in found])
    assert plain == pytest.approx(3 / (2 * 200 * math.log(2)), rel=0.6)  # Miller 1955, of independent sources
    assert chance == pytest.approx(plain, rel=0.5) and corrected < plain / 2
    assert sum(f.told for f in found) <= 1


def test_parts_sum_to_the_whole_and_none_is_below_zero() -> None:
    rng = np.random.default_rng(0)
    joint = rng.dirichlet(np.full(12, 0.5)).reshape(2, 3, 2)
    repeats, draws = drawn(joint, 300, 1)
    parts = decomposed(repeats, joint.shape, draws, 0).parts
    assert sum(parts[name].value for name in TOLD[:4]) == pytest.approx(parts["together"].value, abs=1e-12)
    assert all(0 <= own.low <= own.value <= own.high for own in parts.values())
    truth = dict(zip(TOLD, parts_of(joint[None])[0], strict=True))
    assert parts["together"].low < truth["together"] < parts["together"].high
    np.testing.assert_allclose(summing(np.array([0.5, -0.1, 0.2, 0.0]), 0.6), [0.45, 0, 0.15, 0], atol=1e-12)
    np.testing.assert_array_equal(summing(np.array([0.5, -0.6, 0.0, 0.0]), -0.1), np.zeros(4))


def test_groups_that_are_drawn_together_widen_the_interval() -> None:
    joint = np.zeros((2, 2, 2))
    joint[0, :, 0] = joint[1, :, 1] = 0.2
    joint[0, :, 1] = joint[1, :, 0] = 0.05
    repeats, draws = drawn(joint, 200, 0)
    copied = [replace(own, **{name: np.repeat(getattr(own, name), 4) for name in own.__dict__}) for own in repeats]
    copied = [replace(copied[0], rows=np.arange(800))]
    apart = bootstrap_weights(800, 30, np.random.default_rng(0))

    def width(repeats: list[Labelled], draws: np.ndarray) -> float:
        own = decomposed(repeats, joint.shape, draws, 0).parts["together"]
        return own.high - own.low

    assert width(copied, np.repeat(draws, 4, axis=1)) > 1.5 * width(copied, apart)


def test_who_has_no_group_is_drawn_alone() -> None:
    cohort = replace(chiasm.synthetic_cohort("redundant", 60), group=np.where(np.arange(60) < 4, "one person", ""))
    for draws in (folded(cohort, PLAIN, 0).draws, others_drawn(cohort, 100, 0)):
        assert (draws[:, :4] == draws[:, :1]).all()
        assert len(np.unique(draws, axis=1).T) == 57


def test_outcomes_of_every_kind_are_states() -> None:
    for kind in ("classification", "regression", "survival", "competing", "multilabel"):
        cohort = chiasm.synthetic_cohort("complementary", 300, target=kind)
        assert cohort.target is not None and cohort.outcome is not None
        found = outcome_states(cohort.target, cohort.outcome)
        assert len(found) == max(1, len(cohort.target.names) if cohort.target.has_labels else 1)
        for own in found:
            assert own.states == (3 if kind == "regression" else 2)
            assert own.rarest(np.ones(300, bool)) > 30


def test_who_is_censored_before_the_horizon_says_nothing_and_the_others_stand_for_them() -> None:
    time, event = np.array([1.0, 2, 3, 4, 5, 6]), np.array([True, False, True, False, True, True])
    outcome, target = Outcome(time, event, np.ones(6, bool)), chiasm.Survival("t", "e", unit="years")
    (own,) = outcome_states(target, outcome, 3.5)
    assert own.name == "event by 3.5 years"
    np.testing.assert_array_equal(own.code, [1, 0, 1, 0, 0, 0])
    np.testing.assert_allclose(own.weight, [1, 0, 1.25, 1.25, 1.25, 1.25])  # one of five at risk was lost at 2
    for horizon in (7.0, -1.0):
        with pytest.raises(chiasm.Unsupported, match="horizon"):
            outcome_states(target, outcome, horizon)
    with pytest.raises(chiasm.Unsupported, match="no times"):
        outcome_states(chiasm.Regression("y"), outcome, 1.0)


def test_states_are_learned_without_the_tested_patients() -> None:
    cohort = chiasm.synthetic_cohort("redundant", 120)
    known = folded(cohort, PLAIN, 0)
    split = known.splits[0]
    wanted = Wanted(known.cohort, None, (("m1", "predictions", None, 2), ("m1", "clusters", None, 2)), 0)
    turned = np.arange(120)
    turned[split.test] = split.test[::-1]
    value = known.outcome.value[turned]
    other = known.cohort.with_target(known.target, replace(known.outcome, value=value))
    first, second = (states_of_fold(replace(wanted, cohort=own), split)[1] for own in (known.cohort, other))
    assert (value != known.outcome.value).any()
    for key in wanted.keys:
        np.testing.assert_array_equal(first[key].told, second[key].told)
        np.testing.assert_array_equal(np.flatnonzero(first[key].told >= 0), split.test)


def test_clusters_of_folds_are_named_alike() -> None:
    states = np.array([0, 1, 2, 0, 1, 2])
    first = FoldStates(states, states, states[:0], False)
    other = FoldStates((states + 1) % 3, (states + 1) % 3, states[:0], False)
    for own in named_alike([first, other]):
        np.testing.assert_array_equal(own.told, states)


def without_pairs(n: int = 800) -> chiasm.Cohort:
    """Half have m1 and half m2 with an outcome; a quarter has both and none."""
    whole = chiasm.synthetic_cohort("complementary", n, seed=1)
    assert whole.target is not None and whole.outcome is not None
    labels = np.array(whole.target.names, dtype=object)[whole.outcome.value.astype(int)]
    kind = np.arange(n) % 5  # 0, 1: m1 with the outcome; 2, 3: m2 with it; 4: both without
    patients = pd.DataFrame({"label": np.where(kind == 4, None, labels)}, list(whole.ids))
    frames = {name: whole.raw(name)[np.isin(kind, own)] for name, own in (("m1", (0, 1, 4)), ("m2", (2, 3, 4)))}
    return chiasm.cohort_from_frames(patients, frames, chiasm.Classification("label"))


def test_where_nobody_has_both_with_the_outcome_the_synergy_is_bounded() -> None:
    with pytest.warns(chiasm.FindingWarning):
        table = answered(without_pairs())
    row = table.iloc[0]
    assert row["basis"] == "bounds" and row["patients"] == 0 and row["pairs"] == 160
    assert math.isnan(row["synergy"]) and math.isnan(row["together"])
    assert 0 <= row["synergy_low"] < 0.2 < row["synergy_high"] <= row["entropy"]  # the whole cohort has about 0.2 bits
    assert row["redundant_low"] <= row["redundant"] <= row["redundant_high"] and row["redundant"] > 0.05


def test_what_is_asked_wrongly_is_refused() -> None:
    cohort = chiasm.synthetic_cohort("redundant", 100)
    with pytest.raises(ValueError, match="not of 'quantiles'"):
        chiasm.interaction(cohort, states="quantiles")
    with pytest.raises(ValueError, match="named twice"):
        chiasm.interaction(cohort, modalities=["m1", "m1"])
    with pytest.raises(chiasm.Unsupported, match="two are needed"):
        chiasm.interaction(cohort, modalities=["m1"], jobs=1)
    with pytest.raises(chiasm.Unsupported, match="nothing to draw"):
        chiasm.interaction(chiasm.synthetic_cohort("redundant", 80), jobs=1).plot(Path("never.svg"))


def row_of(**changed: object) -> dict[str, object]:
    parts = dict.fromkeys((f"{name}{end}" for name in TOLD for end in ("", "_low", "_high")), 0.0)
    whole = {"together": 0.3, "together_low": 0.25, "together_high": 0.35}
    named = {"first": "a", "second": "b", "outcome": "y", "states_by": "predictions", "told": True, "says": "said"}
    return {**parts, **whole, **named, **changed}


def test_a_pair_is_put_into_words_by_what_the_other_one_adds() -> None:
    pair = {"basis": "patients", "entropy": 1.0}
    hidden = row_of(**pair, adds_second=0.3, adds_second_low=0.2)
    assert "tells 100 % of it" in says(hidden) and "neither says anything without the other" in says(hidden)
    beside = says(hidden | {"first_alone": 0.1, "first_alone_high": 0.2})
    assert "'b' beside 'a' tells" in beside and "neither" not in beside
    assert says(row_of(**pair, redundant=0.3, adds_second_high=0.01)).startswith("redundant: 'b' repeats")
    assert says(row_of(**pair, second_alone=0.3, adds_first_high=0.01)).startswith("'b' tells nearly all")
    assert "cannot be told" in says(row_of(**pair, adds_second_high=0.2))
    assert "shuffled outcomes" in says(row_of(**pair, told=False))
    bounded = row_of(basis="bounds", entropy=1.0, synergy_high=0.05)
    assert "not worth collecting" in says(bounded) and "up to 0.500 bits" in says(bounded | {"synergy_high": 0.5})


def test_sentences_beside_the_verdict() -> None:
    lost = row_of(synergy=0.2, adds_first=0.2, adds_second=0.2, adds_second_low=0.15, adds_second_high=0.25)
    assert "no combined recipe" in beside_verdict([lost], "does not pay")[0]
    assert beside_verdict([lost], "pays") == []
    same = row_of(redundant=0.3, adds_second=0.001, adds_second_high=0.01)
    assert "the parts explain" in beside_verdict([same], "does not pay")[0]
    assert "although" in beside_verdict([same], "pays")[0]
    assert "nothing here explains" in beside_verdict([row_of(told=False)], "pays")[0]
    hidden = row_of(states_by="clusters", synergy=0.9, synergy_low=0.8, together=0.9)
    assert len(hidden_from_single([row_of(together_high=0.05, told=False), hidden])) == 1
    assert hidden_from_single([row_of(together_high=0.85), hidden]) == []


@pytest.mark.parametrize("kind", ["text", "choice"])
def test_no_bits_are_told_of_the_number_of_words_or_of_the_place_of_an_option(kind: str) -> None:
    with pytest.raises(chiasm.Unsupported, match="take a class as the target"):
        chiasm.interaction(chiasm.synthetic_cohort("complementary", 60, target=kind), protocol=PLAIN, jobs=1)
