"""Survival metrics: equal to scikit-survival and lifelines, ties included, and weighted equals resampled."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from lifelines import KaplanMeierFitter
from lifelines.utils import concordance_index
from sksurv.metrics import concordance_index_censored, concordance_index_ipcw, integrated_brier_score
from sksurv.nonparametric import CensoringDistributionEstimator
from sksurv.util import Surv

from chiasm.metrics import censoring, concordance
from chiasm.metrics import survival as ours
from examples import examples


@st.composite
def followed(draw: st.DrawFn, smallest: int = 2) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Integer risks and times with many ties, events, counts of a draw."""
    n = draw(st.integers(smallest, 25))
    risk = np.array(draw(st.lists(st.integers(0, 5), min_size=n, max_size=n)), dtype=float)
    time = np.array(draw(st.lists(st.integers(1, 8), min_size=n, max_size=n)), dtype=float)
    event = np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    counts = np.array(draw(st.lists(st.integers(0, 3), min_size=n, max_size=n)))
    return risk, time, event, counts


def training() -> tuple[np.ndarray, np.ndarray]:
    """Nobody is censored at the time of a test patient: there scikit-survival's G(T) and our G(T-) are equal."""
    rng = np.random.default_rng(0)
    return np.r_[rng.integers(1, 9, 40) + 0.5, 9.5], np.r_[rng.random(40) < 0.5, True]


def comparable(time: np.ndarray, event: np.ndarray) -> bool:
    later = (time[:, None] < time) | ((time[:, None] == time) & ~event)
    return bool((event[:, None] & later).any())


@given(followed())
@settings(deadline=None, max_examples=examples(300, day=30))
def test_concordance_equals_scikit_survival_on_resampled_data(data: tuple) -> None:
    risk, time, event, counts = data
    rows = np.repeat(np.arange(len(time)), counts)
    train_time, train_event = training()
    train = Surv.from_arrays(train_event, train_time)
    weights = np.stack([np.ones_like(counts), counts])
    for r, i in enumerate((np.arange(len(time)), rows)):
        harrell = ours.harrell_c(risk, time, event, weights)[r]
        uno = ours.uno_c(risk, time, event, train_time, train_event, weights)[r]
        if not comparable(time[i], event[i]):
            assert np.isnan(harrell) and np.isnan(uno)
            continue
        assert harrell == pytest.approx(concordance_index_censored(event[i], time[i], risk[i])[0], abs=1e-12)
        test = Surv.from_arrays(event[i], time[i])
        assert uno == pytest.approx(concordance_index_ipcw(train, test, risk[i])[0], abs=1e-12)
        early = event[i] & (time[i] < 5)
        if comparable(time[i], early):
            ours_tau = ours.uno_c(risk, time, event, train_time, train_event, weights, tau=4.5)[r]
            assert ours_tau == pytest.approx(concordance_index_ipcw(train, test, risk[i], tau=4.5)[0], abs=1e-12)


@given(followed(smallest=4), st.integers(0, 10))
@settings(deadline=None, max_examples=examples(150))
def test_integrated_brier_equals_scikit_survival_on_resampled_data(data: tuple, seed: int) -> None:
    _, time, event, counts = data
    rows = np.repeat(np.arange(len(time)), counts)
    train_time, train_event = training()
    for i, weights in ((np.arange(len(time)), None), (rows, counts[None])):
        times = np.array([2.5, 3.0, 5.0, 6.5])
        times = times[(times >= time[i].min(initial=np.inf)) & (times < time[i].max(initial=0))]
        assume(len(times) >= 2 and event[i].any())
        survival = np.sort(np.random.default_rng(seed).random((len(time), len(times))), axis=1)[:, ::-1]
        train, test = Surv.from_arrays(train_event, train_time), Surv.from_arrays(event[i], time[i])
        expected = integrated_brier_score(train, test, survival[i], times)
        found = ours.integrated_brier(survival, times, time, event, train_time, train_event, weights)
        assert found == pytest.approx(expected, abs=1e-12)


@given(followed())
@settings(deadline=None, max_examples=examples(150))
def test_censoring_survival_equals_scikit_survival(data: tuple) -> None:
    _, time, event, _ = data
    assume(event.any())
    at = np.array([t for t in np.arange(0.5, 9, 0.5) if t <= time.max()])
    expected = CensoringDistributionEstimator().fit(Surv.from_arrays(event, time)).predict_proba(at)
    np.testing.assert_allclose(censoring.censoring_survival(time, event, at), expected, atol=1e-12)


