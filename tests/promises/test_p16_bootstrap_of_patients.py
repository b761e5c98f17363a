"""P16: the bootstrap draws patients, not rows; its 95 % interval covers; few events never give a number."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from chiasm.evaluation.estimates import mean_over_folds, percentile_interval
from chiasm.evaluation.intervals import (
    TestFold,
    bootstrap_weights,
    fold_metric_draws,
    patient_draws,
    trial_differences,
    trial_scores,
)
from chiasm.metrics.classification import auroc
from chiasm.metrics.scores import METRICS, estimable, score
from chiasm.metrics.survival import harrell_c
from chiasm.targets import Outcome
from chiasm.targets.label_maps import LabelMaps
from chiasm.targets.marked import BoxesOfOne, Marked
from chiasm.targets.texts import Texts

SIMULATIONS, DRAWS = 1500, 400


def share_covered(intervals: list[tuple[float, float]], truth: float) -> float:
    return float(np.mean([low <= truth <= high for low, high in intervals]))


def test_all_rows_of_a_patient_move_together() -> None:
    patient = np.repeat(np.arange(30), np.arange(1, 31) % 4 + 1)
    counts = bootstrap_weights(len(patient), 200, np.random.default_rng(0), patient)
    first = np.unique(patient, return_index=True)[1]
    np.testing.assert_array_equal(counts, counts[:, first][:, patient])
    assert (counts[:, first].sum(axis=1) == 30).all()  # as many patients as there are, whatever their rows
    assert len(np.unique(counts.sum(axis=1))) > 1


def test_interval_over_rows_of_one_patient_would_be_too_narrow() -> None:
    rng = np.random.default_rng(1)
    shift = rng.normal(size=40)
    patient = np.repeat(np.arange(40), 10)
    value = np.repeat(rng.integers(0, 2, 40), 10)
    p = norm.cdf(0.5 * value + shift[patient] + 0.1 * rng.normal(size=400))
    widths = {}
    for name, groups in (("rows", None), ("patients", patient)):
        draws = auroc(np.c_[1 - p, p], value, bootstrap_weights(400, 1000, np.random.default_rng(2), groups))
        low, high = percentile_interval(draws)
        widths[name] = high - low
    assert widths["patients"] > 2 * widths["rows"]


def test_coverage_of_auroc() -> None:
    rng = np.random.default_rng(10)
    truth = norm.cdf(1 / np.sqrt(2))
    weights = bootstrap_weights(160, DRAWS, rng)
    intervals = []
    for _ in range(SIMULATIONS):
        code = (rng.random(160) < 0.4).astype(int)
        p = norm.cdf(rng.normal(size=160) + code)
        intervals.append(percentile_interval(auroc(np.c_[1 - p, p], code, weights)))
    assert 0.93 <= share_covered(intervals, truth) <= 0.97


def test_coverage_of_harrell_c() -> None:
    rng = np.random.default_rng(11)
    n = 120

    def sample(size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        risk = rng.normal(size=size)
        death, censoring = rng.exponential(np.exp(-risk)), rng.uniform(0, 3, size)
        return risk, np.minimum(death, censoring), death <= censoring

    truth = np.mean([harrell_c(*sample(4000))[0] for _ in range(10)])
    weights = bootstrap_weights(n, DRAWS, rng)
    intervals = [percentile_interval(harrell_c(*sample(n), weights)) for _ in range(SIMULATIONS)]
    assert 0.93 <= share_covered(intervals, float(truth)) <= 0.97


@pytest.mark.nightly
@pytest.mark.parametrize("paired", [True, False])
def test_coverage_of_the_mean_over_folds(paired: bool) -> None:
    """Five folds of 50 with two repeats, whose models differ by fold only in their noise; also of a difference."""
    rng = np.random.default_rng(12)
    truth = norm.cdf(1.2 / np.sqrt(2)) - (norm.cdf(0.6 / np.sqrt(2)) if paired else 0.0)
    n, k = 250, 5
    positions = [np.arange(n) % k == fold for fold in range(k)] + [
        np.arange(n) // (n // k) == fold for fold in range(k)
    ]
    blank = Outcome(np.zeros(n), None, np.ones(n, dtype=bool))
    folds = [
        TestFold(i // k, str(i % k), np.flatnonzero(mask), blank.take(mask), blank.take(~mask))
        for i, mask in enumerate(positions)
    ]
    draws = patient_draws(folds, n, DRAWS, seed=5)
    intervals = []
    for _ in range(SIMULATIONS):
        code = (rng.random(n) < 0.4).astype(int)
        p, q = (norm.cdf(rng.normal(size=n) + gap * code) for gap in (1.2, 0.6))
        values = []
        for fold in folds[:k] if not paired else folds:
            weights, y = draws[:, fold.patients], code[fold.patients]
            one, other = (auroc(np.c_[1 - s, s][fold.patients], y, weights) for s in (p, q))
            values.append(one - other if paired else one)
        intervals.append(percentile_interval(mean_over_folds(np.stack(values))))
    assert 0.93 <= share_covered(intervals, truth) <= 0.97


def frame(kind: str, n: int, rng: np.random.Generator) -> pd.DataFrame:
    p = rng.random(n)
    if kind in ("choice", "classification", "multilabel"):
        return pd.DataFrame({"p_a": p, "p_b": 1 - p})
    if kind == "boxes":
        made = pd.DataFrame({"count_a": p, "count_b": rng.random(n)})
        made.insert(0, "boxes", [f'[["a",{own},0,0,{own},1]]' for own in p])
        return made
    if kind == "mask":
        texts = [
            f'{{"shape":[4,4],"spacing":[1,1],"runs":{{"a":[{own},4],"b":[0,3]}}}}' for own in rng.integers(3, 6, n)
        ]
        return pd.DataFrame({"mask": texts, "volume_a": p, "volume_b": rng.random(n)})
    if kind == "response":
        return pd.DataFrame({"response_a": p, "response_b": rng.random(n)})
    if kind == "regression":
        return pd.DataFrame({"prediction": p})
    if kind == "text":
        return pd.DataFrame({"text": np.where(p > 0.5, "mass of left lung", "clear").astype(object)})
    if kind == "competing":
        ends = {f"incidence_{name}_{t}": p * share for t, share in ((0.2, 0.2), (0.4, 0.4)) for name in "ab"}
        return pd.DataFrame({"risk_a": p, "risk_b": p, **ends})
    return pd.DataFrame({"risk": p, "survival_0.2": 1 - p / 2, "survival_0.4": 1 - p})


def outcome(kind: str, n: int, positive: int, rng: np.random.Generator) -> Outcome:
    marked = np.arange(n) < positive
    if kind == "choice":
        return Outcome(np.arange(n) % 2.0, None, marked)
    if kind == "classification":
        return Outcome(marked.astype(float), None, np.ones(n, dtype=bool))
    if kind == "multilabel":  # nobody has the second label
        return Outcome(np.stack([marked, np.zeros(n)], axis=1).astype(float), None, np.ones(n, dtype=bool))
    if kind == "boxes":
        each = np.empty(n, dtype=object)
        each[:] = [BoxesOfOne.of([0] * many, [[0, 0, 0.8, 1]] * many, None) for many in rng.integers(0, 3, n)]
        found = Marked(each, ("a", "b"), np.full((n, 2), np.nan))
        return Outcome(found.counts, None, marked, boxes=found)
    if kind == "mask":
        texts = np.empty(n, dtype=object)
        texts[:] = [f'{{"shape":[4,4],"spacing":[1,1],"runs":{{"a":[3,4],"b":[0,{1 + k % 3}]}}}}' for k in range(n)]
        maps = LabelMaps(texts, ("a", "b"), 1.0, np.full(n, None, dtype=object))
        return Outcome(rng.random((n, 2)), None, marked, maps=maps)
    if kind == "response":
        repeats = rng.random((n, 1, 2)) + 0.1 * rng.random((n, 3, 2))
        return Outcome(repeats.mean(axis=1), None, marked, repeats=repeats)
    if kind == "regression":
        return Outcome(rng.random(n), None, marked)
    if kind == "text":
        texts = np.empty(n, dtype=object)
        texts[:] = [("mass of the left lung",) if k % 2 else ("clear lung",) for k in range(n)]
        return Outcome(np.zeros(n), None, marked, texts=Texts(texts))
    if kind == "competing":  # of those without the main cause every second has another one
        cause = np.where(marked, 1, 2 * (np.arange(n) % 2))
        return Outcome(rng.random(n) + 0.1, cause > 0, np.ones(n, dtype=bool), cause)
    return Outcome(rng.random(n) + 0.1, marked, np.ones(n, dtype=bool))


@pytest.mark.parametrize("kind", list(METRICS))
@pytest.mark.parametrize(("positive", "enough"), [(0, False), (1, False), (4, False), (5, True), (20, True)])
def test_few_events_are_not_estimable(kind: str, positive: int, enough: bool) -> None:
    rng = np.random.default_rng(3)
    truth = outcome(kind, 60, positive, rng)
    train = outcome(kind, 60, 30, rng)
    classes = () if kind in ("regression", "survival") else ("a", "b")
    assert estimable(kind, truth) is enough
    for weights in (None, bootstrap_weights(60, 50, rng)):
        values = score(kind, frame(kind, 60, rng), truth, classes, weights, train)
        assert set(values) == {metric.id for metric in METRICS[kind]}
        for metric in METRICS[kind]:  # those at a horizon need events before it as well
            finite = np.isfinite(values[metric.id]).any()
            if metric.id in ("bits_per_spike", "entity_f1"):  # of counts, and of named entities: here are neither
                assert not finite
                continue
            assert finite == enough if metric.table == "performance" else finite <= enough, metric.id

    folds = [
        TestFold(0, str(k), rows, truth.take(rows), train) for k, rows in enumerate(np.arange(60).reshape(-1, 3).T)
    ]
    frames = [frame(kind, 20, rng) for _ in folds]
    estimates = trial_scores(kind, folds, frames, classes, patient_draws(folds, 60, 200, seed=0))
    for estimate in estimates.values():
        assert estimate.estimable or str(estimate) == "not estimable"
        assert enough or np.isnan([estimate.mean, estimate.low, estimate.high]).all()
    if positive == 20:
        assert all(estimate.low <= estimate.high for estimate in estimates.values() if estimate.estimable)
        assert any(estimate.estimable for estimate in estimates.values())


def test_the_difference_of_a_trial_with_few_events_is_not_a_number() -> None:
    rng = np.random.default_rng(4)
    truth = outcome("classification", 60, 4, rng)
    folds = [TestFold(0, "a", np.arange(60), truth, truth)]
    frames = [frame("classification", 60, rng)]
    differences, drawn = trial_differences(
        "classification", folds, frames, frames, ("a", "b"), patient_draws(folds, 60, 9, 0)
    )
    assert np.isnan(differences).all() and np.isnan(drawn).all()
    assert np.isfinite(fold_metric_draws("classification", frames[0], folds[0], ("a", "b"))["auroc"]).all()
