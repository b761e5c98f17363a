"""Whether a cohort's target is the one that a model was fitted for: same kind, same classes or labels, same unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from chiasm.cohort import Cohort, Outcome, Target, Unsupported
from chiasm.errors import nearest
from chiasm.fitting.lent import in_order
from chiasm.heads.response import Response

SHOWN = 8  # classes that a refusal names
NO_COLUMN = ("kind", "unit", "main", "censored", "answers_by", "scorer", "entities", "labels", "codes", "spacing")
"""What a model stores of its target and is no column of it."""
SIGN = 3  # letters of a unit that is a sign and not a word


@runtime_checkable
class FittedFor(Protocol):
    """Protocol of a model that knows its recipe, its target, how many it learned from, and its response."""

    @property
    def recipe(self) -> str: ...

    @property
    def learned_from(self) -> Mapping[str, int]: ...

    @property
    def target(self) -> Mapping[str, Any]: ...

    @property
    def response(self) -> Response: ...


def require_same_target(model: object, cohort: Cohort) -> tuple[Target, Outcome]:
    """Return the cohort's target and outcome, once they are what the model predicts.

    A model that does not say what it was fitted for passes; the columns of its prediction then tell.

    Raises:
        Unsupported: the cohort has no target, or one of another kind, with other classes or labels, or in another unit.
    """
    if not isinstance(model, FittedFor):
        return require_target(None, (), "", cohort)
    known = require_target(model.response.kind, model.response.classes, str(model.target.get("unit", "")), cohort)
    require_censoring(str(model.target.get("censored", "")), *known, cohort.name)
    return known


def require_target(kind: str | None, names: Sequence[str], unit: str, cohort: Cohort) -> tuple[Target, Outcome]:
    """Return the cohort's target and outcome, once they are of this kind, with these classes and in this unit.

    Args:
        kind: None accepts any.

    Raises:
        Unsupported: naming what differs.
    """
    target, outcome = cohort.target, cohort.outcome
    if target is None or outcome is None:
        raise Unsupported(
            f"the cohort '{cohort.name}' has no target, and a model is scored by what came of the patients: name the "
            "column in [target], or give target=... to cohort_from_frames"
        )
    if kind is None:
        return target, outcome
    if target.kind != kind:
        raise Unsupported(
            f"the model predicts a target of kind '{kind}' and that of the cohort '{cohort.name}' is of kind "
            f"'{target.kind}': name the outcome that the model predicts in [target]"
        )
    if target.has_causes:
        require_causes(names, target, cohort.name)
        target, outcome = target.with_names(names), in_order(outcome, target.names, names)
    elif (target.has_level or target.is_drawn) and set(target.names) != set(
        names
    ):  # options are each patient's own, and texts have no names
        noun = "labels" if target.has_labels else "classes"
        raise Unsupported(
            f"the model knows the {noun} {listed(names)} and the target of the cohort '{cohort.name}' has "
            f"{listed(target.names)}{likely(names, target.names)}: write them as at the fit"
        )
    if unit and target.unit and plain(unit) != plain(target.unit):
        raise Unsupported(
            f"the model predicts in '{unit}' and the target of the cohort '{cohort.name}' is in '{target.unit}': "
            "convert its column, and name the unit in [target]"
        )
    return target, outcome


def require_causes(names: Sequence[str], target: Target, cohort: str) -> None:
    """Require that a target's causes are among those of the model, and its main one, where one is named, the model's.

    Raises:
        Unsupported: naming what differs.
    """
    strange = [name for name in target.names if name not in names]
    if strange:
        raise Unsupported(
            f"the model knows the causes {listed(names)} and the target of the cohort '{cohort}' has "
            f"{listed(strange)}{likely(names, target.names)}: write them as at the fit, and group as then what it has "
            "no name for"
        )
    if target.main_named and target.names[0] != names[0]:
        raise Unsupported(
            f"the model is about the main cause '{names[0]}' and the target of the cohort '{cohort}' names "
            f"'{target.names[0]}': name '{names[0]}' by `main`, or fit a model about '{target.names[0]}'"
        )


def require_censoring(level: str, target: Target, outcome: Outcome, cohort: str) -> None:
    """Require that an empty cause is not read as censored where at the fit a level meant it, and an empty one nothing.

    Raises:
        Unsupported: naming the level.
    """
    if not target.has_causes or not level or target.stored().get("censored") or outcome.cause is None:
        return
    if (outcome.cause[outcome.known] == 0).any():
        raise Unsupported(
            f"at the fit the level '{level}' meant censored, and in the cohort '{cohort}' nobody has it, so that an "
            f"empty cause would: write '{level}' for who had no event, and leave out whose cause is unknown"
        )


def as_at_the_fit(model: object, cohort: Cohort) -> Cohort:
    """Return the cohort with the causes of its target in the order of the model's; others as they are.

    Raises:
        Unsupported: as `require_same_target`.
    """
    return cohort.with_target(*require_same_target(model, cohort))


def target_notes(model: object, cohort: Cohort) -> list[str]:
    """What a reader should know of the two targets although nothing refuses them: other columns, a unit not named."""
    target = cohort.target
    if target is None or not isinstance(model, FittedFor):
        return []
    stored, notes = model.target, []
    named = stored_columns(stored)
    if named and sorted(named) != sorted(target.columns) and not target.has_labels:
        ours, theirs = ", ".join(map(repr, named)), ", ".join(map(repr, target.columns))
        notes.append(
            f"The model was fitted for {ours} and the outcomes are {theirs}: that they mean the same is yours to say."
        )
    ours, theirs = str(stored.get("unit", "")), target.unit
    if bool(ours) != bool(theirs):
        whose, unit = ("cohort", ours) if ours else ("model", theirs)
        notes.append(f"The target of the {whose} names no unit, and is taken to be in '{unit}'.")
    return [*notes, *cause_notes(model.response.classes, target, cohort.outcome)]


def stored_columns(stored: Mapping[str, Any]) -> list[str]:
    """Columns of a target as a model keeps it, of which a key names one or several."""
    values = [value for key, value in stored.items() if key not in NO_COLUMN]
    return [str(one) for value in values for one in ([value] if isinstance(value, str) else value)]


def cause_notes(names: Sequence[str], target: Target, outcome: Outcome | None) -> list[str]:
    """Which cause is scored where the cohort names none, and which causes of the model nobody had."""
    if not target.has_causes or outcome is None or outcome.cause is None:
        return []
    own = in_order(outcome, target.names, names)
    assert own.cause is not None
    lacking = [name for place, name in enumerate(names, 1) if not (own.cause[own.known] == place).any()]
    notes = [] if target.main_named else [f"No main cause is named: '{names[0]}' is scored, that of the model."]
    if lacking:
        notes.append(f"The model knows causes of which nobody had an event: {listed(lacking)}.")
    return notes


def listed(names: Sequence[str]) -> str:
    """The first names in quotes, and how many more there are."""
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return ", ".join(f"'{name}'" for name in names[:SHOWN]) + more if names else "none"


def likely(ours: Sequence[str], theirs: Sequence[str]) -> str:
    """A question after the first name that the cohort writes otherwise; empty if none is similar."""
    spare = [name for name in theirs if name not in ours]
    for name in ours:
        if name not in theirs and (like := nearest(name, spare)):
            return f" (is '{like}' '{name}'?)"
    return ""


def plain(unit: str) -> str:
    """A unit that is a word without capitals and plural: 'Months' is 'month'; a sign is kept: 'mg' is not 'Mg'."""
    bare = unit.strip()
    return bare.casefold().removesuffix("s") if len(bare) > SIGN else bare
