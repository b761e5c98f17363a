"""Public function to check a cohort and its sources."""

from __future__ import annotations

import os
from dataclasses import replace

from chiasm.api.source_checks import partly_shared, require_source, unknown_training
from chiasm.api.sources import opened_source, own_problems
from chiasm.cohort import Cohort, CohortError, LeakageError, Problem, Unsupported
from chiasm.cohort.opened import as_cohort
from chiasm.encoding.checking import examine
from chiasm.encoding.findings import stopping
from chiasm.errors import error


def check_cohort(cohort: Cohort | str | os.PathLike[str]) -> list[Problem]:
    """Check a cohort or manifest and list all problems, errors first; only errors stop a run.

    Checks values, identifiers, targets and folds, and the sources, mostly by their headers; no weights are loaded. An
    unreadable file is a warning, since its patient counts as lacking the modality; it is an error if none can be read.
    Source cohorts and source models that the manifest names are opened and compared with it, as a trial does.
    """
    opened, problems = examine(cohort if isinstance(cohort, str | os.PathLike) else as_cohort(cohort))
    problems += [] if opened is None else source_problems(opened)
    return sorted(problems, key=lambda problem: problem.severity != "error")


def source_problems(cohort: Cohort) -> list[Problem]:
    """List what a trial would refuse of the sources that a cohort's manifest names, and what it would tell of them."""
    found: list[Problem] = []
    taken: list[str] = []
    for place in cohort.lender_paths:
        try:
            source = opened_source(place, taken)
            taken.append(source.name)
            require_source(cohort, source)
        except CohortError as refused:
            found += [replace(own, path=own.path or cohort.path) for own in refused.problems]
            continue
        except (Unsupported, LeakageError) as refused:
            what, _, fix = str(refused).rpartition(": ")
            found.append(error(what, fix, path=cohort.path, finding="unfit-source"))
            continue
        found += partly_shared(cohort, source)
        if isinstance(source, Cohort):
            found += [replace(own, finding="unfit-source") for own in stopping(own_problems(cohort, source))]
        else:
            found.append(unknown_training(cohort, source))
    return found
