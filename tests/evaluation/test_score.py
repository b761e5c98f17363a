"""`score`: the columns of a prediction, patients of unknown outcome, and what it refuses."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from chiasm.evaluation.intervals import bootstrap_weights
from chiasm.metrics import scores as metrics
from chiasm.metrics.classification import auroc
from chiasm.metrics.scores import METRICS, estimable, horizons_of, score, uno_tau
from chiasm.metrics.survival import harrell_c, integrated_brier, uno_c
from chiasm.targets import Outcome
from chiasm.targets.label_maps import LabelMaps
from chiasm.targets.marked import Marked
from chiasm.targets.texts import Texts


def survival_data(n: int = 40) -> tuple[pd.DataFrame, Outcome, Outcome]:
    rng = np.random.default_rng(0)
    risk = rng.normal(size=n)
    frame = pd.DataFrame({"pattern": "rna", "survival_12": 0.2, "risk": risk, "survival_3.5": 0.7})
    truth = Outcome(rng.integers(1, 20, n).astype(float), rng.random(n) < 0.6, np.ones(n, dtype=bool))
    train = Outcome(rng.integers(1, 30, 90).astype(float), rng.random(90) < 0.6, rng.random(90) < 0.9)
    return frame, truth, train


def test_columns_follow_the_order_of_the_classes_not_of_the_frame() -> None:
    rng = np.random.default_rng(1)
    p = rng.dirichlet([1, 1, 1], 60)
    code = np.arange(60) % 3
    truth = Outcome(code.astype(float), None, np.ones(60, dtype=bool))
    frame = pd.DataFrame(p, columns=["p_a", "p_b", "p_c"])[["p_c", "p_a", "p_b"]]
    expected = auroc(p, code)
    assert score("classification", frame, truth, ("a", "b", "c"))["auroc"] == pytest.approx(expected)
    assert score("classification", frame, truth, ("c", "b", "a"))["auroc"] != pytest.approx(expected)


def test_survival_columns_are_sorted_by_time_and_training_patients_of_unknown_outcome_left_out() -> None:
    frame, truth, train = survival_data()
    found = score("survival", frame, truth, train=train)
    known = train.take(train.known)
    assert known.event is not None and truth.event is not None
    arrays = (truth.value, truth.event)
    assert found["harrell_c"] == harrell_c(frame["risk"], *arrays)
    tau = uno_tau(train)
    assert found["uno_c"] == uno_c(frame["risk"], *arrays, known.value, known.event, tau=tau)
    survival = frame[["survival_3.5", "survival_12"]]
    assert found["integrated_brier"] == integrated_brier(survival, [3.5, 12], *arrays, known.value, known.event)
    without = score("survival", frame, truth)
    assert np.isfinite(without["harrell_c"]) and np.isnan(without["uno_c"]) and np.isnan(without["integrated_brier"])
    assert horizons_of(frame) == (3.5, 12.0)
    no_curve = score("survival", frame[["risk"]], truth, train=train)
    assert np.isfinite(no_curve["uno_c"]) and np.isnan(no_curve["integrated_brier"])


def test_patients_of_unknown_outcome_are_left_out() -> None:
    frame, truth, train = survival_data()
    known = np.arange(40) % 4 > 0
    hidden = Outcome(np.where(known, truth.value, np.nan), truth.event, known)
    weights = bootstrap_weights(40, 20, np.random.default_rng(2))
    found = score("survival", frame, hidden, weights=weights, train=train)
    rows = np.flatnonzero(known)
    expected = score("survival", frame.iloc[rows], truth.take(rows), weights=weights[:, rows], train=train)
    for name in found:
        np.testing.assert_array_equal(found[name], expected[name])


def no_maps(kind: str) -> LabelMaps | None:
    nothing = np.zeros(0, dtype=object)
    return LabelMaps(nothing, ("a", "b"), 1.0, nothing) if kind == "mask" else None


def no_boxes(kind: str) -> Marked | None:
    return Marked(np.zeros(0, dtype=object), ("a", "b"), np.zeros((0, 2))) if kind == "boxes" else None


@pytest.mark.parametrize("kind", list(METRICS))
def test_no_patient_at_all_is_nan(kind: str) -> None:
    columns = {
        "regression": ["prediction"], "survival": ["risk", "survival_1"],
        "competing": ["risk_a", "risk_b", "incidence_a_1", "incidence_b_1"], "response": ["response_a", "response_b"],
        "text": ["text"], "boxes": ["boxes", "count_a", "count_b"],
        "mask": ["mask", "volume_a", "volume_b"],
    }.get(kind, ["p_a", "p_b"])  # fmt: skip
    several = kind in ("multilabel", "response", "boxes", "mask")
    value, nobody = np.zeros((0, 2)) if several else np.zeros(0), np.zeros(0, dtype=bool)
    cause = np.zeros(0, dtype=int) if kind == "competing" else None
    texts = Texts(np.zeros(0, dtype=object)) if kind == "text" else None
    empty = Outcome(
        value,
        nobody if kind in ("survival", "competing") else None,
        nobody,
        cause,
        texts=texts,
        boxes=no_boxes(kind),
        maps=no_maps(kind),
    )
    frame = pd.DataFrame(columns=columns, dtype=object if kind in ("text", "boxes", "mask") else float)
    found = score(kind, frame, empty, ("a", "b"), min_events=0)
    assert all(np.isnan(value).all() for value in found.values())


def test_blocks_of_draws_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    frame, truth, train = survival_data()
    weights = bootstrap_weights(40, 33, np.random.default_rng(3))
    whole = score("survival", frame, truth, weights=weights, train=train)
    monkeypatch.setattr(metrics, "_CELLS", 200)
    for name, value in score("survival", frame, truth, weights=weights, train=train).items():
        np.testing.assert_allclose(value, whole[name], rtol=1e-12)


def test_a_row_of_ones_is_the_point_estimate() -> None:
    frame, truth, train = survival_data()
    ones = score("survival", frame, truth, weights=np.ones((2, 40)), train=train)
    for name, value in score("survival", frame, truth, train=train).items():
        assert value.shape == (1,) and ones[name] == pytest.approx(np.repeat(value, 2), nan_ok=True)


def test_metrics_can_be_chosen() -> None:
    frame, truth, _ = survival_data()
    assert list(score("survival", frame, truth, metrics=["harrell_c"])) == ["harrell_c"]


def test_a_rare_class_of_many_makes_the_macro_mean_not_estimable() -> None:
    code = np.r_[np.zeros(20), np.ones(20), np.full(4, 2.0)]
    truth = Outcome(code, None, np.ones(44, dtype=bool))
    assert not estimable("classification", truth, 3)
    assert estimable("classification", truth.take(code < 2), 2)
    assert not estimable("classification", truth.take(code < 2), 3)


def test_a_cohort_without_censoring_is_estimable() -> None:
    truth = Outcome(np.arange(1.0, 21.0), np.ones(20, dtype=bool), np.ones(20, dtype=bool))
    assert estimable("survival", truth)
    assert score("survival", pd.DataFrame({"risk": -truth.value}), truth)["harrell_c"] == 1


def test_refuses_what_it_cannot_score() -> None:
    frame, truth, _ = survival_data()
    with pytest.raises(ValueError, match="no column 'risk'"):
        score("survival", frame.drop(columns="risk"), truth)
    with pytest.raises(ValueError, match="no column 'p_b'"):
        score("classification", pd.DataFrame({"p_a": np.ones(40)}), truth, ("a", "b"))
    with pytest.raises(ValueError, match=r"row 7 .* 2 rows"):
        score("survival", frame.assign(risk=np.where(np.isin(np.arange(40), [7, 9]), np.nan, 1.0)), truth)
    with pytest.raises(ValueError, match="39 predictions for 40 patients"):
        score("survival", frame.iloc[1:], truth)
    with pytest.raises(ValueError, match="no metric 'auroc'"):
        score("survival", frame, truth, metrics=["auroc"])
    with pytest.raises(ValueError, match="kind 'ranking'"):
        score("ranking", frame, truth)
    with pytest.raises(ValueError, match="two or more"):
        score("classification", frame, truth)
    with pytest.raises(ValueError, match="draws x 40"):
        score("survival", frame, truth, weights=np.ones((3, 39)))
