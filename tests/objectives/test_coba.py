"""CoBa: the paper's formulas written out again, laws, the defects of the published code, a state that resumes."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chiasm.artifact import load_checkpoint, save_checkpoint
from chiasm.objectives.coba import CoBa, CoBaState
from examples import examples

TASKS = 3


def falling(seed: int, steps: int = 30, tasks: int = TASKS) -> np.ndarray:
    """Noisy validation losses that fall at different rates, (steps, K)."""
    rng = np.random.default_rng(seed)
    time = np.arange(steps)[:, None]
    return (
        np.exp(-time * rng.uniform(0.005, 0.1, tasks))
        * rng.uniform(0.5, 5, tasks)
        * rng.uniform(0.9, 1.1, (steps, tasks))
    )


def run(coba: CoBa, losses: np.ndarray, state: CoBaState | None = None) -> CoBaState:
    state = coba.start() if state is None else state
    for row in losses:
        state = coba.after(state, row)
    return state


def softmax(x: np.ndarray) -> np.ndarray:
    return np.exp(x) / np.exp(x).sum()


@given(st.integers(0, 10_000), st.integers(8, 30))
@settings(max_examples=examples(25), deadline=None)
def test_the_formulas_written_out_again(seed: int, steps: int) -> None:
    losses, window, warmup, tau = falling(seed, steps), 6, 4, 5.0
    ratio = losses / losses[0]
    slopes = []
    for end in range(warmup + 1, steps + 1):
        here = ratio[max(0, end - window) : end]
        slopes.append([np.polyfit(np.arange(len(here)), here[:, k], 1)[0] for k in range(TASKS)])
    alpha = np.array(slopes)
    recent, worst, time = alpha[-window:], alpha.max(1), len(alpha)
    rcs = softmax(TASKS * alpha[-1] / np.abs(alpha[-1]).sum())
    acs = softmax(-len(recent) * alpha[-1] / np.abs(recent).sum(0))
    df = min(1.0, time * softmax(-tau * time * worst / np.abs(worst).sum())[-1])
    coba = CoBa(TASKS, warmup, window, tau, floor=0.0)
    state = run(coba, losses)
    assert coba.divergence_factor(state) == pytest.approx(df, rel=1e-6)
    np.testing.assert_allclose(coba.weights(state), df * rcs + (1 - df) * acs, rtol=1e-6)
    default = CoBa(TASKS, warmup, window, tau)
    np.testing.assert_allclose(default.weights(state), 1 / 30 + 0.9 * coba.weights(state), rtol=1e-12)


UNITS = st.lists(st.floats(1e-3, 1e3), min_size=TASKS, max_size=TASKS)
CELL = st.none() | st.just(0.0) | st.floats(0, 1e300)


@given(st.integers(0, 10_000), UNITS, st.permutations([0, 1, 2]))
@settings(max_examples=examples(40), deadline=None)
def test_neither_the_unit_of_a_loss_nor_the_order_of_tasks_counts(
    seed: int, units: list[float], order: list[int]
) -> None:
    coba, losses = CoBa(TASKS), falling(seed)
    weights = coba.weights(run(coba, losses))
    np.testing.assert_allclose(coba.weights(run(coba, losses * units)), weights, rtol=1e-6)
    np.testing.assert_allclose(coba.weights(run(coba, losses[:, order])), weights[order], rtol=1e-6)


@given(st.lists(st.lists(CELL, min_size=TASKS, max_size=TASKS), min_size=1, max_size=40))
@settings(max_examples=examples(60), deadline=None)
def test_whatever_the_losses_weights_sum_to_one_and_keep_the_floor(rows: list[list[float | None]]) -> None:
    coba = CoBa(TASKS, warmup=2, window=4)
    state = coba.start()
    for row in np.array(rows, np.float64):
        state = coba.after(state, row)
        weights = coba.weights(state)
        assert weights.sum() == pytest.approx(1.0) and (weights >= 1 / 30 - 1e-12).all()
        assert 0.0 <= coba.divergence_factor(state) <= 1.0


def test_uniform_until_warm_and_until_every_task_has_a_slope() -> None:
    coba = CoBa(2, warmup=3)
    losses = np.array([[1.0, np.nan], [0.9, np.nan], [0.8, 1.0], [0.7, np.nan], [0.6, 0.99]])
    for seen in range(5):
        np.testing.assert_array_equal(coba.weights(run(coba, losses[:seen])), [0.5, 0.5])
        assert run(coba, losses[:seen]).slopes.shape == (2, 0)
    slow = coba.weights(run(coba, losses))
    assert slow[1] > slow[0]  # task 1 falls more slowly


def test_a_first_loss_of_zero_is_no_measure() -> None:
    """Held-out patients without an event have loss zero: the ratio is taken of the first loss above it."""
    coba, losses = CoBa(TASKS), falling(3)
    losses[:2, 1] = 0.0
    zero = run(coba, losses)
    losses[:2, 1] = np.nan
    np.testing.assert_array_equal(coba.weights(zero), coba.weights(run(coba, losses)))
    np.testing.assert_array_equal(zero.first, [*losses[0, :1], losses[2, 1], losses[0, 2]])


def test_a_slow_task_gains_and_one_that_turns_upwards_loses() -> None:
    coba, time = CoBa(2, warmup=4, window=8), np.arange(30.0)
    slow = coba.weights(run(coba, np.column_stack([1 - 0.02 * time, 1 - 0.002 * time])))
    assert slow[1] > 0.6
    turned = np.column_stack([1 - 0.02 * time, np.where(time < 22, 1 - 0.02 * time, 0.56 + 0.05 * (time - 22))])
    state = run(coba, turned)
    assert coba.divergence_factor(state) < 0.2
    assert coba.weights(state)[1] < 0.4


def test_alike_tasks_and_flat_losses_are_uniform() -> None:
    coba = CoBa(2)
    np.testing.assert_allclose(coba.weights(run(coba, np.repeat(falling(0, tasks=1), 2, 1))), 0.5)
    np.testing.assert_allclose(coba.weights(run(coba, np.ones((20, 2)))), 0.5)  # published: 0 / 0
    np.testing.assert_allclose(CoBa(1).weights(run(CoBa(1), falling(0, tasks=1))), 1.0)


def test_the_divergence_factor_is_bounded() -> None:
    """Without the bound of 1, `1 - DF` is negative and what a task's own past speaks against would gain."""
    coba, time = CoBa(2, warmup=3, window=4), np.arange(20.0)
    late = np.where(time < 15, 1 + 0.01 * time, 1.15 - 0.2 * (time - 15))  # worse, then suddenly better
    state = run(coba, np.column_stack([late, late * np.linspace(1, 0.9, 20)]))
    time_seen = len(state.worst)
    raw = time_seen * softmax(-5 * time_seen * state.worst / np.abs(state.worst).sum())[-1]
    assert raw > 2.0
    assert coba.divergence_factor(state) == 1.0


