"""Check a cohort before anything is trained: report all its problems in one pass."""

from __future__ import annotations

import os
from collections.abc import Callable

from chiasm.cohort.accepted import DECODED, LATER, unmade
from chiasm.cohort.cohort import Cohort
from chiasm.cohort.column_kinds import spelt_alike
from chiasm.cohort.leaks import leak_problems, twin_problems
from chiasm.cohort.manifest import read_manifest
from chiasm.cohort.modality_checks import block_problems, patient_problems
from chiasm.cohort.splits import NEVER_TESTED, lacking, shared_groups, skipped_labels
from chiasm.errors import Problem, error, warning

__all__ = ["Problem", "check_values"]


def check_values(cohort: Cohort | str | os.PathLike[str]) -> list[Problem]:
    """List every problem of the values of a cohort or a manifest, errors first; sources are not decoded.

    `row` counts as a spreadsheet does: the header is row 1, the first patient row 2, in the file that `path` names.
    A defect shared by several rows is one problem, with its first row and a count. No problem quotes a patient's
    identifier or value. Reads every file of the cohort once and changes nothing.
    """
    opened, problems = examine_values(cohort)
    return problems if opened is None else [*unmade(problems, opened.accepted, (*LATER, *DECODED)), *problems]


def examine_values(
    cohort: Cohort | str | os.PathLike[str], opening: Callable[[Cohort], None] = lambda cohort: None
) -> tuple[Cohort | None, list[Problem]]:
    """Open and check a cohort: return it, or None if its manifest has errors, with every problem (see `check_values`).

    `opening` is called with the cohort before its content is read.
    """
    opened, structure = (cohort, []) if isinstance(cohort, Cohort) else read_manifest(cohort)
    if opened is None:
        return None, structure
    opening(opened)
    complete = opened is cohort or not _incomplete(opened, structure)
    target = _target_problems(opened)
    within_reach = not any(problem.finding == "target-out-of-reach" for problem in target)
    problems = [
        *structure,
        *opened.findings,
        *target,
        *_fold_problems(opened),
        *(problem for name in opened.modalities for problem in block_problems(opened, name)),
        *patient_problems(opened, complete=complete),
        *twin_problems(opened, complete=complete),
        *(leak_problems(opened) if within_reach else ()),
    ]
    sound = not any(problem.severity == "error" for problem in structure)
    return opened if sound else None, sorted(problems, key=lambda problem: problem.severity != "error")


def _incomplete(cohort: Cohort, structure: list[Problem]) -> bool:
    """Tell whether a modality of the manifest failed to open, so that its patients only appear to have none."""
    return any(problem.modality is not None and problem.modality not in cohort.kinds for problem in structure)


def _target_problems(cohort: Cohort) -> list[Problem]:
    if cohort.target is None or cohort.outcome is None or not cohort.outcome.known.any():
        return []
    found = cohort.target.problems(cohort.outcome, cohort.path)
    if cohort.target.has_classes and spelt_alike(list(cohort.target.names)).any():
        what = f"column '{cohort.target.columns[0]}' has classes that differ in case, spaces or hyphens alone"
        found = [warning(what, "spell each one way", path=cohort.path, finding="spelt-differently"), *found]
    return found


def _fold_problems(cohort: Cohort) -> list[Problem]:
    if cohort.fold is None:
        return []
    names = sorted(set(cohort.fold.tolist()) - {NEVER_TESTED})
    found = []
    if not names:
        found.append(
            error(
                f"every fold is '{NEVER_TESTED}'", "name the fold in which a patient is tested", finding="never-tested"
            )
        )
    if cohort.outcome is not None and cohort.outcome.known.any():
        fix = "move patients between the folds, or merge it with another"
        for name in names:
            stops = lacking(cohort, cohort.fold, name)
            found += [error(what, fix, finding="fold-lacks-class") for what in stops]
            skip = [] if stops else skipped_labels(cohort, cohort.fold, name)
            found += [
                warning(what, "the mean over labels goes without it there; or " + fix, finding="fold-lacks-label")
                for what in skip
            ]
    shared = {name: shared_groups(cohort, cohort.fold == name) for name in names}
    leaky = [f"'{name}' ({number:,})" for name, number in shared.items() if number]
    if leaky:
        what = f"groups stand on both sides of the given {'fold' if len(leaky) == 1 else 'folds'} {', '.join(leaky)}"
        found.append(
            warning(
                what,
                "scores on these folds are optimistic: draw folds that keep a group together",
                finding="shared-groups",
                leak=True,
            )
        )
    return found
