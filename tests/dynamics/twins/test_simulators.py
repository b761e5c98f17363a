"""Simulators: equality with simglucose, the equation that many agents follow, what flows in flows out, closed forms."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from chiasm.dynamics.twins.compartment import Compartment
from chiasm.dynamics.twins.glucose import STATES, Glucose, diabetes
from chiasm.dynamics.twins.metabolic import Metabolic
from chiasm.dynamics.twins.ode import ADAPTIVE, Equations, Exponential, runge_kutta
from chiasm.dynamics.twins.predator_prey import many
from chiasm.dynamics.twins.simulator import Quantity, Scenario, spread_patients
from chiasm.dynamics.twins.straight_through import rounded_down

ORACLE = json.loads(Path(__file__).with_name("simglucose.json").read_text())


@pytest.mark.parametrize("hours", [2.5, pytest.param(6.0, marks=pytest.mark.nightly)])
def test_patients_of_simglucose_are_those_of_its_own_code(hours: float) -> None:
    names = list(ORACLE["states"])
    twin = diabetes(names)
    meals, waiting = torch.zeros(ORACLE["minutes"] // 5, len(names), 5, dtype=torch.float64), 0.0
    for minute in range(ORACLE["minutes"]):
        waiting += ORACLE["meals"].get(str(minute), 0.0)
        eaten = min(5.0, waiting)
        waiting -= eaten
        meals[minute // 5, :, minute % 5] = eaten
    scenario = Scenario(torch.Generator(), meals)
    state = twin.start(scenario)
    found = []
    for step in range(round(12 * hours)):
        times = [factor for start, factor in ORACLE["times_basal"] if start <= 5 * step][-1]
        state = twin.step(state, times * twin.usual, scenario, step)
        if 5 * (step + 1) % ORACLE["every"] == 0:
            found.append(state[:, :STATES])
    own, theirs = torch.stack(found, 1), torch.tensor(list(ORACLE["states"].values()), dtype=torch.float64)
    theirs = theirs[:, : own.shape[1]]
    torch.testing.assert_close(own, theirs, rtol=5e-4, atol=1e-2)
    glucose = own[:, :, -1] / twin.of("Vg")[:, None]
    torch.testing.assert_close(glucose, theirs[:, :, -1] / twin.of("Vg")[:, None], rtol=5e-5, atol=0.0)


def test_a_basal_rate_holds_glucose_without_meals_and_a_patients_meals_are_its_own() -> None:
    twin = diabetes(["adult#002", "adult#001"])
    scenario = Scenario(torch.Generator(), torch.zeros(12, 2, 5, dtype=torch.float64))
    state = first = twin.start(scenario)
    for step in range(12):
        state = twin.step(state, twin.usual, scenario, step)
    torch.testing.assert_close(state, first, rtol=1e-3, atol=1e-3)
    together, alone = twin.scenario(288, 5), diabetes(["adult#001"]).scenario(288, 5)
    assert together.disturbances is not None and alone.disturbances is not None
    torch.testing.assert_close(together.disturbances[:, 1], alone.disturbances[:, 0])
    assert float(alone.disturbances.sum()) > 100 and float(alone.disturbances.max()) == 5


def test_many_agents_come_to_the_steady_state_of_their_equation() -> None:
    twin = dataclasses.replace(many(["a"]), side=2, room=100_000, first=(0.6, 0.35))
    dose = torch.full((1, 1), 0.25, dtype=torch.float64)
    scenario = twin.scenario(1, 0)
    state = twin.start(scenario)
    for step in range(200):
        state = twin.step(state, dose, scenario, step)
    torch.testing.assert_close(twin.measure(state), twin.steady(dose), rtol=0.02, atol=0.0)


def test_agents_are_whole_and_moving_loses_none() -> None:
    twin = dataclasses.replace(many(["a", "b"], birth=1e-9, hunt=1e-9, death=1e-9, kill=1e-9), side=3, room=20)
    scenario = twin.scenario(1, 0)
    before = after = twin.start(scenario)
    for step in range(5):
        after = twin.step(after, twin.usual, scenario, step)
    assert bool((after == after.round()).all()) and bool((after >= 0).all()) and not torch.equal(before, after)
    torch.testing.assert_close(twin.measure(after), twin.measure(before))


def test_a_straight_through_gradient_is_that_of_the_expected_cost() -> None:
    """Of the mean density of prey after ten steps over the dose, within four standard errors of Monte Carlo."""
    twin = dataclasses.replace(many([""] * 3000), side=1, room=100)

    def final(dose: torch.Tensor, seed: int) -> torch.Tensor:
        scenario = twin.scenario(1, seed)
        state = twin.start(scenario)
        for step in range(10):
            state = twin.step(state, dose, scenario, step)
        return twin.measure(state).sum(1)

    dose = torch.full((3000, 1), 0.5, dtype=torch.float64, requires_grad=True)
    final(dose, 1).sum().backward()
    assert dose.grad is not None
    slope, apart = dose.grad.mean(), 0.2
    high, low = final(dose.detach() + apart, 2), final(dose.detach() - apart, 3)
    finite = (high.mean() - low.mean()) / (2 * apart)
    error = ((high.var() + low.var()) / len(high) / (2 * apart) ** 2 + dose.grad.var() / len(high)).sqrt()
    assert abs(float(slope - finite)) < 4 * float(error)
    assert abs(float(finite)) > 10 * float(error)  # so that a gradient of 0 is found


def test_what_flows_into_the_network_flows_out_and_the_patients_differ() -> None:
    names, table = spread_patients(Metabolic.PARAMETERS, Metabolic.MIDDLE, 3, 0.1, 0)
    twin = Metabolic(names, table)
    scenario = twin.scenario(1, 0)
    state, dose = twin.start(scenario), torch.full((3, 1), 1.2, dtype=torch.float64)
    for step in range(160):
        state = twin.step(state, dose, scenario, step)
    flows = twin.flows(state)
    torch.testing.assert_close(flows[:, 0], dose[:, 0], rtol=1e-3, atol=0.0)
    torch.testing.assert_close(flows[:, 1] + flows[:, 2], dose[:, 0], rtol=1e-3, atol=0.0)
    assert float(state[:, 0].std()) > 1e-3


def test_a_compartment_is_its_equation_solved_by_torchdiffeq() -> None:
    pytest.importorskip("torchdiffeq")
    table = torch.tensor([Compartment.MIDDLE, (0.5, 0.5, 0.3)], dtype=torch.float64)  # the second: ka is ke
    twin = Compartment(("a", "b"), table)

    def law(state: torch.Tensor, dose: torch.Tensor, parameters: torch.Tensor) -> torch.Tensor:
        absorbed = parameters[:, 0] * state[:, 0]
        return torch.stack([-absorbed, absorbed - parameters[:, 1] * state[:, 1]], 1)

    first = torch.tensor([[4.0, 0.0]] * 2, dtype=torch.float64)
    drug = (Quantity("drug", "mg"),)
    solved = Equations(twin.patients, table, law=law, first=first, columns=(1,), quantities=drug, given=drug)
    scenario = solved.scenario(1, 0)
    found = solved.step(solved.start(scenario), torch.zeros(2, 1), scenario, 0)
    torch.testing.assert_close(twin.after(first, 1.0), found, rtol=1e-5, atol=1e-6)
    for method in ADAPTIVE[1:]:
        own = dataclasses.replace(solved, method=method, tolerance=1e-5)
        torch.testing.assert_close(own.step(first, torch.zeros(2, 1), scenario, 0), found, rtol=1e-2, atol=1e-3)
    fixed = dataclasses.replace(solved, method="rk4", substeps=16)
    torch.testing.assert_close(fixed.step(first, torch.zeros(2, 1), scenario, 0), found, rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match="no method 'euler' chooses its own steps"):
        dataclasses.replace(solved, method="euler").step(first, torch.zeros(2, 1), scenario, 0)


def test_doses_are_rounded_down_and_keep_their_gradient() -> None:
    value = torch.tensor([[0.26, 0.3]], dtype=torch.float64, requires_grad=True)
    found = rounded_down(value, torch.tensor([0.1, 0.0]), torch.tensor([0.05, 0.0]))
    torch.testing.assert_close(found.detach(), torch.tensor([[0.25, 0.3]], dtype=torch.float64))
    found.sum().backward()
    assert value.grad is not None and value.grad.tolist() == [[1.0, 1.0]]


def test_an_exponential_step_is_exact_where_the_rest_is_constant_and_else_of_fourth_order() -> None:
    fast = torch.tensor([[[-9.0, 1.0], [0.0, -0.2]], [[0.0, 1.0], [0.0, 0.0]]], dtype=torch.float64)
    first, held = torch.tensor([[1.0, 2.0]] * 2, dtype=torch.float64), torch.tensor([[3.0, 0.5]] * 2).double()
    reached = Exponential.of(fast, 2.0)(lambda x: held, first)
    exact = torch.matrix_exp(2.0 * torch.cat([torch.cat([fast, held[..., None]], 2), torch.zeros(2, 1, 3)], 1).double())
    torch.testing.assert_close(reached, (exact @ torch.cat([first, torch.ones(2, 1)], 1)[..., None])[:, :2, 0])

    def bent(x: torch.Tensor) -> torch.Tensor:
        return torch.stack([torch.sin(x[:, 1]), -x[:, 0] * x[:, 1]], 1)

    missed, best = [], runge_kutta(lambda x: (fast @ x[..., None])[..., 0] + bent(x), first, 1.0, 400)
    for steps in (8, 16):
        own, step = first, Exponential.of(fast, 1.0 / steps)
        for _ in range(steps):
            own = step(bent, own)
        missed.append(float((own - best).abs().max()))
    assert 12 < missed[0] / missed[1] < 20  # 16 of a fourth order


def test_a_coarse_twin_is_close_for_every_patient() -> None:
    """Through a breakfast; in classical steps of two minutes and a half insulin diverges in two of them."""
    twin = diabetes(["adult", "adolescent", "child"])
    assert isinstance(twin, Glucose)
    coarse, scenario = dataclasses.replace(twin, coarse=True), twin.scenario(108, 1)
    states = [own.start(scenario) for own in (twin, coarse)]
    for step in range(72, 102):
        states = [own.step(state, own.usual, scenario, step) for own, state in zip((twin, coarse), states, strict=True)]
    torch.testing.assert_close(twin.measure(states[0]), coarse.measure(states[1]), rtol=0.03, atol=0.0)


def test_equations_have_a_row_for_each_patient() -> None:
    parts = {"law": lambda state, dose, own: -state, "columns": (0,), "quantities": (Quantity("x", ""),)}
    given = (Quantity("dose", ""),)
    for rows, first in ((3, 2), (2, 3)):
        with pytest.raises(ValueError, match="as many rows as names"):
            Equations(("a", "b"), torch.ones(rows, 1), first=torch.ones(first, 1), given=given, **parts)  # type: ignore[arg-type]
