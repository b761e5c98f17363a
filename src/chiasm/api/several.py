"""Public function to run the same recipes on several cohorts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from chiasm.api.encoding import prepare
from chiasm.api.sources import lent, opened_sources, with_sources
from chiasm.api.trials import evaluate
from chiasm.artifact import write_text
from chiasm.cohort import Cohort, CohortError, Unsupported
from chiasm.cohort.opened import Given, as_cohort
from chiasm.encoding.preparing import PreparedCohort, warn_of_findings
from chiasm.evaluation import Protocol, Trial, TrialError, Trials
from chiasm.evaluation.several import COLUMNS
from chiasm.recipes import registry
from chiasm.specs import split_specs


def evaluate_cohorts(
    cohorts: Sequence[Given | PreparedCohort],
    recipes: str | Iterable[str | Any] | None = None,
    protocol: Protocol | None = None,
    *,
    out: Path | str | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    **options: Any,
) -> Trials:
    """Evaluate the same recipes on several cohorts, each by a trial of its own, and put them into one table.

    Args:
        cohorts: two or more, or the paths of their manifests, told apart by their names.
        recipes, protocol: as for `evaluate`; without recipes each cohort is tried by those that support it.
        out: a folder with a run folder for each cohort by its name, and `cohorts.json` with both tables over all.
        progress: called with (cohort, finished, all) training sets; None draws a bar in a terminal or notebook.
        options: of `evaluate`: `seed`, `resume`, `jobs`, `engine`, `device`, `contrasts`, and `sources`, which are then
            those of every cohort beside what its manifest names.

    Raises:
        TrialError: two cohorts have one name, one has the name of a column, or a run folder holds another trial.
        CohortError: `check_cohort` finds errors in one of them.
        Unsupported: a requested recipe cannot be fitted on one of them.
    """
    options = {**options, "sources": list(options.get("sources", ()))}
    opened = [given if isinstance(given, PreparedCohort) else as_cohort(given) for given in cohorts]
    names = [given.cohort.name if isinstance(given, PreparedCohort) else given.name for given in opened]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise TrialError(f"two cohorts are called '{twice[0]}': give each a `name` of its own in its manifest")
    taken = [name for name in names if name in COLUMNS]
    if taken:
        raise TrialError(
            f"a cohort is called '{taken[0]}', as a column of the table over cohorts: give it another name"
        )
    asked = split_specs(recipes) if isinstance(recipes, str) else recipes
    asked = None if asked is None else list(asked)
    ready = {}
    for name, given in zip(names, opened, strict=True):
        try:
            ready[name] = ready_for(given, asked, options)
            registry.for_trial(asked, ready[name].cohort)  # before any is fitted, on this cohort or another
        except Unsupported as refused:
            raise Unsupported(f"cohort '{name}': {refused}") from None
        except CohortError as refused:
            named = [replace(own, what=f"cohort '{name}': {own.what}") for own in refused.problems]
            raise CohortError(named) from None
    made: dict[str, Trial] = {}
    options.pop("sources")  # every cohort has them now
    for name, given in ready.items():
        told = None if progress is None else partial(progress, name)
        place = None if out is None else folder_of(out, name)
        made[name] = evaluate(given, asked, protocol, out=place, progress=told, **options)
    trials = Trials(made)
    if out is not None:
        write_text(Path(out) / "cohorts.json", json.dumps(trials.document(), indent=1, allow_nan=False))
    return trials


def ready_for(
    given: Cohort | PreparedCohort, recipes: Iterable[Any] | None, options: Mapping[str, Any]
) -> PreparedCohort:
    """Check and encode a cohort that is not prepared yet, and warn of what the check found."""
    engine = {key: options[key] for key in ("jobs", "engine") if key in options}
    sources = options.get("sources", ())
    if isinstance(given, PreparedCohort):
        return with_sources(given, sources, **engine)
    lenders = opened_sources(given, sources)  # what is refused is refused before anything is encoded
    made = lent(prepare(given, recipes or (), **engine), lenders, **engine)
    warn_of_findings(made.checked)
    return made


def folder_of(out: Path | str, cohort: str) -> Path:
    """Run folder of one of several cohorts, below `out`."""
    name = quote(cohort, safe=" ")
    return Path(out) / (name if name.strip(".") else name.replace(".", "%2E"))
