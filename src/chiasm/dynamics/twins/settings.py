"""The file of a control study, `twin.toml`: which twin, which patients, what is asked for, and what a dose may be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from chiasm.cohort.places import inside
from chiasm.cohort.schema import read_toml
from chiasm.dynamics.twins.compartment import Compartment
from chiasm.dynamics.twins.fitting import read_courses, twins_of_courses
from chiasm.dynamics.twins.goals import Goal
from chiasm.dynamics.twins.kinds import KINDS, Kind, drawn_patients
from chiasm.dynamics.twins.limits import Limits, require_fitting
from chiasm.dynamics.twins.simulator import Quantity, Twin, one_named
from chiasm.dynamics.twins.training import Schedule
from chiasm.errors import CohortError, nearest

PATIENTS, STEPS, EPOCHS, WIDTH = 1000, 20_000, 5_000, 512
TEST_SEED, SEEDS_APART = 2_000_000, 10_000  # of scenarios: a study's epochs are fewer, and none is one of its tests
Through = Literal["gradient", "metamodel"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class PatientsKeys(_Strict):
    train: int | list[str] | None = None
    test: int | list[str] | None = None
    spread: float = Field(0.1, ge=0, le=1)


class GoalKeys(_Strict):
    kind: str
    of: str
    over: str | None = None
    target: float = 0.0
    scale: float = Field(1.0, gt=0)
    low: float
    high: float
    very_low: float | None = None
    dose_weight: float = Field(0.0, ge=0)
    unit: str | None = None


class DoseKeys(_Strict):
    least: float | list[float]
    most: float | list[float]
    rise: float | list[float] = 0.0
    increment: float | list[float] = 0.0
    stop_below: float | None = None
    unit: str | None = None


class TrainingKeys(_Strict):
    steps: int = Field(ge=2, le=STEPS)
    epochs: int = Field(ge=1, le=EPOCHS)
    learning_rate: float = Field(0.02, gt=0)
    hidden: int = Field(16, ge=1, le=WIDTH)
    repeats: int = Field(1, ge=1, le=100)
    through: Through = "gradient"


class TestKeys(_Strict):
    steps: int = Field(ge=2, le=STEPS)
    scenarios: int = Field(3, ge=1, le=100)


class FitKeys(_Strict):
    table: str
    train: float = Field(0.5, gt=0, lt=1)


class StudyKeys(_Strict):
    twin: str
    name: str = ""
    seed: int = Field(0, ge=0, lt=10_000)
    patients: PatientsKeys = PatientsKeys(spread=0.1)
    parameters: dict[str, float] = {}
    goal: GoalKeys
    dose: DoseKeys
    training: TrainingKeys
    test: TestKeys
    fit: FitKeys | None = None


@dataclass(frozen=True, eq=False)
class Settings:
    """A control study, whole: twins of patients to train on and of others to test on, goal, limits and schedule.

    Attributes:
        keys: what the file says, with the defaults of its twin.
        train: the twin of the patients on whom controllers are trained and chosen.
        test: the twin of the others.
        goal, limits, schedule: what is asked for, what a dose may be, how a network is trained.
        tests: seeds of the test scenarios, none of which is one of training.
        fitted: parameters of the patients of `[fit]`, as `fitting.fit_courses`; None where patients are drawn or named.
    """

    keys: StudyKeys
    train: Twin
    test: Twin
    goal: Goal
    limits: Limits
    schedule: Schedule
    tests: tuple[int, ...]
    fitted: pd.DataFrame | None = None

    @property
    def left_out(self) -> int:
        """Number of patients of `[fit]` whose courses do not tell all parameters."""
        every = 0 if self.fitted is None else int(self.fitted["patient"].nunique())
        return max(0, every - len(self.train.patients) - len(self.test.patients))


def read_settings(path: Path) -> Settings:
    """Read `twin.toml`.

    Raises:
        CohortError: the file cannot be read, or is no TOML.
        ValueError: an unknown key, twin or patient, a value that cannot be, a unit that does not fit, an empty range.
        Unsupported: the twin needs a package that is not installed.
    """
    content, problems = read_toml(path)
    if content is None:
        raise CohortError(problems)
    return made_settings(content, path.name, path.parent)


def made_settings(content: Mapping[str, Any], name: str = "the settings", folder: Path | None = None) -> Settings:
    """Make a study of what a file says; see `read_settings`.

    Args:
        folder: of the file, which holds what the file names; None: no file says it, and a table may lie anywhere.
    """
    twin = content.get("twin")
    if not isinstance(twin, str) or twin not in KINDS:
        near = nearest(twin, KINDS) if isinstance(twin, str) else ""
        meant = f", did you mean '{near}'?" if near else ""
        raise ValueError(f"{name}: 'twin' names one of {', '.join(KINDS)}{meant}")
    kind = KINDS[twin]
    whole = dict(content)
    for section in ("goal", "dose", "training", "test"):
        given = content.get(section, {})
        usual = dict(getattr(kind, section))
        if section == "goal" and isinstance(given, Mapping) and given.get("kind", "ratio") != "ratio":
            usual.pop("over", None)
        whole[section] = {**usual, **given} if isinstance(given, Mapping) else given
    try:
        keys = StudyKeys.model_validate(whole)
    except ValidationError as fault:
        raise ValueError(_told(fault, name)) from None
    if keys.fit is not None:
        (train, test), fitted = fitted_twins(keys, folder, name)
    else:
        (train, test), fitted = _twins(kind, keys, name), None
    goal, limits = _goal(keys.goal, train.measures, name), _limits(keys.dose, train, name)
    own = keys.training
    schedule = Schedule(
        own.steps, own.epochs, own.learning_rate, own.hidden, 1_000_000 + SEEDS_APART * keys.seed, repeats=own.repeats,
        seed=keys.seed,
    )  # fmt: skip
    tests = tuple(TEST_SEED + SEEDS_APART * keys.seed + number for number in range(keys.test.scenarios))
    return Settings(keys, train, test, goal, limits, schedule, tests, fitted)


def _told(fault: ValidationError, name: str) -> str:
    """One sentence on the first key that is wrong; no value of the file is in it."""
    found = fault.errors(include_url=False, include_input=False)[0]
    place = [str(part) for part in found["loc"] if not str(part).startswith(("list[", "int", "float", "str"))]
    section, key = f" of [{place[0]}]" if len(place) > 1 else "", place[-1] if place else ""
    if found["type"] == "extra_forbidden":
        model = StudyKeys if len(place) == 1 else StudyKeys.model_fields[place[0]].annotation
        known = list(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else []
        near = nearest(key, known)
        return f"{name}: there is no key '{key[:40]}'{section}{f', did you mean {near}?' if near else ''}"
    return f"{name}: the key '{key[:40]}'{section} is wrong: {found['msg'][:1].lower()}{found['msg'][1:]}"


def _twins(kind: Kind, keys: StudyKeys, name: str) -> tuple[Twin, Twin]:
    own = keys.patients
    train, test = (kind.train if own.train is None else own.train), (kind.tested if own.test is None else own.test)
    if kind.named is not None:
        if keys.parameters:
            raise ValueError(f"{name}: the patients of '{keys.twin}' are named and have parameters of their own: leave "
                             "[parameters] out")  # fmt: skip
        if _spread_is_given(keys):
            raise ValueError(f"{name}: the patients of '{keys.twin}' are named and not drawn: leave 'spread' out")
        if isinstance(train, int) or isinstance(test, int):
            raise ValueError(f"{name}: the patients of '{keys.twin}' are named, such as adult#001: list their names")
        first, second = kind.named(list(train)), kind.named(list(test))
        if both := len({*first.patients} & {*second.patients}):
            raise ValueError(f"{name}: {both} of the patients are trained on and tested: name each on one side")
        return first, second
    if not isinstance(train, int) or not isinstance(test, int):
        raise ValueError(f"{name}: the patients of '{keys.twin}' are drawn and have no names: say how many")
    if not (1 <= train <= PATIENTS and 1 <= test <= PATIENTS):
        raise ValueError(f"{name}: patients are 1 to {PATIENTS:,} on each side: ask for as many")
    known = kind.twin.PARAMETERS
    for parameter in keys.parameters:
        if parameter not in known:
            near = nearest(parameter, known)
            raise ValueError(
                f"{name}: the twin '{keys.twin}' has no parameter '{parameter[:40]}', it has {', '.join(known)}"
                f"{f': did you mean {near}?' if near else ''}"
            )
    middle = [keys.parameters.get(own, value) for own, value in zip(known, kind.middle, strict=True)]
    seeds = 2 * keys.seed, 2 * keys.seed + 1
    return tuple(  # type: ignore[return-value]
        drawn_patients(kind, number, middle, keys.patients.spread, seed)
        for number, seed in zip((train, test), seeds, strict=True)
    )


def _spread_is_given(keys: StudyKeys) -> bool:
    return "patients" in keys.model_fields_set and "spread" in keys.patients.model_fields_set


def fitted_twins(keys: StudyKeys, folder: Path | None, name: str) -> tuple[tuple[Twin, Twin], pd.DataFrame]:
    """Fit the patients of a table of courses, and draw who is trained on and who is tested."""
    if keys.twin != Compartment.NAME:
        raise ValueError(f"{name}: only the twin '{Compartment.NAME}' is fitted to courses: leave [fit] out")
    of_drawn = keys.patients.train is not None or keys.patients.test is not None or _spread_is_given(keys)
    if keys.parameters or of_drawn:
        raise ValueError(f"{name}: patients are those of [fit]: leave [patients] and [parameters] out")
    assert keys.fit is not None
    file = Path(keys.fit.table)
    if folder is not None:
        try:
            file = inside(folder.resolve(), keys.fit.table)
        except CohortError as fault:
            what = fault.problems[0].what.replace("of the cohort", f"of {name}")
            raise ValueError(f"{name}: the key 'table' of [fit]: {what}: put the .csv beside {name}") from None
    if not file.is_file():
        raise ValueError(f"{name}: there is no file '{file.name}': [fit] names a .csv beside it")
    return twins_of_courses(read_courses(file), keys.fit.train, keys.seed)


def _goal(keys: GoalKeys, measures: tuple[Quantity, ...], name: str) -> Goal:
    of = one_named(measures, keys.of, f"{name}: the measurement")
    over = one_named(measures, keys.over, f"{name}: the measurement") if keys.over is not None else 0
    if keys.kind == "ratio" and keys.over is None:
        raise ValueError(f"{name}: a goal of kind 'ratio' needs 'over': name what '{keys.of}' is divided by")
    if keys.kind != "ratio" and keys.over is not None:
        raise ValueError(f"{name}: 'over' is of a goal of kind 'ratio', and this one is of kind '{keys.kind[:20]}': "
                         "leave it out")  # fmt: skip
    if keys.kind == "risk" and measures[of].unit != "mg/dL":
        raise ValueError(
            f"{name}: a goal of kind 'risk' is of blood glucose in mg/dL, and '{keys.of}' is no such thing"
        )
    _require_unit(keys.unit, Quantity("ratio", "") if keys.kind == "ratio" else measures[of], "[goal]", name)
    return Goal(
        keys.kind, of, over, keys.target, keys.scale, keys.low, keys.high, keys.very_low, keys.dose_weight
    )  # fmt: skip


def _limits(keys: DoseKeys, twin: Twin, name: str) -> Limits:
    for own in twin.doses:
        _require_unit(keys.unit, own, "[dose]", name)
    number = len(twin.doses)
    least, most, rise = (_each(own, number) for own in (keys.least, keys.most, keys.rise))
    try:
        made = Limits(least, most, rise, _each(keys.increment, number), keys.stop_below)
        require_fitting(made, twin.doses, twin.measures)
        return made
    except ValueError as fault:
        raise ValueError(f"{name}, [dose]: {fault}") from None


def _each(value: float | list[float], number: int) -> tuple[float, ...]:
    return (float(value),) * number if isinstance(value, int | float) else tuple(value)


def _require_unit(unit: str | None, own: Quantity, section: str, name: str) -> None:
    if unit is not None and unit != own.unit:
        raise ValueError(
            f"{name}: {section} is in '{unit[:20]}', and the twin's {own.name} is in '{own.unit or 'no unit'}': "
            "convert the numbers"
        )