@given(st.permutations(range(12)), st.lists(st.booleans(), min_size=12, max_size=12))
@settings(deadline=None, max_examples=examples(50))
def test_equals_lifelines_where_no_time_is_tied(order: list[int], event: list[bool]) -> None:
    time, died, risk = np.array(order) + 1.0, np.array(event), np.arange(12) // 2
    assume(comparable(time, died))
    assert ours.harrell_c(risk, time, died) == pytest.approx(concordance_index(time, -risk, died), abs=1e-12)
    fitter = KaplanMeierFitter().fit(time, ~died)
    np.testing.assert_allclose(censoring.censoring_survival(time, died, time), fitter.predict(time), atol=1e-9)


def test_beyond_the_last_training_time() -> None:
    """Censoring is unknown there: its events leave Uno's C, and a horizon there has no Brier score."""
    train_time, train_event = [1.0, 2.0, 3.0], [False, True, True]
    np.testing.assert_allclose(
        censoring.censoring_survival(train_time, train_event, [0.5, 1, 3, 3.1]), [1, 2 / 3, 2 / 3, np.nan]
    )
    assert censoring.censoring_survival([1.0, 2.0], [True, False], [2, 5]).tolist() == [0, 0]
    risk, time, event = [3, 1, 2, 0], [1.0, 2.0, 4.0, 5.0], [True, True, True, False]
    inside = ours.uno_c(risk, time, event, train_time, train_event, tau=3.5)
    assert ours.uno_c(risk, time, event, train_time, train_event) == pytest.approx(inside)
    survival = np.full((4, 2), 0.5)
    assert np.isnan(ours.integrated_brier(survival, [1.5, 3.5], time, event, train_time, train_event))
    assert np.isfinite(ours.integrated_brier(survival, [1.5, 2.5], time, event, train_time, train_event))


def test_known_answers() -> None:
    """Without censoring a constant 1/2 scores 1/4 and a perfect curve 0; one horizon is the Brier score there."""
    time, event = np.arange(1.0, 9.0), np.ones(8, dtype=bool)
    times = np.array([2.5, 4.5, 6.5])
    perfect = (time[:, None] > times).astype(float)
    assert ours.integrated_brier(np.full((8, 3), 0.5), times, time, event, time, event) == pytest.approx(0.25)
    assert ours.integrated_brier(perfect, times, time, event, time, event) == pytest.approx(0)
    assert ours.integrated_brier(np.full((8, 1), 0.5), [4.5], time, event, time, event) == pytest.approx(0.25)
    assert ours.harrell_c(-time, time, event) == 1 and ours.harrell_c(time, time, event) == 0


def test_blocks_of_the_pair_matrix_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    risk, time, event = (
        rng.integers(0, 9, 70).astype(float),
        rng.integers(1, 20, 70).astype(float),
        rng.random(70) < 0.5,
    )
    weights = rng.multinomial(70, np.full(70, 1 / 70), size=30)
    whole = ours.harrell_c(risk, time, event, weights)
    for cells in (1, 200, 1000):
        monkeypatch.setattr(concordance, "_CELLS", cells)
        np.testing.assert_array_equal(ours.harrell_c(risk, time, event, weights), whole)
    np.testing.assert_allclose(ours.harrell_c(risk, time, event, weights * 0.1), whole, rtol=1e-12)


def test_memory_stays_small_for_twenty_thousand_patients() -> None:
    rng = np.random.default_rng(3)
    n = 20_000
    risk, time, event = rng.normal(size=n), rng.exponential(size=n), rng.random(n) < 0.02
    weights = rng.multinomial(n, np.full(n, 1 / n), size=100).astype(float)
    tracemalloc.start()
    ours.harrell_c(risk, time, event, weights)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200e6


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="one a patient"):
        ours.harrell_c([1.0], [1.0, 2.0], [True, True])
    with pytest.raises(ValueError, match="2 patients x 1 horizons"):
        ours.integrated_brier([[0.5, 0.5]], [1.0], [1.0, 2.0], [True, True], [1.0], [True])
    with pytest.raises(ValueError, match="increasing"):
        ours.integrated_brier(np.ones((2, 2)), [2.0, 1.0], [1.0, 2.0], [True, True], [1.0], [True])
