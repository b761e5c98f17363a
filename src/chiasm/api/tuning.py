"""Public functions to tune the options of a recipe on inner folds of its training patients."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from chiasm.api.encoding import engine_of, prepare
from chiasm.cohort.opened import Given, as_cohort
from chiasm.compute.pool import default_jobs
from chiasm.encoding.preparing import PreparedCohort, warn_of_findings
from chiasm.fitting.tuning.recipe import BUDGET, INNER, Tuned
from chiasm.fitting.tuning.record import Tuning
from chiasm.progress import followed
from chiasm.protocols import search_of
from chiasm.recipes import registry
from chiasm.specs import options_in


class Paused(RuntimeError):
    """Error for a search whose time is over; it picked nothing, and goes on where it was stopped."""


def tuned(
    recipe: str | Any, space: Mapping[str, Any], *, budget: int = BUDGET, inner: int = INNER, stops: bool = True
) -> Tuned:
    """Make one recipe of a recipe and a space of its options, for `evaluate` and `fit`.

    Wherever it is fitted it picks its setting by the mean of the primary metric on inner folds of the training patients
    alone, and is then fitted with that setting on all of them. `"healnet:depth=[1;2],lr=[1e-4..1e-2 log]"` is the same
    as a name.

    Args:
        recipe: a name with its options, or a recipe object that is a dataclass.
        space: option to a sequence of values, or to a range: `{"depth": [1, 2], "learning_rate": "1e-4..1e-2 log"}`.
        budget: the most settings that are tried. Longer lists are drawn from, the same settings in every fold; ranges
            are searched by a tree-structured Parzen estimator (`pip install "chiasm[tuning]"`), the recipe's own values
            first.
        inner: number of inner folds, stratified, with groups on one side.
        stops: False fits every setting for every inner fold. Else, once four settings have finished, one is stopped
            whose mean so far lies below the median of those that finished; it is not picked.

    Raises:
        ValueError: an unknown option, a space with nothing in it, a value that the recipe refuses.
    """
    return registry.with_space(recipe, space, budget=budget, inner=inner, stops=stops)


def tune(
    recipe: str | Any,
    space: Mapping[str, Any],
    cohort: Given | PreparedCohort,
    *,
    budget: int | None = None,
    inner: int | None = None,
    stops: bool | None = None,
    seed: int = 0,
    device: str = "cpu",
    engine: str = "local",
    gpus_per_trial: float | None = None,
    jobs: int | None = None,
    out: Path | str | None = None,
    seconds: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Tuning:
    """Search a space of options on inner folds of all patients of a cohort, and return every setting with its scores.

    `result.table()` has the settings, `result.chosen` the name of the recipe with the picked one. Its score flatters
    it, because it is the best of several: what tuning is worth, `evaluate` says of the recipe that `tuned` makes, which
    searches within each training set.

    Args:
        recipe, space: as for `tuned`; an empty space takes that of a recipe that is tuned.
        budget, inner, stops: as for `tuned`; None takes what a recipe that is tuned has, else 20, 3 and True.
        cohort: a cohort with a target, or the path of a manifest, or what `prepare` made of one.
        engine: "local", where settings are fitted one after another, or "ray": all settings of a list and all inner
            folds side by side on the cluster that `RAY_ADDRESS` names, also settings that would have been stopped; of
            ranges the inner folds of one setting. The pick is the same. `out` must be reachable from there.
        gpus_per_trial: with the engine "ray" and the device "cuda", how many GPUs each training set has: a share below
            1, by which several fit on one, or a whole number; None: one.
        jobs: cores of the cluster that is started here where none is named.
        out: a folder in which scores are kept, so that a search that was stopped goes on; None keeps nothing.
        seconds: stop after the setting during which so many seconds have passed, without a pick. It decides no figure:
            the search goes on from `out`, and ends as one that was not stopped.
        progress: called with (tried, all) settings; None draws a bar in a terminal or notebook.

    Raises:
        ValueError: as `tuned`, or `seconds` without `out`, or `out` holds the scores of another search.
        Paused: the seconds are over.
        CohortError: `check_cohort` finds errors.
        Unsupported: a setting cannot be fitted on this cohort.
    """
    made = searched(recipe, space, budget=budget, inner=inner, stops=stops)
    if seconds is not None and out is None:
        raise ValueError("a search that is stopped by `seconds` goes on from `out`: name a folder")
    execute = engine_of(engine, gpus_per_trial)
    ready = cohort
    if not isinstance(ready, PreparedCohort):
        ready = prepare(as_cohort(ready), [made], engine=engine)
        warn_of_findings(ready.checked)
    registry.resolve([made], ready.cohort)
    folder = None if out is None else Path(out)
    if folder is not None and made.begun_by_another(ready.cohort, folder, seed=seed, device=device):
        raise ValueError(
            f"'{out}' holds the scores of another search, of other options, patients, seed or version: name another "
            "folder, or delete it"
        )
    start = time.monotonic()
    with followed("settings", progress) as told:

        def counted(done: int, everything: int) -> None:
            told(done, everything)
            if seconds is not None and done < everything and time.monotonic() - start > seconds:
                raise Paused(f"{done} of {everything} settings are tried and none is picked: the same call goes on")

        side_by_side = None if engine == "local" else execute
        return made.search(
            ready.cohort, seed=seed, checkpoint=folder, device=device, told=counted, execute=side_by_side,
            jobs=jobs or default_jobs(),
        )  # fmt: skip


def searched(
    recipe: str | Any,
    space: Mapping[str, Any],
    *,
    budget: int | None = None,
    inner: int | None = None,
    stops: bool | None = None,
) -> Tuned:
    """Return the recipe with the space in its name, or else with this one; what is None is the name's or the usual.

    Raises:
        ValueError: neither has a space, or both have.
    """
    made = registry.named(recipe)
    asked = {"budget": budget, "inner": inner, "stops": stops}
    how: dict[str, Any] = {name: value for name, value in asked.items() if value is not None}
    if isinstance(made, Tuned) and not space:
        return replace(made, **how)
    return tuned(made, space, **how)


def tuning_of(model: Any) -> Tuning | None:
    """Return the search that picked the options of a model; None where none was searched."""
    found = search_of(model)
    return found if isinstance(found, Tuning) else None


def drawn_from(recipe: str) -> str:
    """Say how many settings of its space a tuned recipe tries; "" where it tries each, or is not tuned."""
    made = registry.make_recipe(recipe) if "[" in recipe else None
    if not isinstance(made, Tuned) or made.tries == made.possible:
        return ""
    of = "ranges that have no end of settings" if made.possible is None else f"{made.possible:,} settings"
    return (
        f"'{made.name}' tries {made.tries:,} settings, drawn from {of}: --budget, or budget= in the name, changes that"
    )


def with_budget(recipes: Iterable[str], budget: int | None) -> list[str]:
    """Return names of recipes, those that are tuned with this budget unless they name their own; None changes nothing.

    Raises:
        ValueError: a budget, and no recipe is tuned.
    """
    names = list(recipes)
    if budget is None:
        return names
    made = {name: registry.make_recipe(name) for name in names if "[" in name}
    searched = {name: own for name, own in made.items() if isinstance(own, Tuned)}
    if not searched:
        raise ValueError("--budget is the number of settings of a tuned recipe: name one, as in healnet:lr=[1e-3;1e-2]")
    return [
        replace(searched[name], budget=budget).name if name in searched and "budget" not in options_in(name) else name
        for name in names
    ]
