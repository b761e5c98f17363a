"""Check a cohort before anything is trained: report all its problems in one pass."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from chiasm.cohort.accepted import DECODED, LATER, unmade
from chiasm.cohort.cohort import Cohort
from chiasm.cohort.column_kinds import spelt_alike
from chiasm.cohort.content import block_problems, patient_problems
from chiasm.cohort.leaks import leak_problems, twin_problems
from chiasm.cohort.manifest import read_manifest
from chiasm.cohort.splits import NEVER_TESTED, lacking, shared_groups, skipped_labels
from chiasm.cohort.stratify import fewest
from chiasm.cohort.targets import Classification, Multilabel, Regression, Survival
from chiasm.errors import Problem, count, error, warning

__all__ = ["Problem", "check_cohort"]

LARGEST = 1e100  # a number whose square, summed over patients, is still far from overflow
USUAL_FOLDS = 5
# if half of the patients were followed for longer than this (55 years), the unit must be wrong
LONGEST_MEDIAN = {"hours": 480_000.0, "days": 20_000.0, "weeks": 2_900.0, "months": 660.0, "years": 55.0}
SHORT_DAYS = 400.0


def check_cohort(cohort: Cohort | str | os.PathLike[str]) -> list[Problem]:
    """List every problem of a cohort or a manifest, errors first; only errors stop a run.

    `row` counts as a spreadsheet does: the header is row 1, the first patient row 2, in the file that `path` names.
    A defect shared by several rows is one problem, with its first row and a count. No problem quotes a patient's
    identifier or value. Reads every file of the cohort once and changes nothing.
    """
    opened, problems = examine(cohort)
    return problems if opened is None else [*unmade(problems, opened.accepted, (*LATER, *DECODED)), *problems]


def examine(
    cohort: Cohort | str | os.PathLike[str], opening: Callable[[Cohort], None] = lambda cohort: None
) -> tuple[Cohort | None, list[Problem]]:
    """Open and check a cohort: return it, or None if its manifest has errors, with every problem (see `check_cohort`).

    `opening` is called with the cohort before its content is read.
    """
    opened, structure = (cohort, []) if isinstance(cohort, Cohort) else read_manifest(cohort)
    if opened is None:
        return None, structure
    opening(opened)
    complete = opened is cohort or not _incomplete(opened, structure)
    problems = [
        *structure,
        *opened.findings,
        *_target_problems(opened),
        *_fold_problems(opened),
        *(problem for name in opened.modalities for problem in block_problems(opened, name)),
        *patient_problems(opened, complete=complete),
        *twin_problems(opened, complete=complete),
        *leak_problems(opened),
    ]
    sound = not any(problem.severity == "error" for problem in structure)
    return opened if sound else None, sorted(problems, key=lambda problem: problem.severity != "error")


def _incomplete(cohort: Cohort, structure: list[Problem]) -> bool:
    """Tell whether a modality of the manifest failed to open, so that its patients only appear to have none."""
    return any(problem.modality is not None and problem.modality not in cohort.kinds for problem in structure)


def _target_problems(cohort: Cohort) -> list[Problem]:
    if cohort.outcome is None or not cohort.outcome.known.any():
        return []
    if isinstance(cohort.target, Multilabel):
        return _label_problems(cohort.target, cohort.outcome.value, cohort.path)
    found = []
    known = cohort.outcome.known
    if isinstance(cohort.target, Classification):
        sizes = np.bincount(cohort.outcome.value[known].astype(int), minlength=len(cohort.target.classes))
        if spelt_alike(list(cohort.target.classes)).any():
            what = f"column '{cohort.target.column}' has classes that differ in case, spaces or hyphens alone"
            found.append(warning(what, "spell each one way", path=cohort.path, finding="spelt-differently"))
        if (sizes > 0).sum() < 2:
            what = f"column '{cohort.target.column}' has a single class"
            found.append(
                error(
                    what,
                    "there is nothing to tell apart: name another column",
                    path=cohort.path,
                    finding="single-class",
                )
            )
        elif (sizes < USUAL_FOLDS).any():
            small = int((sizes < USUAL_FOLDS).sum())
            noun = "class" if small == 1 else "classes"
            what = f"{small:,} {noun} of '{cohort.target.column}' with fewer than {USUAL_FOLDS} patients"
            found.append(
                warning(what, "join it with another class or use fewer folds", path=cohort.path, finding="small-class")
            )
    if isinstance(cohort.target, Regression | Survival):
        found += _reach_problems(cohort.target, cohort.outcome.value[known], cohort.path)
    if isinstance(cohort.target, Survival) and cohort.outcome.event is not None:
        events = int(cohort.outcome.event.sum())
        status = cohort.target.event or cohort.target.censored
        if events == 0:
            what, fix = f"column '{status}' has no event", "check its coding: `event` is 1 where it happened"
            found.append(error(what, fix, path=cohort.path, finding="no-event"))
        elif events < USUAL_FOLDS:
            what = f"column '{status}' has {count(events, 'event')}, fewer than {USUAL_FOLDS}"
            found.append(warning(what, "use fewer folds", path=cohort.path, finding="few-events"))
        found += _scale_problems(cohort.target, cohort.outcome.value[known], cohort.path)
    return found


def _reach_problems(target: Regression | Survival, value: NDArray[np.float64], path: str | None) -> list[Problem]:
    """Refuse numbers whose squares are too large or too small for a computer's arithmetic, and a single value."""
    column = target.columns[0]
    largest, spread = float(np.abs(value).max()), float(np.ptp(value / 2))  # halved, since a difference may overflow
    if largest > LARGEST or 0 < spread < 1 / LARGEST:
        what = (
            f"column '{column}' holds numbers that are too {'large' if largest > LARGEST else 'small'} to compute with"
        )
        return [error(what, "write it in another unit", path=path, finding="target-out-of-reach")]
    if spread == 0 and isinstance(target, Regression):
        what = f"column '{column}' has a single value"
        return [error(what, "there is nothing to tell apart: name another column", path=path, finding="single-class")]
    return []


