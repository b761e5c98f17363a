"""The known answers: what simple models reach on each synthetic cohort."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.tree import DecisionTreeClassifier

from chiasm.cohort import SYNTHETIC_COHORTS, synthetic_cohort

TARGETS = ("classification", "survival", "regression")


def auroc(cohort, *modalities, model=None):
    """AUROC on the second half of a model fitted on the first half."""
    x = np.concatenate([cohort.raw(name).to_numpy() for name in modalities], axis=1)
    y, half = cohort.outcome.value, len(cohort) // 2
    fitted = (model or LogisticRegression(C=0.1, max_iter=1000)).fit(x[:half], y[:half])
    return roc_auc_score(y[half:], fitted.predict_proba(x[half:])[:, 1])


def test_complementary_pays():
    cohort = synthetic_cohort("complementary", 4000)
    assert auroc(cohort, "m1") == pytest.approx(0.75, abs=0.03)
    assert auroc(cohort, "m2") == pytest.approx(0.75, abs=0.03)
    assert auroc(cohort, "m1", "m2") == pytest.approx(0.87, abs=0.03)


@pytest.mark.parametrize("name", ["redundant", "unique", "noise-modality"])
def test_these_do_not_pay(name):
    cohort = synthetic_cohort(name, 4000)
    assert auroc(cohort, "m1") > 0.8
    assert auroc(cohort, "m1", "m2") - auroc(cohort, "m1") < 0.01
    if name != "redundant":
        assert auroc(cohort, "m2") == pytest.approx(0.5, abs=0.05)


def test_in_redundant_the_second_is_the_first_with_noise():
    cohort = synthetic_cohort("redundant", 4000)
    m1, m2 = cohort.raw("m1").to_numpy(), cohort.raw("m2").to_numpy()
    assert auroc(cohort, "m2") > 0.75
    noise = m2 - m1
    assert np.abs(np.corrcoef(noise.T, cohort.outcome.value)[-1, :-1]).max() < 0.06
    assert np.abs(np.corrcoef(noise.T, m1.T)[:16, 16:]).max() < 0.08  # noise of its own, not another view of m1


def test_xor_is_in_neither_nor_in_their_sum():
    cohort = synthetic_cohort("xor", 2000)
    assert auroc(cohort, "m1") == pytest.approx(0.5, abs=0.05)
    assert auroc(cohort, "m1", "m2") == pytest.approx(0.5, abs=0.05)
    means = np.stack([cohort.raw(name).iloc[:, :8].mean(axis=1) for name in ("m1", "m2")], axis=1)
    y = cohort.outcome.value
    assert y.mean() == 0.5 and (means[:, 0] > 0)[y == 1].mean() == pytest.approx(0.5, abs=0.01)
    tree = DecisionTreeClassifier(max_depth=3, random_state=0).fit(means[:1000].prod(axis=1, keepdims=True), y[:1000])
    assert tree.score(means[1000:].prod(axis=1, keepdims=True), y[1000:]) > 0.98


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", SYNTHETIC_COHORTS)
def test_every_cohort_of_every_target(name, target):
    cohort = synthetic_cohort(name, 120, target=target, seed=3)
    assert len(cohort) == 120 and cohort.outcome.known.all() and cohort.target.kind == target
    assert cohort.present.any(axis=1).all()
    assert cohort.fingerprint == synthetic_cohort(name, 120, target=target, seed=3).fingerprint
    assert cohort.fingerprint != synthetic_cohort(name, 120, target=target, seed=4).fingerprint
    if target == "survival":
        assert cohort.outcome.value.min() > 0
        assert 1 - cohort.outcome.event.mean() == pytest.approx(0.35, abs=0.01)
    if name == "missing-at-random":
        np.testing.assert_allclose(cohort.present.mean(axis=0), 0.7)


def test_missing_takes_rows_at_random_and_never_both():
    cohort = synthetic_cohort("unique", 200, missing=0.4)
    assert cohort.present.sum(axis=0).tolist() == [120, 120] and cohort.present.any(axis=1).all()
    with pytest.raises(ValueError, match=r"between 0 and 0\.5"):
        synthetic_cohort("unique", 200, missing=0.6)


def test_the_hazard_follows_the_signal():
    cohort = synthetic_cohort("unique", 2000, target="survival")
    mean = cohort.raw("m1").iloc[:, :8].mean(axis=1).to_numpy()
    assert np.corrcoef(mean, np.log(cohort.outcome.value))[0, 1] < -0.3
    noise = cohort.raw("m2").to_numpy().mean(axis=1)
    assert abs(np.corrcoef(noise, np.log(cohort.outcome.value))[0, 1]) < 0.06


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="no synthetic cohort 'and'"):
        synthetic_cohort("and")
    with pytest.raises(ValueError, match="no target 'ranking'"):
        synthetic_cohort("xor", target="ranking")