def test_a_missing_loss_does_not_shift_time_and_a_loss_of_zero_is_one() -> None:
    """The published fit drops zeros, which also stand for missing, and gives the later losses the earlier times."""
    coba = CoBa(2, warmup=2, window=10)
    line = 1 - 0.05 * np.arange(12.0)
    gaps = line.copy()
    gaps[[3, 4, 8]] = np.nan
    full, holes = run(coba, np.column_stack([line, line])), run(coba, np.column_stack([line, gaps]))
    np.testing.assert_allclose(holes.slopes[:, -1], full.slopes[:, -1])
    learnt = np.maximum(1 - 0.25 * np.arange(12.0), 0)
    expected = np.polyfit(np.arange(10), learnt[2:], 1)[0]
    assert run(coba, np.column_stack([line, learnt])).slopes[1, -1] == pytest.approx(expected)
    kept = run(coba, np.full((15, 2), [0.5, np.nan]), full)  # nothing new of task 1: its last slope stays
    assert kept.slopes[1, -1] != 0.0


def test_the_window_of_slopes_is_as_long_as_it_says() -> None:
    """The published one counts from the first step while the slopes begin after the warm-up, and ends up shorter."""
    coba = CoBa(TASKS, warmup=6, window=7)
    state = run(coba, falling(2, 60))
    assert state.ratios.shape == state.slopes.shape == (TASKS, 7) and state.worst.shape == (54,)


def test_a_small_change_of_losses_is_a_small_change_of_weights() -> None:
    """The published floor is mixed in only when a weight falls below it, by which all weights jump."""
    coba, bare = (CoBa(2, warmup=2, window=20, floor=floor) for floor in (None, 0.0))
    line, seen, low = 1 - 0.01 * np.arange(24), [], []
    for steep in np.linspace(0.0, 0.3, 300):
        state = run(coba, np.column_stack([line, np.append(line[:20], 0.81 + steep * np.arange(1, 5))]))
        seen.append(coba.weights(state))
        low.append(bare.weights(state).min())
    assert min(low) < 0.05 < max(low)  # the floor sets in on the way
    assert np.abs(np.diff(seen, axis=0)).max() < 0.02


@given(st.integers(0, 10_000), st.integers(0, 25))
@settings(max_examples=examples(15), deadline=None)
def test_a_stored_state_resumes_as_if_never_stopped(
    tmp_path_factory: pytest.TempPathFactory, seed: int, at: int
) -> None:
    coba, losses = CoBa(TASKS, warmup=4, window=6), falling(seed, 26)
    losses[np.random.default_rng(seed).random(losses.shape) < 0.2] = np.nan
    path = Path(tmp_path_factory.mktemp("coba") / "state")
    save_checkpoint(path, {"balance": run(coba, losses[:at])})
    stored = load_checkpoint(path)["balance"]
    assert isinstance(stored, CoBaState)
    resumed, whole = run(coba, losses[at:], stored), run(coba, losses)
    for field in fields(whole):
        np.testing.assert_array_equal(getattr(resumed, field.name), getattr(whole, field.name))
    np.testing.assert_array_equal(coba.weights(resumed), coba.weights(whole))


def test_a_state_is_not_changed_in_place() -> None:
    coba = CoBa(TASKS)
    state = run(coba, falling(0, 12))
    before = {field.name: np.copy(getattr(state, field.name)) for field in fields(state)}
    run(coba, falling(1, 5), state)
    coba.weights(state)
    for name, value in before.items():
        np.testing.assert_array_equal(getattr(state, name), value)


@pytest.mark.parametrize("losses", [[1.0], [1.0, np.inf, 1.0], [1.0, -0.1, 1.0]])
def test_a_loss_that_cannot_be_is_refused(losses: list[float]) -> None:
    with pytest.raises(ValueError, match="3 validation losses"):
        CoBa(TASKS).after(CoBa(TASKS).start(), np.array(losses))


@pytest.mark.parametrize("options", [{"tasks": 0}, {"window": 1}, {"warmup": -1}, {"temperature": 0.0}, {"floor": 0.4}])
def test_an_option_outside_its_range_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError):
        CoBa(**{"tasks": TASKS, **options})  # type: ignore[arg-type]
