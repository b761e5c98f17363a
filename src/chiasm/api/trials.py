"""Public functions to run a trial of several recipes on the same folds, and to load a finished one."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from chiasm.api.encoding import engine_of, prepare
from chiasm.api.external_trial import add_external, require_comparable
from chiasm.api.following import tell
from chiasm.api.identifiers import screen_identifiers
from chiasm.api.reporting import keep_guidelines, left_as_it_is
from chiasm.api.sources import Source, lent, opened_sources, with_sources
from chiasm.cohort import Problem
from chiasm.cohort.generated import require_real
from chiasm.cohort.opened import Given, as_cohort
from chiasm.compute.memo import work_clock
from chiasm.compute.pool import default_jobs
from chiasm.encoding.checking import examine, kept_together
from chiasm.encoding.preparing import PreparedCohort, warn_of_findings
from chiasm.evaluation import Protocol, Trial, run_trial
from chiasm.evaluation import load_trial as read_trial
from chiasm.progress import followed
from chiasm.recipes import registry
from chiasm.specs import split_specs


def evaluate(
    cohort: Given | PreparedCohort,
    recipes: str | Iterable[str | Any] | None = None,
    protocol: Protocol | None = None,
    *,
    seed: int = 0,
    out: Path | str | None = None,
    resume: bool = False,
    jobs: int | None = None,
    engine: str = "local",
    device: str = "cpu",
    gpus_per_trial: float | None = None,
    contrasts: Iterable[tuple[str, str]] = (),
    external: Given | None = None,
    sources: Iterable[Source] = (),
    checked: Sequence[Problem] | None = None,
    identifiers: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Trial:
    """Evaluate every recipe on the same folds: out-of-fold predictions, scores with intervals, and the verdict.

    Args:
        cohort: a cohort with a target, or the path of a manifest, which is checked and encoded first, or what `prepare`
            made of one.
        recipes: one name or several (`"late-fusion"`, `"lego-fuse:mode=weave"`, `"single:rna"`) or recipe objects; None
            takes every modality alone and every recipe that supports the cohort.
        protocol: folds, repeats, margin; the folds that the cohort prescribes unless it says otherwise.
        seed: seed of the splits, the fits and the bootstrap.
        out: the run folder: `trial.json`, `predictions.parquet`, `outcomes.parquet`, `report.html`, `reporting.md`,
            `log.jsonl`.
        resume: continue the trial in `out`.
        jobs: number of processes; None takes the available cores, but one where processes cannot be forked (macOS,
            Windows), since a script without a `__main__` guard would be run again in each.
        engine: "local", or "ray" to run encoding and training sets on the cluster that `RAY_ADDRESS` names.
        gpus_per_trial: with the engine "ray" and the device "cuda", how many GPUs each training set has: a share below
            1, by which several fit on one, or a whole number; None: one.
        contrasts: prespecified pairs `(recipe, against)` of the trial, each judged by its own interval.
        external: another cohort, on which the two picks, fitted on all of this one, are scored when the trial is done;
            the verdict does not change. Where that fails, the trial is stored with its page all the same.
        sources: source cohorts, or the paths of their manifests, beside those that the cohort's manifest names. Recipes
            that borrow learn from them, `transfer` is tried too, and nobody in them is ever scored.
        checked: the result of `check_cohort` before the cohort was encoded; None checks it here.
        identifiers: also screen the cohort for what may name a patient (`screen_identifiers`); the findings stand in
            `trial.json` and on the page with those of the check.
        progress: called with (finished, all) training sets; None draws a bar in a terminal or notebook.

    Raises:
        CohortError: `check_cohort` finds errors, or a finding is accepted that was not made.
        Unsupported: a requested recipe cannot be fitted on this cohort, or a source cohort has another target, or
            nothing that both share.
        LeakageError: a patient of the cohort stands in a source cohort too.
        ValueError: `checked` or `identifiers` is given for a prepared cohort.
        TrialError: `out` already holds a trial and `resume` is False, or it holds a different trial; or the picks of
            the finished trial, which is its `trial`, cannot be scored on `external`.
    """
    if isinstance(recipes, str):
        recipes = split_specs(recipes)
    recipes = None if recipes is None else list(recipes)
    other = None if external is None else as_cohort(external)
    ready = cohort
    if isinstance(ready, PreparedCohort) and checked is not None:
        raise ValueError("a prepared cohort was checked already: leave `checked` out")
    if isinstance(ready, PreparedCohort) and identifiers:
        raise ValueError("a prepared cohort is encoded, and no source of it is screened: give the cohort itself")
    asked = list(sources)
    if not isinstance(ready, PreparedCohort):
        ready = as_cohort(ready)
        require_real(ready)
        lenders = opened_sources(ready, asked)  # what is refused is refused before anything is encoded
        quiet = None if progress is None else (lambda *told: None)  # who follows training sets sees no other bar
        if identifiers:
            known = examine(ready)[1] if checked is None else checked
            checked = [*known, *screen_identifiers(ready, progress=quiet).problems]
        ready = prepare(ready, recipes or (), checked=checked, jobs=jobs, engine=engine, progress=quiet)
        ready = lent(ready, lenders, jobs=jobs, engine=engine)
        warn_of_findings(ready.checked)
    else:
        ready = with_sources(ready, asked, jobs=jobs, engine=engine)
    findings = ready.findings
    if protocol is not None and protocol.group_duplicates:
        findings = [kept_together(finding) for finding in findings]
    used = ready.cohort
    if other is not None:
        require_comparable(used, other)
    chosen, forms = registry.for_trial(recipes, used)
    findings = [*findings, *registry.found_by(chosen, used)]
    folder = Path(out) if out is not None else None
    with followed("training sets", progress) as told:
        trial = run_trial(
            used,
            chosen,
            protocol or Protocol(),
            seed=seed,
            out=folder,
            resume=resume,
            jobs=jobs or default_jobs(),
            device=device,
            execute=engine_of(engine, gpus_per_trial),
            clock=work_clock,
            progress=told,
            forms=forms,
            findings=findings,
            contrasts=list(dict.fromkeys([*contrasts, *registry.compared(chosen)])),
        )
    trial = Trial(trial.document, trial.predictions, trial.outcomes, _report, _plots)
    if folder is not None and not (folder / "report.html").exists():
        _guidelines(trial, folder)
        trial.report(folder / "report.html")
    if other is not None:
        before, trial = trial, add_external(trial, used, other, [*chosen, *forms], seed=seed, device=device, out=folder)
        if folder is not None:  # also where a run was stopped after the scores and before the page
            _guidelines(trial, folder, before)
            trial.report(folder / "report.html")
    tell(trial, used)
    return trial


def load_trial(folder: Path | str, cohort: str | os.PathLike[str] | None = None) -> Trial:
    """Load a finished trial from its run folder.

    Args:
        cohort: the manifest of the cohort, where it is sealed: the page then tells of openings for other runs too.

    Raises:
        TrialError: the folder holds no finished trial, or one of a cohort with another seal.
    """
    trial = read_trial(folder, _report, _plots)
    if cohort is None:
        return trial
    from chiasm.cohort.sealing import seal_of
    from chiasm.evaluation.opening import with_openings

    return with_openings(trial, seal_of(cohort))


def _guidelines(trial: Trial, folder: Path, earlier: Trial | None = None) -> None:
    file = folder / "reporting.md"
    if not keep_guidelines(trial, file, earlier):
        warnings.warn(left_as_it_is(file), stacklevel=3)


def _report(trial: Trial, path: Path) -> Path:
    from chiasm.report import write_report

    return write_report(trial, path)


def _plots(trial: Trial) -> Any:
    from chiasm.report import Plots

    return Plots(trial)
