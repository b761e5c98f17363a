"""Full check of a cohort, of its values and its files, and the decision which findings stop a run."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace

from chiasm.cohort import Cohort, CohortError, Problem
from chiasm.cohort.accepted import DECODED, LATER, Finding, settle, unmade
from chiasm.cohort.checks import examine_values
from chiasm.encoding.box_sizes import box_size_problems
from chiasm.encoding.findings import file_problems, stopping
from chiasm.encoding.mask_places import mask_place_problems
from chiasm.encoding.prune import open_store
from chiasm.encoding.source_digests import know_digests, unseen


def examine(
    cohort: Cohort | str | os.PathLike[str], *, progress: Callable[[str, int, int], None] | None = None
) -> tuple[Cohort | None, list[Problem]]:
    """Check a cohort; return it, or None if its manifest cannot be opened, and all its problems: see `check_cohort`.

    Args:
        progress: called with (modality, finished, all) sources whose headers are read; before that, as for `encode`,
            with ("<modality>, content", read, all).
    """
    opened, problems = examine_values(cohort, lambda found: know_digests(found, open_store(), progress or unseen))
    if opened is not None:
        problems += file_problems(opened, progress or unseen)
        problems += [*box_size_problems(opened), *mask_place_problems(opened)]
        later = (*LATER, *DECODED) if opened.encodings else LATER  # what is encoded is not opened again
        problems += unmade(problems, opened.accepted, later)
    return opened, sorted(problems, key=lambda problem: problem.severity != "error")


def kept_together(finding: Finding) -> Finding:
    """Accept a finding of identical patients, which is not a leak if the folds keep them on one side."""
    same = finding.problem.finding == "identical-patients" and finding.reason is None
    return replace(finding, reason="they stand on one side of every fold") if same else finding


def require_sound(
    cohort: Cohort, checked: Sequence[Problem] | None = None, *, tolerated: Sequence[str] = ()
) -> list[Finding]:
    """Raise on errors of a cohort; return its other findings with the reasons for accepting them.

    Args:
        checked: the problems if already checked; None checks the cohort.
        tolerated: names of findings to ignore here, even if they are errors elsewhere.

    Raises:
        CohortError: an error of values, targets, files or folds, or an accepted finding that was not made.
    """
    problems = examine(cohort)[1] if checked is None else list(checked)
    problems = [problem for problem in problems if problem.finding not in tolerated]
    errors = stopping(problems)
    if errors:
        raise CohortError(errors)
    return settle([problem for problem in problems if problem.severity != "error"], cohort.accepted)
