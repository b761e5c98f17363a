"""Source cohorts of a cohort: opened, compared with it, checked and encoded as it is, before anything is fitted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from chiasm.api.encoding import check_cohort, prepare
from chiasm.cohort import Cohort, CohortError, LeakageError, Unsupported
from chiasm.cohort.accepted import Finding
from chiasm.cohort.lending import kind_in, same_patients, shared_parts
from chiasm.cohort.opened import Given, as_cohort
from chiasm.encoding.preparing import PreparedCohort
from chiasm.errors import Problem, count, warning
from chiasm.fitting.lent import borrowed_from
from chiasm.models.same_target import likely, listed, plain

OF_FOLDS = ("never-tested", "without-fold", "two-folds", "fold-lacks-class", "fold-lacks-label", "unmade-finding")
"""Findings that matter to who is tested, and so to no source cohort."""


def with_sources(
    cohort: PreparedCohort, sources: Iterable[Given] = (), *, jobs: int | None = None, engine: str = "local"
) -> PreparedCohort:
    """Give a prepared cohort its source cohorts: those of its manifest and these, prepared as it is.

    Source cohorts are learned from by recipes that borrow, such as `transfer`; nobody in them is ever scored. What a
    table shares with the cohort's only in part is a finding.

    Args:
        cohort: from `prepare`; one that has its source cohorts already, where no other is named, is returned as it is.
        sources: cohorts, or the paths of their manifests.
        jobs, engine: as for `encode`.

    Raises:
        CohortError: a source cannot be opened, or its check finds errors.
        Unsupported: another kind of target, other classes or another unit than the cohort's; nothing that both share;
            too few patients.
        LeakageError: it is the cohort itself, or a patient stands in both.
    """
    own, asked = cohort.cohort, list(sources)
    if not asked and (own.lenders or not own.lender_paths):
        return cohort
    return lent(cohort, opened_sources(own, asked), jobs=jobs, engine=engine)


def lent(
    cohort: PreparedCohort, lenders: Sequence[Cohort], *, jobs: int | None = None, engine: str = "local"
) -> PreparedCohort:
    """Prepare source cohorts from `opened_sources`, and give them to a cohort; unchanged without any."""
    if not lenders:
        return cohort
    own = cohort.cohort
    ready = [_prepared(own, lender, jobs, engine) for lender in lenders]
    notes = [Finding(note) for lender in ready for note in partly_shared(own, lender)]
    return replace(cohort, cohort=own.with_lenders(ready), checked=(*cohort.checked, *notes))


def opened_sources(cohort: Cohort, sources: Iterable[Given] = ()) -> list[Cohort]:
    """Open the source cohorts that a cohort's manifest names and these, once each is one that can be borrowed from.

    Args:
        cohort: encoded or not.
        sources: cohorts, or the paths of their manifests.
    """
    found: list[Cohort] = []
    for given in [*cohort.lender_paths, *sources]:
        try:
            lender = as_cohort(given)
        except CohortError as refused:
            raise _of_source(str(given), refused) from None
        require_lender(cohort, lender)
        if all(lender.fingerprint != before.fingerprint for before in found):  # one that is named twice counts once
            found.append(lender)
    return found


def require_lender(cohort: Cohort, lender: Cohort) -> None:
    """Refuse a source cohort that cannot be borrowed from, or that gives patients of the cohort away.

    Raises:
        Unsupported: another kind of target, other classes or another unit; nothing shared, or too few patients.
        LeakageError: it is the cohort itself, or a patient stands in both.
    """
    _require_target(cohort, lender)
    if lender.ids.tolist() == cohort.ids.tolist():
        raise LeakageError(f"the source cohort '{lender.name}' is the cohort itself: name another one")
    odd = [
        name
        for name in cohort.modalities
        if name in lender.modalities and kind_in(cohort, name) != kind_in(lender, name)
    ]
    if odd:
        raise Unsupported(
            f"modality '{odd[0]}' is of kind '{kind_in(cohort, odd[0])}' and in the source cohort '{lender.name}' of "
            f"kind '{kind_in(lender, odd[0])}': name one kind in both manifests"
        )
    shared = shared_parts(cohort, lender)
    if not shared:
        same = [name for name in lender.modalities if name in cohort.modalities]
        what = f"no column of {listed(same)}" if same else f"none of the modalities {listed(cohort.modalities)}"
        meant = "" if same else likely(cohort.modalities, lender.modalities)
        raise Unsupported(
            f"the source cohort '{lender.name}' has {what}{meant}, by name, and there is nothing to borrow: name "
            f"modalities and columns as in '{cohort.name}'"
        )
    try:
        borrowed_from(lender, shared)
    except Unsupported as refused:
        raise Unsupported(f"the source cohort '{lender.name}': {refused}") from None
    except CohortError as refused:
        raise _of_source(lender.name, refused) from None
    named, alike = same_patients(cohort, lender)
    if alike:
        verb = "has the values" if alike == 1 else "have the values"
        raise LeakageError(
            f"{count(alike, 'patient')} of the source cohort '{lender.name}' {verb} of patients of '{cohort.name}', "
            "whose outcome they give away: leave them out of the source"
        )
    if named:
        verb = "has the identifier of one" if named == 1 else "have identifiers of patients"
        raise LeakageError(
            f"{count(named, 'patient')} of the source cohort '{lender.name}' {verb} of '{cohort.name}': leave them out "
            "of the source, or, where they are other people, give them identifiers of their own"
        )


def partly_shared(cohort: Cohort, lender: Cohort) -> list[Problem]:
    """Say of each table of which a source cohort has some columns and not all how many these are."""
    found = []
    for name, columns in shared_parts(cohort, lender).items():
        everything = len(cohort.sources[name].columns)
        if columns and len(columns) < everything:
            what = f"the source cohort '{lender.name}' shares {len(columns):,} of {everything:,} columns"
            fix = "nothing is borrowed of the others; name a column alike in both, and as the same kind, to share it"
            found.append(warning(what, fix, path=cohort.path, modality=name, finding="partly-shared"))
    return found


def _require_target(cohort: Cohort, lender: Cohort) -> None:
    ours, theirs = cohort.target, lender.target
    if ours is None:
        raise Unsupported("borrowing needs a target: name one in [target], or give target=... to cohort_from_frames")
    if theirs is None or lender.outcome is None:
        raise Unsupported(f"the source cohort '{lender.name}' has no target: name one of kind '{ours.kind}' in it")
    if ours.kind != theirs.kind:
        raise Unsupported(
            f"the target of the source cohort '{lender.name}' is of kind '{theirs.kind}' and that of '{cohort.name}' "
            f"of kind '{ours.kind}': only outcomes of one kind are borrowed from"
        )
    if set(ours.names) != set(theirs.names):
        noun = "labels" if ours.has_labels else "classes"
        raise Unsupported(
            f"the {noun} of the source cohort '{lender.name}' are {listed(theirs.names)} and those of '{cohort.name}' "
            f"{listed(ours.names)}{likely(ours.names, theirs.names)}: write them alike"
        )
    if ours.unit and theirs.unit and plain(ours.unit) != plain(theirs.unit):
        raise Unsupported(
            f"the target of the source cohort '{lender.name}' is in '{theirs.unit}' and that of '{cohort.name}' in "
            f"'{ours.unit}': convert its column, and name the unit in [target]"
        )


def _prepared(cohort: Cohort, lender: Cohort, jobs: int | None, engine: str) -> Cohort:
    """Check and encode what is shared of a source cohort, each modality as in the cohort."""
    names = sorted(shared_parts(cohort, lender))
    encoders = {name: cohort.encodings[name].encoder for name in names if name in cohort.encodings}
    own = replace(lender.with_modalities(names), fold=None, accepted={}, encoders=encoders, lenders=(), lender_paths=())
    own = replace(own, findings=tuple(known for known in own.findings if known.finding not in OF_FOLDS))
    quiet: dict[str, Any] = {"progress": lambda *told: None}
    try:
        return prepare(own, checked=check_cohort(own), jobs=jobs, engine=engine, **quiet).cohort
    except CohortError as refused:
        raise _of_source(lender.name, refused) from None


def _of_source(name: str, refused: CohortError) -> CohortError:
    return CohortError([replace(own, what=f"source cohort '{name}': {own.what}") for own in refused.problems])
