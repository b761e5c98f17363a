"""Pooled metrics: the folds of a repeat are one set of patients, each with the prior and censoring of his fold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from chiasm.evaluation.intervals import TestFold, fold_values, patient_draws, trial_scores
from chiasm.evaluation.spans import Span, survival_spans
from chiasm.metrics.calibration import calibration_slope
from chiasm.metrics.scores import METRICS, score, score_pooled
from chiasm.metrics.table import EXPLAINED
from chiasm.targets import Outcome, kind_of
from chiasm.targets.follow_up import cumulative_incidence
from chiasm.targets.label_maps import LabelMaps, joined_maps
from chiasm.targets.marked import BoxesOfOne, Marked, joined_marked
from chiasm.targets.texts import Texts, joined_texts

N = 300
KNOWN = np.ones(N, dtype=bool)
KINDS = list(METRICS)
SHARES = (("a", 2 / 3), ("b", 1 / 3))


def trial(
    kind: str, repeats: int = 1, k: int = 5, seed: int = 0
) -> tuple[list[TestFold], list[pd.DataFrame], list[str]]:
    """Folds of unequal size with honest predictions, whose horizons differ between folds."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=N)
    p = 1 / (1 + np.exp(-x))
    death, left = rng.exponential(10 * np.exp(-x)), rng.exponential(30, N)
    member = (rng.random(N) < p).astype(float)
    labels = np.stack([member, (rng.random(N) < 1 - p).astype(float)], axis=1)
    labels[::7, 0] = np.nan
    outcome = {
        "boxes": marked_of(member),
        "choice": Outcome(member, None, KNOWN),
        "classification": Outcome(member, None, KNOWN),
        "competing": competing_of(np.ceil(np.minimum(death, left)), death <= left),
        "mask": maps_of(member),
        "multilabel": Outcome(labels, None, KNOWN),
        "regression": Outcome(x + rng.normal(size=N), None, KNOWN),
        "response": Outcome(np.stack([x, -x], axis=1) + rng.normal(size=(N, 2)), None, KNOWN),
        "survival": Outcome(np.ceil(np.minimum(death, left)), death <= left, KNOWN),
        "text": Outcome(member, None, KNOWN, texts=texts_of(member)),
    }[kind]
    folds, frames = [], []
    for repeat in range(repeats):
        fold_of = rng.choice(k, N, p=np.arange(1, k + 1) / np.arange(1, k + 1).sum())
        for fold in range(k):
            rows = np.flatnonzero(fold_of == fold)
            folds.append(TestFold(repeat, str(fold), rows, outcome.take(rows), outcome.take(fold_of != fold)))
            frames.append(predicted(kind, x[rows], [2.0 + fold // 2, 5.0, 9.0]))
    return folds, frames, {
        "choice": ["1", "2"], "classification": ["no", "yes"], "multilabel": ["a", "b"], "competing": ["a", "b"],
        "response": ["a", "b"], "boxes": ["a", "b"], "mask": ["a", "b"],
    }.get(kind, [])  # fmt: skip


def marked_of(member: np.ndarray) -> Outcome:
    """One or two boxes of the first label, and one of the second."""
    each = np.empty(len(member), dtype=object)
    each[:] = [BoxesOfOne.of([0, 1, 0][: int(2 + one)], [[0, 0, 0.5, 0.5]] * int(2 + one), None) for one in member]
    found = Marked(each, ("a", "b"), np.full((len(member), 2), np.nan))
    return Outcome(found.counts, None, np.ones(len(member), dtype=bool), boxes=found)


def maps_of(member: np.ndarray) -> Outcome:
    """Label maps of three or four pixels of the first label, and one or two of the second."""
    texts, many = np.empty(len(member), dtype=object), member.astype(int)
    texts[:] = [f'{{"shape":[4,4],"spacing":[1,1],"runs":{{"a":[3,{4 - k}],"b":[0,{1 + k}]}}}}' for k in many]
    maps = LabelMaps(texts, ("a", "b"), 1.0, np.full(len(member), None, dtype=object))
    return Outcome(np.stack([4 - member, 1 + member], axis=1), None, np.ones(len(member), dtype=bool), maps=maps)


def texts_of(member: np.ndarray) -> Texts:
    """One of two texts that share a word."""
    own = np.empty(len(member), dtype=object)
    own[:] = [("mass of the left lung",) if one else ("clear lung",) for one in member]
    return Texts(own)


def competing_of(time: np.ndarray, event: np.ndarray) -> Outcome:
    """Every third event is of another cause."""
    return Outcome(time, event, KNOWN, np.where(event, 1 + (np.arange(N) % 3 == 0), 0))


def predicted(kind: str, x: np.ndarray, times: list[float]) -> pd.DataFrame:
    p = 1 / (1 + np.exp(-x))
    if kind == "choice":
        return pd.DataFrame({"p_1": 1 - p, "p_2": p})
    if kind == "classification":
        return pd.DataFrame({"p_no": 1 - p, "p_yes": p})
    if kind == "multilabel":
        return pd.DataFrame({"p_a": p, "p_b": 1 - p})
    if kind == "regression":
        return pd.DataFrame({"prediction": x})
    if kind == "boxes":
        said = [f'[["a",{own},0,0,0.5,0.4]]' for own in p]
        return pd.DataFrame({"boxes": said, "count_a": 1 + p, "count_b": 1 - p / 9})
    if kind == "mask":
        said = np.full(len(x), '{"shape":[4,4],"spacing":[1,1],"runs":{"a":[4,3]}}', dtype=object)
        return pd.DataFrame({"mask": said, "volume_a": 4 - p, "volume_b": 1 + p / 9})
    if kind == "response":
        return pd.DataFrame({"response_a": x, "response_b": -x})
    if kind == "text":
        return pd.DataFrame({"text": np.where(x > 0, "mass of left lung", "clear").astype(object)})
    survival = {t: np.exp(-t / 10 * np.exp(x)) for t in times}
    if kind == "competing":
        ends = {f"incidence_{name}_{t}": (1 - s) * share for t, s in survival.items() for name, share in SHARES}
        return pd.DataFrame({"risk_a": x, "risk_b": x, **ends})
    return pd.DataFrame({"risk": x, **{f"survival_{t}": s for t, s in survival.items()}})


def prior(kind: str, fold: TestFold, times: list[float]) -> pd.DataFrame:
    """What is predicted without a look at the patient: the training patients' shares, mean or Kaplan-Meier."""
    n, train = len(fold.patients), fold.train
    if kind == "choice":  # of two options, whatever the places of others
        return pd.DataFrame({"p_1": np.full(n, 0.5), "p_2": np.full(n, 0.5)})
    if kind == "classification":
        share = np.full(n, train.value.mean())
        return pd.DataFrame({"p_no": 1 - share, "p_yes": share})
    if kind == "multilabel":
        return pd.DataFrame({name: np.full(n, np.nanmean(train.value[:, j])) for j, name in enumerate(("p_a", "p_b"))})
    if kind == "regression":
        return pd.DataFrame({"prediction": np.full(n, train.value.mean())})
    if kind == "response":
        return pd.DataFrame(np.tile(train.value.mean(axis=0), (n, 1)), columns=["response_a", "response_b"])
    if kind in ("boxes", "mask", "text"):
        return kind_of(kind).prior_frame(train, n, ("a", "b"))
    if kind == "competing":
        assert train.cause is not None
        found = cumulative_incidence(train.value, train.cause, 2, times)
        ends = {f"incidence_{name}_{t}": found[k, j] for j, t in enumerate(times) for k, name in enumerate("ab")}
        return pd.DataFrame({name: np.full(n, value) for name, value in {"risk_a": 0.0, "risk_b": 0.0, **ends}.items()})
    assert train.event is not None
    at = np.unique(train.value[train.event])
    steps = [1 - ((train.value == t) & train.event).sum() / (train.value >= t).sum() for t in at]
    survival = {
        f"survival_{t}": np.full(n, np.prod([s for u, s in zip(at, steps, strict=True) if u <= t])) for t in times
    }
    return pd.DataFrame({"risk": np.zeros(n), **survival})


@pytest.mark.parametrize("kind", KINDS)
def test_the_training_prior_scores_zero_and_the_truth_one(kind: str) -> None:
    folds, _, classes = trial(kind)
    name = EXPLAINED[kind]
    times = [2.0, 5.0, 9.0]
    draws = patient_draws(folds, N, 100, 0)
    null = trial_scores(kind, folds, [prior(kind, fold, times) for fold in folds], classes, draws)
    assert (null[name].mean, null[name].low, null[name].high) == pytest.approx((0, 0, 0), abs=1e-9)
    # priors differ between folds, the other way round than the outcomes of those tested: that is no slope
    assert not any(value.estimable for key, value in null.items() if key.startswith("calibration_slope"))
    if kind in ("survival", "competing"):
        for k in (1, 2, 3):
            assert null[f"ipa_t{k}"].mean == pytest.approx(0, abs=1e-9)
            assert null[f"auc_t{k}"].mean == 0.5
        return
    truth = []
    for fold in folds:
        if fold.outcome.boxes is not None:
            many = dict(zip(("count_a", "count_b"), fold.outcome.value.T, strict=True))
            truth.append(pd.DataFrame({"boxes": fold.outcome.boxes.texts, **many}))
            continue
        if fold.outcome.maps is not None:
            much = dict(zip(("volume_a", "volume_b"), fold.outcome.value.T, strict=True))
            truth.append(pd.DataFrame({"mask": fold.outcome.maps.texts, **much}))
            continue
        if fold.outcome.texts is not None:
            truth.append(pd.DataFrame({"text": [own[0] for own in fold.outcome.texts.references]}))
            continue
        value = np.nan_to_num(fold.outcome.value)
        columns = kind_of(kind).answers(classes)
        classes_of = np.stack([1 - value, value], axis=1) if value.ndim == 1 else value
        sure = np.clip(classes_of, 1e-9, 1)  # an option of probability zero is one that a patient has not
        table = {"choice": sure, "classification": classes_of}.get(kind, value)
        truth.append(pd.DataFrame(np.reshape(table, (len(value), -1)), columns=columns))
    assert trial_scores(kind, folds, truth, classes, draws, [name])[name].mean == pytest.approx(1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_trial_pools_the_patients_of_each_repeat(kind: str) -> None:
    """Two repeats: two values, the mean of which is the metric; each is that of all its folds at once."""
    folds, frames, classes = trial(kind, repeats=2)
    draws = patient_draws(folds, N, 100, 1)
    pooled = [metric.id for metric in METRICS[kind] if metric.pooled]
    values = fold_values(kind, folds, frames, classes, draws)
    for name, (point, drawn) in values.items():
        rows = 2 if name in pooled else len(folds)
        assert point.shape == (rows, 1) and drawn.shape == (rows, 100), name
    for repeat in (0, 1):
        parts = [
            (frame, fold.outcome, fold.train, None)
            for fold, frame in zip(folds, frames, strict=True)
            if fold.repeat == repeat
        ]
        alone = score_pooled(kind, parts, classes)
        assert set(alone) == set(pooled)
        for name, value in alone.items():
            assert values[name][0][repeat] == pytest.approx(value, nan_ok=True)


@pytest.mark.parametrize("kind", KINDS)
def test_pooling_folds_of_one_training_set_is_scoring_them_as_one(kind: str) -> None:
    folds, frames, classes = trial(kind, k=3)
    one = folds[0].train
    frames = [frame.set_axis(frames[0].columns, axis=1) for frame in frames]  # the same horizons
    parts = [(frame, fold.outcome, one, None) for fold, frame in zip(folds, frames, strict=True)]
    event = None if folds[0].outcome.event is None else np.concatenate([fold.outcome.event for fold in folds])
    together = Outcome(np.concatenate([fold.outcome.value for fold in folds]), event, KNOWN)
    several = [fold.outcome.texts for fold in folds if fold.outcome.texts is not None]
    marked = [fold.outcome.boxes for fold in folds if fold.outcome.boxes is not None]
    together = replace(together, boxes=joined_marked(marked) if marked else None)
    together = replace(together, texts=joined_texts(several) if several else None)
    maps = [fold.outcome.maps for fold in folds if fold.outcome.maps is not None]
    together = replace(together, maps=joined_maps(maps) if maps else None)
    if kind == "competing":
        together = replace(together, cause=np.concatenate([np.asarray(fold.outcome.cause) for fold in folds]))
    whole = score(kind, pd.concat(frames, ignore_index=True), together, classes, train=one)
    for name, value in score_pooled(kind, parts, classes).items():
        assert value == pytest.approx(whole[name], nan_ok=True), name


def test_the_slope_of_small_folds_is_that_of_their_patients_together() -> None:
    """Twenty honest predictions a fold: the mean of the folds' slopes misses one by far, the slope of all does not."""
    mean_of_slopes, slope_of_all = [], []
    for seed in range(10):
        folds, frames, classes = trial("classification", k=15, seed=seed)
        values = [
            calibration_slope(frame["p_yes"].to_numpy(), fold.outcome.value, np.ones((1, len(frame))))[0]
            for fold, frame in zip(folds, frames, strict=True)
        ]
        mean_of_slopes.append(np.nanmean(values))
        draws = patient_draws(folds, N, 100, 0)
        found = fold_values("classification", folds, frames, classes, draws, ["calibration_slope"])
        slope_of_all.append(found["calibration_slope"][0][0, 0])
    far, near = (np.abs(np.array(values) - 1).mean() for values in (mean_of_slopes, slope_of_all))
    assert near < 0.3 and far > 2 * near, (far, near)


def test_each_fold_has_its_own_horizons_and_a_missing_one_is_nan() -> None:
    folds, frames, classes = trial("survival")
    draws = patient_draws(folds, N, 100, 2)
    found = trial_scores("survival", folds, frames, classes, draws)
    assert all(value.estimable for value in found.values())
    spans = survival_spans(folds, frames)
    assert (spans.first_horizon, spans.last_horizon) == (Span(2.0, 4.0), Span(9.0, 9.0))
    assert 0 < spans.uno_tau.low <= spans.uno_tau.high
    fewer = [frame.drop(columns="survival_9.0") for frame in frames]
    cut = trial_scores("survival", folds, fewer, classes, draws)
    for name, value in cut.items():
        assert value.estimable == (not name.endswith("_t3")), name
        if name.endswith(("_t1", "_t2")):
            assert value == found[name]
    bare = [frame[["risk"]] for frame in frames]
    alone = trial_scores("survival", folds, bare, classes, draws)
    assert [name for name, value in alone.items() if value.estimable] == ["harrell_c", "uno_c"]
    assert survival_spans(folds, bare).first_horizon is None


def test_of_more_than_three_horizons_the_first_middle_and_last_count() -> None:
    folds, _, _ = trial("survival")
    fold, x = folds[-1], np.random.default_rng(5).normal(size=len(folds[-1].patients))
    five = score("survival", predicted("survival", x, [2.0, 4.0, 6.0, 8.0, 10.0]), fold.outcome, train=fold.train)
    three = score("survival", predicted("survival", x, [2.0, 6.0, 10.0]), fold.outcome, train=fold.train)
    for name in five:
        if name[-3:] in ("_t1", "_t2", "_t3"):
            assert five[name] == pytest.approx(three[name], nan_ok=True), name


def test_honest_survival_is_calibrated_at_its_horizons() -> None:
    folds, frames, _ = trial("survival", seed=7)
    found = trial_scores("survival", folds, frames, (), patient_draws(folds, N, 200, 0))
    for k in (1, 2, 3):
        for name, ideal in (("calibration_intercept", 0), ("calibration_slope", 1), ("observed_expected", 1)):
            value = found[f"{name}_t{k}"]
            assert value.low < ideal < value.high, name
    halved = [frame.assign(**{c: frame[c] ** 2 for c in frame if c.startswith("survival")}) for frame in frames]
    worse = trial_scores("survival", folds, halved, (), patient_draws(folds, N, 200, 0))
    assert worse["observed_expected_t2"].high < 1 and worse["ici_t2"].mean > found["ici_t2"].high


def test_without_training_outcomes_only_what_needs_none_is_known() -> None:
    for kind, name in (("classification", "ipa"), ("multilabel", "ipa"), ("regression", "r2_null")):
        folds, frames, classes = trial(kind, k=2)
        found = score(kind, frames[1], folds[1].outcome, classes)
        assert [key for key, value in found.items() if np.isnan(value).all()] == [name]
