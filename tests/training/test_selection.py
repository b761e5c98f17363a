"""Selection by the gradient of optimal transport: finite differences of POT's cost, ties, and a planted cohort."""

from __future__ import annotations

import sys
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from chiasm.cohort import Unsupported
from chiasm.training import selection
from chiasm.training.selection import mixing_gradient, pool_gradient, select
from examples import examples

ot = pytest.importorskip("ot")
SIZES = st.sampled_from([(7, 5), (9, 4), (5, 8), (2, 3), (11, 7)])  # without a common divisor: one dual only
METRICS = st.sampled_from(["sqeuclidean", "euclidean"])


def clouds(seed: int, n: int, m: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 3)), rng.normal(size=(m, 3)) + 0.5


def cost(rows: np.ndarray, masses: np.ndarray, target: np.ndarray, metric: str = "sqeuclidean") -> float:
    return float(ot.emd2(masses, np.full(len(target), 1 / len(target)), cdist(rows, target, metric)))


@given(st.integers(0, 10_000), SIZES, METRICS)
@settings(max_examples=examples(25), deadline=None)
def test_the_pool_gradient_is_the_finite_difference(seed: int, sizes: tuple[int, int], metric: str) -> None:
    pool, target = clouds(seed, *sizes)
    n, step = sizes[0], 1e-6
    found = []
    for i in range(n):
        towards = np.full(n, -1 / (n - 1))
        towards[i] = 1.0
        ends = [cost(pool, 1 / n + sign * step * towards, target, metric) for sign in (1, -1)]
        found.append((ends[0] - ends[1]) / (2 * step))
    gradient = pool_gradient(pool, target, metric)
    np.testing.assert_allclose(gradient, found, rtol=1e-5, atol=1e-6)
    assert gradient.sum() == pytest.approx(0.0, abs=1e-9)


@given(st.integers(0, 10_000), SIZES, METRICS)
@settings(max_examples=examples(25), deadline=None)
def test_the_mixing_gradient_is_the_finite_difference(seed: int, sizes: tuple[int, int], metric: str) -> None:
    pool, target = clouds(seed, *sizes)
    candidates, step = np.random.default_rng(seed + 1).normal(size=(4, 3)), 1e-6
    now = cost(pool, np.full(len(pool), 1 / len(pool)), target, metric)
    masses = np.append(np.full(len(pool), (1 - step) / len(pool)), step)
    found = [(cost(np.vstack([pool, row]), masses, target, metric) - now) / step for row in candidates]
    np.testing.assert_allclose(mixing_gradient(candidates, pool, target, metric), found, rtol=1e-5, atol=2e-6)


@given(st.integers(0, 10_000), st.integers(1, 8), st.integers(1, 8))
@settings(max_examples=examples(30), deadline=None)
def test_order_scale_and_place_do_not_count(seed: int, n: int, m: int) -> None:
    """Also where the duals are many, as for n = m."""
    pool, target = clouds(seed, n, m)
    rng = np.random.default_rng(seed)
    rows, gradient = rng.permutation(n), pool_gradient(pool, target)
    np.testing.assert_allclose(pool_gradient(pool[rows], rng.permutation(target)), gradient[rows], atol=1e-12)
    np.testing.assert_allclose(pool_gradient(4 * pool, 4 * target), 16 * gradient, atol=1e-12)
    np.testing.assert_array_equal(pool_gradient(pool, target), gradient)
    candidates = rng.normal(size=(5, 3))
    mixed = mixing_gradient(candidates, pool, target)
    np.testing.assert_allclose(mixing_gradient(candidates[::-1], pool[rows], target), mixed[::-1], atol=1e-12)
    if np.gcd(n, m) == 1:
        np.testing.assert_allclose(pool_gradient(pool + 7, target + 7), gradient, atol=1e-9)


def mixture(rng: np.random.Generator, common: int, rare: int) -> np.ndarray:
    """Patients around 0, and around 4 along the first axis."""
    return np.vstack([rng.normal(size=(common, 2)), rng.normal((4.0, 0.0), size=(rare, 2))])


