"""A control study: baselines and a network chosen on some patients and scenarios, and tried on others."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch

from chiasm.dynamics.twins import DISCLAIMER
from chiasm.dynamics.twins.baselines import Beside, best_constant, best_pid
from chiasm.dynamics.twins.controllers import Constant, Controller, Network, Pid
from chiasm.dynamics.twins.fitting import of_cohort
from chiasm.dynamics.twins.glucose import Glucose
from chiasm.dynamics.twins.goals import cost
from chiasm.dynamics.twins.rollout import Course, rollouts
from chiasm.dynamics.twins.scoring import bands, differences, scored, summary
from chiasm.dynamics.twins.settings import Settings
from chiasm.dynamics.twins.simulator import Diverged, Simulator, Twin
from chiasm.dynamics.twins.training import Trained, train_network
from chiasm.dynamics.twins.words import metamodel_told, sentences_of
from chiasm.errors import count

NETWORK = "network"


@dataclass(frozen=True, eq=False)
class Study:
    """What came of a control study.

    Attributes:
        settings: what was asked for.
        network: the trained controller.
        trained: how its cost fell.
        controllers: all by name, the network last.
        table: a row a controller, as `scoring.summary`.
        against: a row for each other controller: the network less it, paired by patient, as `scoring.differences`.
        patients: a row a controller and test patient, mean over scenarios.
        shown: by controller its course, as `scoring.bands`.
        diverged: controllers in whose hands a test patient diverged, with what was said.
        sentences: what the figures say.
        metamodel: by measurement the error of the metamodel that the network was trained through; empty without one.
    """

    settings: Settings
    network: Network
    trained: Trained
    controllers: dict[str, Controller]
    table: pd.DataFrame
    against: pd.DataFrame
    patients: pd.DataFrame
    shown: dict[str, dict[str, list[float]]]
    diverged: dict[str, str]
    sentences: list[str]
    metamodel: dict[str, float] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """Return the whole as JSON can hold it; what is not estimable is null."""
        own = self.settings
        return {
            "disclaimer": DISCLAIMER,
            "name": own.keys.name or own.keys.twin,
            "settings": own.keys.model_dump(mode="json"),
            "patients": {
                "train": len(own.train.patients),
                "test": len(own.test.patients),
                "left_out": own.left_out,
            },
            "trained": {
                "checked": [[epoch, _held(value)] for epoch, value in self.trained.checked],
                "diverged_epochs": self.trained.diverged,
                "metamodel_error": self.metamodel or None,
            },
            "controllers": {name: _described(one) for name, one in self.controllers.items()},
            "table": _rows(self.table),
            "against": _rows(self.against),
            "by_patient": _rows(self.patients),
            "fitted": None if own.fitted is None else _rows(of_cohort(own.fitted)),  # of no single patient
            "diverged": self.diverged,
            "sentences": self.sentences,
        }


def control_study(settings: Settings, progress: Callable[[int, int], None] | None = None) -> Study:
    """Train and choose controllers on the training patients, and try each on the test patients' scenarios.

    Raises:
        Diverged: the simulator diverges under the usual dose, or throughout a training.
        Unsupported: no gradient passes through the simulator, and no metamodel is asked for.
    """
    goal, limits, schedule = settings.goal, settings.limits, settings.schedule
    most = torch.tensor(limits.most, dtype=torch.float64)

    def priced(course: Course) -> torch.Tensor:
        return cost(goal, course, most)

    coarse = coarser(settings.train)
    over = (goal.of, goal.over) if goal.kind == "ratio" else ()
    through: Simulator = coarse
    missed: dict[str, float] = {}
    if settings.keys.training.through == "metamodel":
        from chiasm.dynamics.twins.metamodel import fit_metamodel

        through = made = fit_metamodel(coarse, limits, schedule)
        missed = {own.name: float(error) for own, error in zip(made.measures, made.error, strict=True)}
    network, trained = train_network(through, priced, limits, schedule, progress, over)
    constant, _ = best_constant(coarse, priced, limits, schedule.steps, schedule.checks)
    pid, _ = best_pid(coarse, goal, priced, limits, schedule.steps, schedule.checks, settings.keys.seed)
    ones = (1.0,) * len(coarse.doses)
    controllers: dict[str, Controller] = {
        "lowest dose": Constant((0.0,) * len(ones), limits.least), "usual dose": Constant(ones),
        "best constant": constant, "PID": pid, NETWORK: network,
    }  # fmt: skip
    return tried(settings, controllers, network, trained, missed)


def tried(
    settings: Settings,
    controllers: dict[str, Controller],
    network: Network,
    trained: Trained,
    missed: dict[str, float] | None = None,
) -> Study:
    """Try controllers on the test patients and scenarios, the same for each; `missed` is the metamodel's error."""
    most = torch.tensor(settings.limits.most, dtype=torch.float64)
    frames: dict[str, pd.DataFrame] = {}
    shown, diverged = {}, {}
    for name, courses in _courses(settings, controllers).items():
        if isinstance(courses, Diverged):
            diverged[name] = str(courses)
            continue
        tables = [scored(settings.goal, course, most, settings.test.minutes) for course in courses]
        frames[name] = sum(tables[1:], tables[0]) / len(tables)
        shown[name] = bands(courses, settings.goal)
    if NETWORK in diverged:
        raise Diverged(f"{diverged[NETWORK]} (under the trained network, on patients that it was not trained on)")
    seed = settings.keys.seed
    by_patient = pd.concat(
        [frame.assign(controller=name, patient=settings.test.patients) for name, frame in frames.items()]
    )
    table, against = summary(frames, seed), differences(frames, NETWORK, seed)
    off = missed or {}
    said = [*sentences_of(settings, table, against, diverged), *metamodel_told(off)]
    return Study(settings, network, trained, controllers, table, against, by_patient, shown, diverged, said, off)


def _courses(settings: Settings, controllers: dict[str, Controller]) -> dict[str, list[Course] | Diverged]:
    """All controllers in all test scenarios at once; where a patient diverges, one controller after another."""
    twin, limits, steps, seeds = settings.test, settings.limits, settings.keys.test.steps, settings.tests
    found: dict[str, list[Course] | Diverged] = {}
    with torch.no_grad():
        try:
            every = Beside(list(controllers.values()))
            return dict(zip(controllers, rollouts(twin, every, limits, steps, seeds, len(controllers)), strict=True))
        except Diverged:
            for name, controller in controllers.items():
                try:
                    found[name] = rollouts(twin, controller, limits, steps, seeds)[0]
                except Diverged as fault:
                    found[name] = fault
    return found


def coarser(twin: Twin) -> Twin:
    """Return a twin that is solved in fewer steps where it has such a form: for training, never for a test."""
    return dataclasses.replace(twin, coarse=True) if isinstance(twin, Glucose) else twin


def _described(controller: Controller) -> dict[str, Any]:
    if isinstance(controller, Constant | Pid):
        return {"kind": type(controller).__name__, **dataclasses.asdict(controller)}
    size = sum(int(np.size(own)) for own in controller.weights) if isinstance(controller, Network) else 0
    return {"kind": type(controller).__name__, "size": count(size, "weight")}


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): _held(value) for key, value in row.items()} for row in table.to_dict("records")]


def _held(value: Any) -> Any:
    return None if isinstance(value, float) and not np.isfinite(value) else value
