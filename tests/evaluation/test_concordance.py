"""Pairs of many patients are counted in O(n log n), and come out as in the matrix of pairs."""

from __future__ import annotations

import time as clock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chiasm.metrics import classification as classification_metrics
from chiasm.metrics import concordance
from chiasm.metrics.survival import harrell_c, uno_c
from examples import examples


@st.composite
def followed(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Risks with ties and near ties of one tolerance, tied times, events."""
    n = draw(st.integers(1, 40))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    near = rng.choice([0.0, 0.4e-8, 0.9e-8, 1e-8, 1.1e-8, -0.7e-8], n)
    risk = rng.integers(0, draw(st.integers(1, 12)), n) * 0.1 + near
    return risk, rng.integers(1, draw(st.integers(2, 20)), n).astype(float), rng.random(n) < 0.5


@given(followed())
@settings(deadline=None, max_examples=examples(200))
def test_equals_the_matrix_of_pairs(data: tuple) -> None:
    risk, time, event = data
    rng = np.random.default_rng(0)
    train = (rng.integers(1, 25, 60).astype(float), rng.random(60) < 0.5)
    slow = harrell_c(risk, time, event), uno_c(risk, time, event, *train, tau=15)
    many, concordance.MANY = concordance.MANY, 1
    try:
        fast = harrell_c(risk, time, event), uno_c(risk, time, event, *train, tau=15)
    finally:
        concordance.MANY = many
    np.testing.assert_allclose(fast, slow, rtol=0, atol=1e-12)


@pytest.mark.parametrize("levels", [0, 50])
def test_equals_the_matrix_of_pairs_for_three_thousand(levels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    risk = rng.normal(size=3000) if levels == 0 else rng.integers(0, levels, 3000).astype(float)
    time = np.ceil(rng.exponential(np.exp(-risk / max(levels, 1)), 3000) * 40)
    event = rng.random(3000) < 0.6
    fast = harrell_c(risk, time, event)
    monkeypatch.setattr(concordance, "MANY", 10**9)
    np.testing.assert_allclose(fast, harrell_c(risk, time, event), rtol=0, atol=1e-12)


def test_two_hundred_thousand_patients_take_seconds() -> None:
    """The matrix of their pairs has 4e10 cells, which take minutes."""
    rng = np.random.default_rng(2)
    n = 200_000
    risk = rng.normal(size=n)
    death, left = rng.exponential(np.exp(-risk)), rng.exponential(size=n)
    start = clock.process_time()
    found = harrell_c(risk, np.minimum(death, left), death <= left)[0]
    area = classification_metrics.auroc(np.stack([-risk, risk], axis=1), (death <= left).astype(int))[0]
    assert clock.process_time() - start < 10
    # two exponential times with rates e^a and e^b: the first is the shorter one with odds e^(a - b)
    pair = rng.normal(size=(2, 200_000))
    pair.sort(axis=0)
    censored = rng.exponential(size=(2, 200_000))
    times = rng.exponential(np.exp(-pair))
    seen = np.minimum(times, censored)
    first = seen.argmin(axis=0)
    comparable = np.take_along_axis(times <= censored, first[None], axis=0)[0]
    assert found == pytest.approx(first[comparable].mean(), abs=0.01)
    assert 0.6 < area < 0.9