@pytest.mark.parametrize("seed", range(3))
def test_what_the_pool_lacks_is_selected_and_not_what_is_like_the_target(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pool, target = mixture(rng, 54, 6), mixture(rng, 50, 17)  # one in ten, where the target has one in four
    candidates = mixture(rng, 60, 20)
    rare = np.arange(80) >= 60
    chosen = select(candidates, target, 12, pool=pool)
    assert rare[chosen].all() and len(set(chosen)) == 12
    alike = np.argsort(cdist(candidates, target, "sqeuclidean").mean(1))[:12]
    assert rare[alike].mean() < 0.75
    by_chance = rng.permutation(80)[:12]
    left = [
        cost(np.vstack([pool, candidates[rows]]), np.full(72, 1 / 72), target) for rows in (chosen, alike, by_chance)
    ]
    assert left[0] < min(left[1:]) and left[0] < 0.75 * cost(pool, np.full(60, 1 / 60), target)
    gradient = mixing_gradient(candidates, pool, target)
    assert gradient[rare].max() < gradient[~rare].mean()


def test_without_a_pool_the_candidates_stand_for_it() -> None:
    rng = np.random.default_rng(5)
    candidates, target = mixture(rng, 50, 10), mixture(rng, 20, 17)
    chosen = select(candidates, target, 10)
    np.testing.assert_array_equal(chosen, np.argsort(pool_gradient(candidates, target), kind="stable")[:10])
    np.testing.assert_array_equal(chosen, select(candidates, target, 10, pool=candidates))
    assert (chosen >= 50).mean() > 0.9


def test_of_equal_candidates_the_earlier_comes_first() -> None:
    pool, target = clouds(0, 7, 5)
    candidates = np.repeat(np.random.default_rng(1).normal(size=(3, 3)), 4, 0)
    gradient = mixing_gradient(candidates, pool, target).reshape(3, 4)
    assert (gradient == gradient[:, :1]).all()
    chosen = select(candidates, target, 12, pool=pool)
    assert all((np.diff(block) == 1).all() for block in chosen.reshape(3, 4))
    doubled = pool_gradient(np.vstack([pool, pool]), target)
    np.testing.assert_array_equal(doubled[:7], doubled[7:])
    np.testing.assert_array_equal(select(np.zeros((4, 3)), target, 3), [0, 1, 2])


def test_candidates_in_parts_are_as_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pool, target = clouds(2, 7, 5)
    candidates = np.random.default_rng(3).normal(size=(40, 3))
    whole = mixing_gradient(candidates, pool, target)
    monkeypatch.setattr(selection, "CHUNK", 12)
    np.testing.assert_array_equal(mixing_gradient(candidates, pool, target), whole)


def test_none_and_one() -> None:
    pool, target = clouds(4, 7, 5)
    none = np.zeros((0, 3))
    assert select(none, target, 0).shape == select(none, target, 0, pool=pool).shape == (0,)
    assert pool_gradient(none, target).shape == mixing_gradient(none, pool, target).shape == (0,)
    assert select(pool, target, 0).dtype.kind == "i"
    np.testing.assert_array_equal(pool_gradient(pool[:1], target), [0.0])
    np.testing.assert_array_equal(select(pool[:1], target, 1), [0])
    np.testing.assert_allclose(mixing_gradient(pool[:1], pool[:1], target), [0.0], atol=1e-12)
    at_target = mixing_gradient(target[:1], pool[:1], target[:1])  # all mass at x, all wanted at y: the way is saved
    np.testing.assert_allclose(at_target, [-((pool[0] - target[0]) ** 2).sum()])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"target": np.zeros((0, 3))}, "target has no row"),
        ({"pool": np.zeros((0, 3))}, "pool has no row"),
        ({"pool": np.zeros((2, 4))}, "one width"),
        ({"target": np.zeros(3)}, "one width"),
        ({"target": np.array([[0.0, np.nan, 0.0]])}, "not finite"),
        ({"candidates": np.full((2, 3), np.inf)}, "not finite"),
        ({"pool": np.full((2, 3), 1e200)}, "too large"),
        ({"count": 5}, "5 of 4 candidates"),
        ({"count": -1}, "cannot be selected"),
    ],
)
def test_what_cannot_be_is_refused(changed: dict[str, object], message: str) -> None:
    given_: dict[str, object] = {"candidates": np.ones((4, 3)), "target": np.ones((2, 3)), "count": 2}
    with pytest.raises(ValueError, match=message):
        select(**{**given_, "pool": np.zeros((3, 3)), **changed})  # type: ignore[arg-type]


def test_too_many_pairs_and_too_many_pivots_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pool, target = clouds(6, 30, 23)
    monkeypatch.setattr(selection, "MOST_PIVOTS", 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match="was not solved"):
            pool_gradient(pool, target)
    monkeypatch.setattr(selection, "MOST_PAIRS", 600)
    with pytest.raises(ValueError, match="30 times 23 costs"):
        pool_gradient(pool, target)


def test_a_missing_pot_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ot", None)
    with pytest.raises(Unsupported, match=r"POT: pip install \"chiasm\[transport\]\""):
        pool_gradient(*clouds(0, 3, 2))
