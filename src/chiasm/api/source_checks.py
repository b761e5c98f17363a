"""What is refused, and what is told, of a source before anything is fitted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from chiasm.cohort import Cohort, CohortError, LeakageError, Unsupported
from chiasm.cohort.lending import Shared, kind_in, same_patients, shared_parts
from chiasm.errors import Problem, count, warning
from chiasm.fitting.lent import borrowed_from
from chiasm.fitting.source_model import SourceModel, SourceScore
from chiasm.models.same_target import likely, listed, plain

ASKED = 2  # patients of whom a source model is asked before anything is fitted


def require_source(cohort: Cohort, source: Cohort | SourceModel) -> None:
    """Refuse a source that cannot be borrowed from, or that gives patients of the cohort away.

    Raises:
        Unsupported: another kind of target, other classes or another unit; nothing shared, or too few patients.
        LeakageError: it is the cohort itself or learned from it, or a patient stands in both.
    """
    if isinstance(source, Cohort):
        require_lender(cohort, source)
    else:
        require_model(cohort, source)


def require_lender(cohort: Cohort, lender: Cohort) -> None:
    """Refuse a source cohort that cannot be borrowed from, or that gives patients of the cohort away.

    Raises:
        Unsupported: another kind of target, other classes or another unit; nothing shared, or too few patients.
        LeakageError: it is the cohort itself, or a patient stands in both.
    """
    theirs, whose = lender.target, f"the source cohort '{lender.name}'"
    if theirs is None or lender.outcome is None:
        _require_alike(cohort, whose, None, (), "")
    else:
        _require_alike(cohort, whose, theirs.kind, theirs.names, theirs.unit)
    if lender.ids.tolist() == cohort.ids.tolist():
        raise LeakageError(f"{whose} is the cohort itself: name another one")
    _require_kinds(cohort, whose, {name: kind_in(lender, name) for name in lender.modalities})
    shared = shared_parts(cohort, lender)
    if not shared:
        raise Unsupported(_nothing_shared(cohort, whose, lender.modalities))
    try:
        borrowed_from(lender, shared)
    except Unsupported as refused:
        raise Unsupported(f"{whose}: {refused}") from None
    except CohortError as refused:
        raise of_source(lender.name, refused) from None
    named, alike = same_patients(cohort, lender)
    if alike:
        verb = "has the values" if alike == 1 else "have the values"
        raise LeakageError(
            f"{count(alike, 'patient')} of {whose} {verb} of patients of '{cohort.name}', "
            "whose outcome they give away: leave them out of the source"
        )
    if named:
        verb = "has the identifier of one" if named == 1 else "have identifiers of patients"
        raise LeakageError(
            f"{count(named, 'patient')} of {whose} {verb} of '{cohort.name}': leave them out "
            "of the source, or, where they are other people, give them identifiers of their own"
        )


def require_model(cohort: Cohort, source: SourceModel) -> None:
    """Refuse a fitted model that cannot be borrowed from, or that is known to have learned from the cohort.

    Raises:
        Unsupported: another kind of target, other classes or another unit; nothing shared; or an encoder's network is
            part of the model.
        LeakageError: the scaling of one of its tables is that of the cohort's own patients.
    """
    model, whose = source.model, f"the source model '{source.name}'"
    _require_alike(cohort, whose, model.response.kind, model.response.classes, str(model.target.get("unit", "")))
    if model.reads_inputs:
        raise Unsupported(f"{whose} changed the network of an encoder: name one that reads stored tokens")
    _require_kinds(cohort, whose, model.kinds)
    shared = source.shared(cohort)
    if not shared:
        raise Unsupported(_nothing_shared(cohort, whose, list(model.kinds)))
    if source.learned_from(cohort):
        raise LeakageError(
            f"{whose} learned from patients of '{cohort.name}', whose outcome it gives away: its scaling is theirs; "
            "name a model of other patients"
        )


def require_answers(cohort: Cohort, source: SourceModel) -> None:
    """Ask a source model about a few patients of an encoded cohort, as training does.

    Raises:
        Unsupported: the model was fitted on other encodings, or on bags of another width.
    """
    shared, whose = source.shared(cohort), f"the source model '{source.name}'"
    if not shared:
        raise Unsupported(_nothing_shared(cohort, whose, list(source.model.kinds)))
    if source.is_linear_on(shared):
        return
    for name in shared:
        few = cohort.subset(cohort.rows_of(name)[:ASKED])
        try:
            SourceScore(source.model, {**shared}, (0,), {}, 1.0).raw(few, (name,))
        except (ValueError, RuntimeError) as refused:
            raise Unsupported(f"{whose} cannot read modality '{name}' of '{cohort.name}': {refused}") from None


def partly_shared(cohort: Cohort, source: Cohort | SourceModel) -> list[Problem]:
    """Say of each table of which a source has some columns and not all how many these are."""
    found = []
    whose = _called(source)
    for name, columns in _shared(cohort, source).items():
        everything = len(cohort.sources[name].columns)
        if columns and len(columns) < everything:
            what = f"{whose} shares {len(columns):,} of {everything:,} columns"
            fix = "nothing is borrowed of the others; name a column alike in both, and as the same kind, to share it"
            found.append(warning(what, fix, path=cohort.path, modality=name, finding="partly-shared"))
        if isinstance(source, Cohort) or not columns:
            continue
        if missing := len(source.expected[name].columns) - len(columns):
            what = f"{whose} reads {count(missing, 'column')} that the cohort does not have"
            fix = "they count as missing; name a column alike in both, and as the same kind, to share it"
            found.append(warning(what, fix, path=cohort.path, modality=name, finding="partly-shared"))
    return found


def unknown_training(cohort: Cohort, source: SourceModel) -> Problem:
    """Say that a model folder names none of the patients whom it learned from."""
    learned = source.model.learned_from.get("patients")
    whom = count(learned, "patient") if learned else "patients"
    what = f"the source model '{source.name}' learned from {whom}, and does not tell who they were"
    fix = "make sure that no patient of this cohort, or of one that it is tried on, was among them"
    return warning(what, fix, path=cohort.path, finding="unknown-training")


def of_source(name: str, refused: CohortError) -> CohortError:
    """Return the same errors, as those of a source cohort of this name."""
    return CohortError([replace(own, what=f"source cohort '{name}': {own.what}") for own in refused.problems])


def _shared(cohort: Cohort, source: Cohort | SourceModel) -> Shared:
    return shared_parts(cohort, source) if isinstance(source, Cohort) else source.shared(cohort)


def _called(source: Cohort | SourceModel) -> str:
    return f"the source {'cohort' if isinstance(source, Cohort) else 'model'} '{source.name}'"


def _require_alike(cohort: Cohort, whose: str, kind: str | None, names: Sequence[str], unit: str) -> None:
    """Refuse a source whose target is not that of the cohort; `whose` is the source in words, `kind` None without."""
    ours = cohort.target
    if ours is None:
        raise Unsupported("borrowing needs a target: name one in [target], or give target=... to cohort_from_frames")
    if kind is None:
        raise Unsupported(f"{whose} has no target: name one of kind '{ours.kind}' in it")
    if ours.kind != kind:
        raise Unsupported(
            f"the target of {whose} is of kind '{kind}' and that of '{cohort.name}' of kind '{ours.kind}': only "
            "outcomes of one kind are borrowed from"
        )
    if set(ours.names) != set(names):
        noun = "labels" if ours.has_labels else "classes"
        raise Unsupported(
            f"the {noun} of {whose} are {listed(names)} and those of '{cohort.name}' {listed(ours.names)}"
            f"{likely(ours.names, names)}: write them alike"
        )
    if ours.unit and unit and plain(ours.unit) != plain(unit):
        raise Unsupported(
            f"the target of {whose} is in '{unit}' and that of '{cohort.name}' in '{ours.unit}': convert its column, "
            "and name the unit in [target]"
        )


def _require_kinds(cohort: Cohort, whose: str, kinds: Mapping[str, str]) -> None:
    """Refuse a source of which a modality of one name is of another kind."""
    for name in cohort.modalities:
        if name in kinds and kind_in(cohort, name) != kinds[name]:
            raise Unsupported(
                f"modality '{name}' is of kind '{kind_in(cohort, name)}' and in {whose} of kind '{kinds[name]}': name "
                "one kind in both"
            )


def _nothing_shared(cohort: Cohort, whose: str, modalities: Sequence[str]) -> str:
    same = [name for name in modalities if name in cohort.modalities]
    what = f"no column of {listed(same)}" if same else f"none of the modalities {listed(cohort.modalities)}"
    meant = "" if same else likely(cohort.modalities, modalities)
    return (
        f"{whose} has {what}{meant}, by name, and there is nothing to borrow: name modalities and columns as in "
        f"'{cohort.name}'"
    )
