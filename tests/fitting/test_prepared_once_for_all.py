"""Tokens of a training set are prepared once for all recipes, and not kept where they are large."""

from __future__ import annotations

import pytest

from chiasm.cohort import synthetic_cohort
from chiasm.compute.memo import forget
from chiasm.fitting import neural
from chiasm.fitting.base import Training


def test_small_tokens_are_shared_and_large_ones_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    cohort = synthetic_cohort("complementary", 40, seed=0)
    assert cohort.outcome is not None and cohort.target is not None
    training = Training(cohort, cohort.target, cohort.outcome, 0, None, "cpu")
    forget()
    first = neural.prepared_once(training)
    assert neural.prepared_once(training) is first and first.values > 40
    forget()
    monkeypatch.setattr(neural, "MOST_KEPT", first.values - 1)
    assert neural.prepared_once(training) is not neural.prepared_once(training)
