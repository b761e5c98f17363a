"""The twins by name: what each is made of, and what is asked of it where a file does not say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from chiasm.dynamics.twins.compartment import Compartment
from chiasm.dynamics.twins.glucose import Glucose, diabetes
from chiasm.dynamics.twins.linear import Linear
from chiasm.dynamics.twins.metabolic import Metabolic
from chiasm.dynamics.twins.predator_prey import PredatorPrey
from chiasm.dynamics.twins.simulator import Twin, spread_patients

ADULTS_AND_ADOLESCENTS = ("adult", "adolescent")


@dataclass(frozen=True)
class Kind:
    """A twin and its defaults.

    Attributes:
        made: the twin of these patients and parameters.
        middle: parameters of the middle patient about whom others are drawn; empty where patients are named.
        units: of the parameters, in their order.
        named: the twin of named patients, None where they are drawn.
        goal, dose, training, test: default keys of these sections.
        train, tested: default patients: how many are drawn, or names.
    """

    made: Callable[[tuple[str, ...], Tensor], Twin]
    twin: type[Twin]
    goal: Mapping[str, Any]
    dose: Mapping[str, Any]
    training: Mapping[str, Any]
    test: Mapping[str, Any]
    middle: tuple[float, ...] = ()
    units: tuple[str, ...] = ()
    named: Callable[[Sequence[str]], Twin] | None = None
    train: int | tuple[str, ...] = 8
    tested: int | tuple[str, ...] = 20
    says: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)


def _numbered(first: int, last: int) -> tuple[str, ...]:
    return tuple(f"{group}#{own:03d}" for group in ADULTS_AND_ADOLESCENTS for own in range(first, last + 1))


KINDS: dict[str, Kind] = {
    "linear": Kind(
        Linear, Linear, middle=Linear.MIDDLE, units=Linear.UNITS,
        goal={"kind": "target", "of": "place", "target": 0.0, "scale": 1.0, "low": -0.5, "high": 0.5,
              "dose_weight": 0.1},
        dose={"least": -2.0, "most": 2.0}, training={"steps": 60, "epochs": 60}, test={"steps": 60, "scenarios": 3},
        says="two linear states and one push; the best controller is known in closed form",
    ),
    "predator-prey": Kind(
        PredatorPrey, PredatorPrey, middle=PredatorPrey.MIDDLE, units=PredatorPrey.UNITS,
        goal={"kind": "target", "of": "prey", "target": 0.5, "scale": 0.1, "low": 0.4, "high": 0.6},
        dose={"least": 0.0, "most": 1.0}, training={"steps": 150, "epochs": 60},
        test={"steps": 150, "scenarios": 3},
        says="agents that are born, move, hunt and die; the dose removes predators",
    ),
    "metabolic": Kind(
        Metabolic, Metabolic, middle=Metabolic.MIDDLE, units=Metabolic.UNITS,
        goal={"kind": "ratio", "of": "C", "over": "B", "target": 1.0, "scale": 0.1, "low": 0.9, "high": 1.1},
        dose={"least": 0.0, "most": 5.0}, training={"steps": 96, "epochs": 80}, test={"steps": 96, "scenarios": 1},
        says="enzymes of a branched network with feedback; the dose is the inflow of its substrate",
    ),
    "compartment": Kind(
        Compartment, Compartment, middle=Compartment.MIDDLE, units=Compartment.UNITS,
        goal={"kind": "target", "of": "concentration", "target": 10.0, "scale": 2.0, "low": 8.0, "high": 12.0,
              "very_low": 5.0},
        dose={"least": 0.0, "most": 4.0}, training={"steps": 72, "epochs": 60}, test={"steps": 72, "scenarios": 1},
        says="a drug by mouth in one compartment; the dose is what is taken at the start of each hour",
    ),
    "glucose": Kind(
        Glucose, Glucose, named=diabetes, train=_numbered(1, 5), tested=_numbered(6, 10),
        goal={"kind": "risk", "of": "glucose", "scale": 1.0, "low": 70.0, "high": 180.0, "very_low": 54.0},
        dose={"least": 0.0, "most": 10.0, "increment": 0.05, "stop_below": 80.0},
        training={"steps": 288, "epochs": 40}, test={"steps": 576, "scenarios": 3},
        says="glucose and insulin of type 1 diabetes, with meals that no controller is told and a sensor that errs",
    ),
}  # fmt: skip


def drawn_patients(kind: Kind, number: int, middle: Sequence[float], spread: float, seed: int) -> Twin:
    """Draw virtual patients of a twin about a middle one."""
    names, table = spread_patients(kind.twin.PARAMETERS, middle, number, spread, seed)
    return kind.made(names, table)
