"""Glucose and insulin of type 1 diabetes: the equations of the UVA/Padova simulator of 2008, in torch.

They are what simglucose integrates, written anew so that gradients pass and patients advance as one batch;
equality with simglucose's own patients is tested.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from chiasm.dynamics.twins.diabetes_patients import STATES, diabetes_patients, require_patients
from chiasm.dynamics.twins.meals import carbohydrate, sensor_error
from chiasm.dynamics.twins.ode import Exponential, runge_kutta
from chiasm.dynamics.twins.simulator import Quantity, Scenario, Twin

UNIT_PMOL = 6000.0  # pmol of insulin in a unit
BODY = (
    "BW", "kabs", "kmax", "kmin", "b", "d", "Vg", "Vi", "Ib", "Vmx", "Km0", "Vm0", "k1", "k2", "p2u", "m1", "m2", "m4",
    "m30", "ki", "kp1", "kp2", "kp3", "f", "ke1", "ke2", "Fsnc", "kd", "ksc", "ka1", "ka2", "u2ss",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Glucose(Twin):
    """Thirteen states, insulin in U/h as the dose, glucose below the skin in mg/dL as what is measured.

    The states: glucose in the stomach (solid, liquid) and the gut in mg, in plasma and tissue in mg/kg, insulin in
    plasma, its three actions, in the liver, in two depots below the skin, and glucose below the skin. Two more hold
    what the present meal began with and how much of it has been eaten, in mg. A step is five minutes, in each of which
    one classical Runge-Kutta step is made; `coarse` makes one for all five, for training, in which what is linear is
    exact: insulin turns over too fast in some of the thirty patients for a classical step of two minutes and a half.

    Meals are drawn and are not told to a controller, and the sensor errs (`meals.py`). The usual dose is each patient's
    basal rate, which holds glucose without meals: `u2ss BW / 6000` units a minute.

    Source: Dalla Man, Rizza and Cobelli (2007), Kovatchev et al. (2009); parameters and patients of simglucose 0.2.11.
    """

    coarse: bool = False

    NAME: ClassVar[str] = "glucose"
    PARAMETERS: ClassVar[tuple[str, ...]] = (*BODY, *(f"x0_{own:2d}" for own in range(1, STATES + 1)))
    MINUTES: ClassVar[float] = 5.0
    MEASURES: ClassVar[tuple[Quantity, ...]] = (Quantity("glucose", "mg/dL", 39.0, 600.0),)
    DOSES: ClassVar[tuple[Quantity, ...]] = (Quantity("insulin", "U/h"),)

    @property
    def usual(self) -> Tensor:
        return (self.of("u2ss") * self.of("BW") / UNIT_PMOL * 60)[:, None]

    def scenario(self, steps: int, seed: int) -> Scenario:
        """Meals in g a minute, `(T, B, 5)`, and errors of the sensor, `(T + 1, B, 1)`.

        A patient's meals depend on the seed and on the patient's name, not on who else is simulated.
        """
        minutes = int(self.MINUTES)
        meals, errors = np.empty((steps, len(self.patients), minutes)), np.empty((steps + 1, len(self.patients), 1))
        drawn: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        for own, name in enumerate(self.patients):
            if name not in drawn:
                rng = np.random.default_rng([seed, *name.encode()])
                eaten = carbohydrate(steps * minutes, rng).reshape(steps, minutes)
                drawn[name] = eaten, sensor_error(steps + 1, self.MINUTES, rng)
            meals[:, own], errors[:, own, 0] = drawn[name]
        return Scenario(torch.Generator().manual_seed(seed), torch.from_numpy(meals), torch.from_numpy(errors))

    def start(self, scenario: Scenario) -> Tensor:
        steady = self.parameters[:, len(BODY) :]
        return torch.cat([steady, torch.zeros(len(steady), 2, dtype=steady.dtype)], 1)

    def step(self, state: Tensor, dose: Tensor, scenario: Scenario, step: int) -> Tensor:
        assert scenario.disturbances is not None
        meals = scenario.disturbances[step]  # (B, 5)
        earlier = scenario.disturbances[step - 1][:, -1] if step else torch.zeros_like(meals[:, 0])
        insulin = dose[:, 0] / 60 * UNIT_PMOL / self.of("BW")  # pmol/kg/min
        matrix, constants = self._linear
        for eaten in meals.mean(1, keepdim=True).T if self.coarse else meals.T:
            state = self._advanced(state, eaten, earlier, insulin, matrix, constants)
            earlier = eaten
        return state

    def _advanced(
        self, state: Tensor, eaten: Tensor, earlier: Tensor, insulin: Tensor, matrix: Tensor, constants: Tensor
    ) -> Tensor:
        """Advance one or five minutes of `eaten` grams each; a meal begins where none came in the minute before."""
        minutes = self.MINUTES if self.coarse else 1.0
        body, begun_with, had = state[:, :STATES], state[:, STATES], state[:, STATES + 1]
        if bool((eaten > 0).any()):
            begins = (eaten > 0) & (earlier <= 0)
            begun_with = torch.where(begins, body[:, 0] + body[:, 1], begun_with)
            had = torch.where(begins, torch.zeros_like(had), had) + 1000 * minutes * eaten
        meal = begun_with + had
        most, halved, turn, per_meal = self._emptying
        filled = meal > 0
        steep = per_meal / torch.where(filled, meal, 1.0)[:, None]
        half = torch.where(filled, halved, 0.0)
        given = torch.zeros_like(constants)
        given[:, 0], given[:, 10] = 1000 * eaten, insulin
        constants = (constants + given)[..., None]
        gates, into = self._gates, self._into

        def changes(x: Tensor, linear: Tensor, constants: Tensor) -> Tensor:
            """The linear part, with what the rest needs of it, is one product; see `_linear`."""
            found = torch.baddbmm(constants, linear, x[..., None])[..., 0]  # (B, 17)
            sharp, soft = torch.tanh(steep * (x[:, 0] + x[:, 1])[:, None] - turn).unbind(1)
            emptied = (most + half * (sharp - soft)) * x[:, 1]
            made, excreted = found[:, 13:15].clamp_min(0).unbind(1)
            used = found[:, 15] * x[:, 4] / found[:, 16]
            return torch.addmm(found[:, :STATES], torch.stack([emptied, made - excreted, used], 1), into)

        if self.coarse:
            step, rest = self._exponential
            after = torch.where(body < gates, body, step(lambda x: changes(x, rest, constants), body))
        else:
            after = runge_kutta(lambda x: torch.where(x < gates, 0.0, changes(x, matrix, constants)), body, minutes)
        return torch.cat([after, begun_with[:, None], had[:, None]], 1)

    @cached_property
    def _exponential(self) -> tuple[Exponential, Tensor]:
        """Return a step of five minutes of the linear part, and a matrix as that of `_linear` without it."""
        matrix, _ = self._linear
        rest = matrix.clone()
        rest[:, :STATES] = 0
        return Exponential.of(matrix[:, :STATES], self.MINUTES), rest

    @cached_property
    def _emptying(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return how the stomach empties: its highest rate, half of what it falls by, and `(B, 2)` of both its turns.

        Emptying slows and quickens where the stomach holds shares of the meal; how steeply is for a meal of 1 mg.
        """
        b, d = self.of("b"), self.of("d")
        per_meal = 2.5 / torch.stack([1 - b, d], 1)
        return self.of("kmax"), (self.of("kmax") - self.of("kmin")) / 2, per_meal * torch.stack([b, d], 1), per_meal

    @cached_property
    def _gates(self) -> Tensor:
        """States below which no change is made, `(13,)`: what is eaten and the actions of insulin have none."""
        gates = torch.zeros(STATES, dtype=self.parameters.dtype)
        gates[[0, 1, 2, 6, 7, 8]] = -torch.inf
        return gates

    @cached_property
    def _into(self) -> Tensor:
        """Where what is not linear goes, `(3, 13)`: stomach to gut, glucose made less excreted, glucose used."""
        into = torch.zeros(3, STATES, dtype=self.parameters.dtype)
        into[0, 1], into[0, 2], into[1, 3], into[2, 4] = -1.0, 1.0, 1.0, -1.0
        return into

    @cached_property
    def _linear(self) -> tuple[Tensor, Tensor]:
        """Return a matrix, `(B, 17, 13)`, and constants, `(B, 17)`.

        Rows 0 to 12 are the linear part of the change; 13 is the glucose made and 14 the one excreted, before they are
        held at 0; 15 and 16 are the largest use of glucose by tissue and the sum that it is divided by.
        """
        own = dict(zip(self.PARAMETERS, self.parameters.T, strict=True))
        matrix = torch.zeros(len(self.patients), 17, STATES, dtype=self.parameters.dtype)
        constants = torch.zeros(len(self.patients), 17, dtype=self.parameters.dtype)
        entries = {
            (0, 0): -own["kmax"], (1, 0): own["kmax"], (2, 2): -own["kabs"],
            (3, 2): own["f"] * own["kabs"] / own["BW"], (3, 3): -own["k1"], (3, 4): own["k2"],
            (4, 3): own["k1"], (4, 4): -own["k2"],
            (5, 5): -(own["m2"] + own["m4"]), (5, 9): own["m1"], (5, 10): own["ka1"], (5, 11): own["ka2"],
            (6, 5): own["p2u"] / own["Vi"], (6, 6): -own["p2u"],
            (7, 5): own["ki"] / own["Vi"], (7, 7): -own["ki"], (8, 7): own["ki"], (8, 8): -own["ki"],
            (9, 9): -(own["m1"] + own["m30"]), (9, 5): own["m2"],
            (10, 10): -(own["ka1"] + own["kd"]), (11, 10): own["kd"], (11, 11): -own["ka2"],
            (12, 3): own["ksc"], (12, 12): -own["ksc"],
            (13, 3): -own["kp2"], (13, 8): -own["kp3"], (14, 3): own["ke1"],
            (15, 6): own["Vmx"], (16, 4): torch.ones_like(own["Km0"]),
        }  # fmt: skip
        for place, values in entries.items():
            matrix[:, place[0], place[1]] = values
        constants[:, 3], constants[:, 6] = -own["Fsnc"], -own["p2u"] * own["Ib"]
        constants[:, 13], constants[:, 14] = own["kp1"], -own["ke1"] * own["ke2"]
        constants[:, 15], constants[:, 16] = own["Vm0"], own["Km0"]
        return matrix, constants

    def measure(self, state: Tensor) -> Tensor:
        return (state[:, STATES - 1] / self.of("Vg"))[:, None]


def diabetes(names: Sequence[str]) -> Glucose:
    """Return the twin of these patients of simglucose; `adult`, `adolescent` and `child` stand for ten each.

    Raises:
        ValueError: there is no such patient, or one is named twice.
        Unsupported: simglucose is not installed.
    """
    known = diabetes_patients()
    own = require_patients(names)
    table = [[known[name][key] for key in Glucose.PARAMETERS] for name in own]
    return Glucose(tuple(own), torch.tensor(table, dtype=torch.float64))
