"""Controllers: limits that hold, the Riccati gain, a gradient through doses, baselines, storage, what is scored."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import solve_discrete_are

from chiasm.api.controlling import load_controller
from chiasm.artifact import save
from chiasm.dynamics.twins.baselines import Beside, best_constant, best_pid, costs_of
from chiasm.dynamics.twins.controllers import Constant, Controller, Feedback, Network, Pid, fresh_weights
from chiasm.dynamics.twins.glucose import diabetes
from chiasm.dynamics.twins.goals import Goal, cost
from chiasm.dynamics.twins.kinds import KINDS, drawn_patients
from chiasm.dynamics.twins.limited import LimitedController
from chiasm.dynamics.twins.limits import Limits
from chiasm.dynamics.twins.linear import Linear
from chiasm.dynamics.twins.metamodel import fit_metamodel
from chiasm.dynamics.twins.rollout import Course, rollout, rollouts
from chiasm.dynamics.twins.scoring import interval_over_patients, runs, scored
from chiasm.dynamics.twins.simulator import Diverged, Scenario
from chiasm.dynamics.twins.training import Schedule, descend, train_network
from chiasm.errors import Unsupported

FREE = Limits((-math.inf,), (math.inf,), (0.0,), (0.0,))
LEVEL = Goal("target", target=10.0, scale=2.0, low=8.0, high=12.0)


def quadratic(course: Course) -> torch.Tensor:
    """`sum x'x + 0.1 u'u`."""
    return (course.measured[:-1] ** 2).sum((0, 2)) + 0.1 * (course.doses**2).sum((0, 2))


def linear(patients: int, spread: float = 1.0) -> Linear:
    table = torch.tensor([[0.9, 1.0, 0.0]] * patients, dtype=torch.float64)
    return Linear(tuple(str(own) for own in range(patients)), table, spread)


def riccati(twin: Linear) -> np.ndarray:
    a, b = (np.asarray(own[0]) for own in twin.matrices())
    own = solve_discrete_are(a, b, np.eye(2), np.array([[0.1]]))
    return np.asarray(np.linalg.solve(0.1 + b.T @ own @ b, b.T @ own @ a))


def test_the_riccati_gain_costs_least_of_linear_feedbacks() -> None:
    """No gradient is left at the gain of the Riccati equation, and there is one a tenth beside it."""
    twin, best = linear(256), torch.as_tensor(riccati(linear(1)))
    slopes = []
    for times in (1.0, 1.1):
        gain = (times * best).requires_grad_()
        controller = Feedback(gain, torch.zeros(2, dtype=torch.float64))
        quadratic(rollout(twin, controller, FREE, 60, 3)).mean().backward()  # type: ignore[no-untyped-call]
        assert gain.grad is not None
        slopes.append(float(gain.grad.abs().max()))
    assert slopes[0] < 1e-3 * slopes[1]


@pytest.mark.nightly
def test_trained_linear_feedback_is_the_gain_of_the_riccati_equation() -> None:
    twin, nothing = linear(64), torch.zeros(2, dtype=torch.float64)
    schedule = Schedule(40, epochs=100, learning_rate=0.4)

    def made(weights: list[torch.Tensor]) -> Controller:
        return Feedback(weights[0], nothing)

    start = [torch.zeros(1, 2, dtype=torch.float64)]
    found = descend(start, made, twin, quadratic, FREE, schedule)  # type: ignore[arg-type]
    np.testing.assert_allclose(found.weights[0].numpy(), riccati(twin), rtol=0.03)


@settings(max_examples=30, deadline=None)
@given(
    proposed=st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=4, max_size=4),
    before=st.lists(st.floats(0.5, 3.0), min_size=4, max_size=4),
    shown=st.lists(st.one_of(st.floats(0, 200), st.just(math.nan)), min_size=4, max_size=4),
)
def test_limits_hold_whatever_is_proposed(proposed: list[float], before: list[float], shown: list[float]) -> None:
    limits = Limits((0.5,), (3.0,), (0.4,), (0.25,), stop_below=80.0)
    own, given_before, seen = (torch.tensor(part, dtype=torch.float64)[:, None] for part in (proposed, before, shown))
    dose = limits.allowed(own, given_before, seen)
    assert bool(((dose >= 0.5) & (dose <= 3.0) & (dose <= given_before.clamp_min(0.5) + 0.4 + 1e-9)).all())
    steps = (dose - 0.5) / 0.25
    torch.testing.assert_close(steps, steps.round())
    stopped = ~(seen >= 80.0)
    assert bool((dose[stopped] == 0.5).all())


def test_scenarios_and_controllers_side_by_side_are_each_alone() -> None:
    twin, limits = diabetes(["adult#001", "child#002"]), Limits((0.0,), (9.0,), (0.0,), (0.05,))
    controllers = [Constant((1.5,)), Pid(0.02, 0.001, 0.0, 120.0)]
    found = rollouts(twin, Beside(controllers), limits, 6, [3, 4], times=2)
    for controller, courses in zip(controllers, found, strict=True):
        for seed, course in zip([3, 4], courses, strict=True):
            alone = rollout(twin, controller, limits, 6, seed)
            torch.testing.assert_close(course.measured, alone.measured)
            torch.testing.assert_close(course.doses, alone.doses)


def test_a_network_without_weights_gives_the_usual_dose_and_gradients_pass() -> None:
    twin = drawn_patients(KINDS["compartment"], 5, KINDS["compartment"].middle, 0.2, 1)
    limits = Limits((0.0,), (4.0,), (0.0,), (0.0,))
    found, trained = train_network(twin, lambda own: cost(LEVEL, own, torch.ones(1)), limits, Schedule(16, epochs=4))
    zeroed = [np.zeros_like(own) for own in found.weights]
    still = Network(zeroed, found.centre, found.scale, found.least, found.most)
    course = rollout(twin, still, limits, 3, 0)
    torch.testing.assert_close(course.doses, twin.usual.expand_as(course.doses))
    assert trained.checked[-1][1] < trained.checked[0][1] and trained.diverged == 0


def test_a_stored_controller_keeps_its_limits_and_gives_the_same_doses(tmp_path: Path) -> None:
    weights = [own.numpy() for own in fresh_weights(3, 1, 4, 0)]
    weights[-1] = np.array([5.0])
    network = Network(weights, np.zeros(3), np.ones(3), np.zeros(1), np.full(1, 2.0), (0, 1))
    limits = Limits((0.0,), (2.0,), (0.3,), (0.0,), stop_below=1.0)
    for controller in (network, Pid(0.5, 0.01, 0.1, 1.0), Constant((9.0,))):
        own = LimitedController(controller, limits, LEVEL, "metabolic", 15.0)
        save(tmp_path / "controller", own)
        opened = load_controller(tmp_path / "controller")
        assert opened.limits == limits and {file.suffix for file in (tmp_path / "controller").iterdir()} == {
            ".json", ".safetensors"
        }  # fmt: skip
        usual = torch.full((2, 1), 0.5, dtype=torch.float64)
        measured = torch.tensor([[2.0, 1.0], [0.5, 2.0]], dtype=torch.float64)
        before, remembered = [usual, usual], [one.memory(measured, usual) for one in (own, opened)]
        for _ in range(3):
            both = [one.propose(measured, *part) for one, part in zip(
                (own, opened), ((before[k], usual, remembered[k]) for k in range(2)), strict=True
            )]  # fmt: skip
            assert torch.equal(both[0][0], both[1][0])
            assert float(both[0][0].max()) <= 2 and float(both[0][0][1]) == 0  # the second is under the stop
            before, remembered = [own for own, _ in both], [kept for _, kept in both]
    save(tmp_path / "goal", LEVEL)
    with pytest.raises(ValueError, match="is a model folder and no controller"):
        load_controller(tmp_path / "goal")


def test_baselines_are_the_best_of_what_they_are_chosen_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chiasm.dynamics.twins.baselines.PIDS", 24)
    twin = drawn_patients(KINDS["compartment"], 3, KINDS["compartment"].middle, 0.1, 1)
    limits = Limits((0.0,), (4.0,), (0.0,), (0.0,))

    def priced(course: Course) -> torch.Tensor:
        return cost(LEVEL, course, torch.ones(1))

    constant, least = best_constant(twin, priced, limits, 12, [1])
    others = [Constant((own,)) for own in np.linspace(0, 10, 7)]
    assert least <= min(costs_of(others, twin, priced, limits, 12, [1]))
    alone = priced(rollout(twin, constant, limits, 12, 1)).mean()
    assert least == pytest.approx(float(alone))
    pid, price = best_pid(twin, LEVEL, priced, limits, 12, [1])
    assert price < least and price == pytest.approx(float(priced(rollout(twin, pid, limits, 12, 1)).mean()))
    assert costs_of([pid, constant], twin, priced, limits, 12, [1]) == pytest.approx([price, least])
    assert isinstance(Beside([pid]), Beside)


class Walls(Linear):
    """A simulator through which no gradient passes, and in which a great push leads nowhere."""

    @property
    def differentiable(self) -> bool:
        return False

    def step(self, state: torch.Tensor, dose: torch.Tensor, scenario: Scenario, step: int) -> torch.Tensor:
        moved = super().step(state, dose, scenario, step).detach()
        return torch.where(dose > 50, torch.full_like(moved, math.nan), moved)


@pytest.mark.nightly
def test_a_simulator_without_gradient_is_trained_through_a_metamodel() -> None:
    twin = Walls(("a", "b"), torch.tensor([[0.9, 1.0, 0.0]] * 2, dtype=torch.float64))
    limits, schedule = Limits((-2.0,), (2.0,), (0.0,), (0.0,)), Schedule(24, epochs=8, learning_rate=0.05)
    metamodel = fit_metamodel(twin, limits, schedule)
    assert float(metamodel.error.max()) < 0.1
    network, _ = train_network(metamodel, quadratic, limits, schedule)
    found = [float(quadratic(rollout(twin, own, limits, 24, 5)).mean()) for own in (network, Constant((0.0,)))]
    assert found[0] < 0.7 * found[1]


def test_divergence_and_a_missing_gradient_are_told() -> None:
    twin = Walls(("a", "b"), torch.tensor([[0.9, 1.0, 0.0]] * 2, dtype=torch.float64))
    with pytest.raises(Unsupported, match="train through a metamodel"):
        train_network(twin, quadratic, Limits((-2.0,), (2.0,), (0.0,), (0.0,)), Schedule(24))
    with pytest.raises(Diverged, match="diverged for 2 of 2 patients in step 1: lower the highest dose"):
        rollout(twin, Constant((0.0,), (60.0,)), FREE, 3, 0)
    assert costs_of([Constant((0.0,), (60.0,)), Constant((0.0,))], twin, quadratic, FREE, 3, [0])[0] == math.inf


def test_what_is_scored() -> None:
    low = np.array([[1, 1, 1, 0, 1, 1, 0, 1, 1, 1, 1]]).T.astype(bool)
    assert runs(low, 3).tolist() == [2] and runs(low, 2).tolist() == [3]
    values = torch.tensor([11.0, 5.0, 5.0, 5.0, 11.0, 13.0, 4.0, 11.0, 11.0], dtype=torch.float64)[:, None, None]
    goal = Goal("target", target=10.0, scale=1.0, low=8.0, high=12.0, very_low=4.5, dose_weight=4.0)
    course = Course(values, torch.full((8, 1, 1), 0.5, dtype=torch.float64))
    row = scored(goal, course, torch.ones(1, dtype=torch.float64), 5.0).iloc[0]
    assert (row["in_range"], row["below"], row["above"], row["very_low"]) == (3 / 8, 4 / 8, 1 / 8, 1 / 8)
    assert row["episodes"] == pytest.approx(1 / (40 / 1440)) and row["dose"] == 0.5  # four low steps, three in one run
    assert row["cost"] == pytest.approx((3 * 25 + 1 + 9 + 36 + 1 + 1) / 8 + 4 * 0.25)
    risk = Goal("risk", low=70.0, high=180.0)
    flat = Course(torch.full((2, 1, 1), 112.517, dtype=torch.float64), torch.zeros(1, 1, 1, dtype=torch.float64))
    assert float(cost(risk, flat, torch.ones(1))) < 1e-3
    assert interval_over_patients(np.arange(4.0))[0] == 1.5 and math.isnan(interval_over_patients(np.arange(4.0))[1])
    assert math.isnan(interval_over_patients(np.array([1.0, math.nan] * 5))[0])


def test_candidates_of_a_baseline_are_held_to_the_same_disturbances() -> None:
    twin = drawn_patients(KINDS["linear"], 3, Linear.MIDDLE, 0.1, 0)
    limits = Limits((-2.0,), (2.0,), (0.0,), (0.0,))
    tried = [Pid(-0.5, 0.0, -1.0, 0.0)] * 4
    alike = costs_of(tried, twin, quadratic, limits, 12, (3, 4))
    assert alike == pytest.approx([alike[0]] * 4) and alike[0] == pytest.approx(
        costs_of(tried[:1], twin, quadratic, limits, 12, (3, 4))[0]
    )


def test_a_stored_controller_reads_no_dose_before_the_first() -> None:
    weights = [np.asarray(own) + 0.1 for own in fresh_weights(1, 1, 4, 0)]
    one = np.ones(1)
    network = Network(weights, one * 0, one, one * 0, one * 9)
    goal = Goal("target", target=1.0, low=0.0, high=2.0)
    own = LimitedController(network, Limits((0.0,), (9.0,), (0.0,), (0.0,)), goal, "compartment", 60.0)
    shown, usual = torch.full((2, 1), 3.0, dtype=torch.float64), torch.full((2, 1), 0.4, dtype=torch.float64)
    doses = [own.propose(shown, usual * times, usual, own.memory(shown, usual))[0] for times in (1, 7)]
    assert torch.equal(*doses)