def _label_problems(target: Multilabel, value: NDArray[np.float64], path: str | None) -> list[Problem]:
    """Report labels that are constant or too rare for the usual folds; an error if every label is constant."""
    sizes = fewest(value)  # (K,)
    constant = [name for name, n in zip(target.columns, sizes, strict=True) if n == 0]
    rare = [name for name, n in zip(target.columns, sizes, strict=True) if 0 < n < USUAL_FOLDS]
    if len(constant) == len(target.columns):
        what = f"{count(len(constant), 'label')} with a single value: {_listed(constant)}"
        return [error(what, "there is nothing to tell apart: name other columns", path=path, finding="single-class")]
    found = []
    if constant:
        what = f"{count(len(constant), 'label')} with a single value: {_listed(constant)}"
        found.append(
            warning(
                what,
                "left out of every mean over labels; check the coding or drop the column",
                path=path,
                finding="constant-label",
            )
        )
    if rare:
        what = f"{count(len(rare), 'label')} that fewer than {USUAL_FOLDS} patients have, or have not: {_listed(rare)}"
        found.append(
            warning(what, "left out of every mean over labels; join it with another", path=path, finding="rare-label")
        )
    return found


def _listed(names: list[str]) -> str:
    return ", ".join(f"'{name}'" for name in names[:5]) + (" ..." if len(names) > 5 else "")


def _scale_problems(target: Survival, times: NDArray[np.float64], path: str | None) -> list[Problem]:
    """Warn if the times do not fit their unit, judged by summary statistics that are not quoted."""
    unit = target.unit.strip().lower()
    unit = unit if unit.endswith("s") else f"{unit}s"
    longest = LONGEST_MEDIAN.get(unit)
    if longest is not None and float(np.median(times)) > longest:
        what = f"column '{target.time}' is said to be in {unit}, and half of the times are longer than {longest:,.0f}"
        return [
            warning(what, "correct `unit` or the times: are they in a smaller unit?", path=path, finding="odd-unit")
        ]
    fractions = float(np.mean(times != np.round(times)))
    if unit == "days" and fractions > 0.5 and float(times.max()) < SHORT_DAYS:
        what = f"column '{target.time}' is said to be in days, and most times are short fractions of them"
        return [warning(what, "correct `unit` or the times: are they in months?", path=path, finding="odd-unit")]
    return []


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
