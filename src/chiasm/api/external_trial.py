"""The picks of a trial, fitted on its whole cohort, on patients of another one: `evaluate(..., external=cohort)`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from chiasm.api.external import prepare_new, told_by
from chiasm.cohort import Cohort, CohortError, LeakageError, Unsupported
from chiasm.cohort.generated import require_real
from chiasm.cohort.kinds import TABLE, has_form
from chiasm.cohort.lending import same_patients
from chiasm.cohort.units import content_keys
from chiasm.encoding.preparing import encode_for
from chiasm.errors import count, raised_at
from chiasm.evaluation import Trial, TrialError
from chiasm.evaluation.external import External, score_external, scored_patients
from chiasm.evaluation.fits import write_tables
from chiasm.evaluation.picks import fit_picks, rules_of
from chiasm.evaluation.summary import looked_at, plain, write_document
from chiasm.evaluation.trial import read_document
from chiasm.fitting.source_model import SourceModel
from chiasm.models.same_target import cause_notes, listed, require_censoring, require_target

OWN = (CohortError, LeakageError, Unsupported, TrialError)


class ExternalError(TrialError):
    """Error in scoring a finished trial on another cohort; `trial` is the trial, without that part."""

    def __init__(self, message: str, trial: Trial | None = None) -> None:
        super().__init__(message)
        self.trial = trial


def require_comparable(cohort: Cohort, external: Cohort) -> None:
    """Refuse an external cohort on which no model of this cohort can be scored, before anything is fitted.

    Raises:
        LeakageError: it is the cohort itself, or more than half of it are copies of the cohort's patients; or a patient
            of it stands in a source cohort, or a source model learned from it.
        Unsupported: another kind of target, other classes, another unit, no modality of the cohort, or nobody to score.
    """
    require_real(external)
    if cohort.target is None:
        raise Unsupported("evaluating needs a target: name one in [target], or give target=... to cohort_from_frames")
    known = require_target(cohort.target.kind, cohort.target.names, cohort.target.unit, external)
    require_censoring(str(cohort.target.stored().get("censored", "")), *known, external.name)
    shared = [name for name in external.modalities if name in cohort.modalities]
    if not shared:
        raise Unsupported(
            f"the cohort '{external.name}' has none of the modalities {listed(cohort.modalities)}: name them as in "
            f"'{cohort.name}'"
        )
    for name in shared:
        if not (has_form(cohort.kinds[name], TABLE) and has_form(external.kinds[name], TABLE)):
            continue
        unread = {column for column, kind in cohort.column_kinds(name).items() if kind in ("identifier", "constant")}
        there = set(map(str, external.sources[name].columns))
        lacking = [str(own) for own in cohort.sources[name].columns if str(own) not in there and own not in unread]
        if lacking:
            more = f" and {len(lacking) - 1:,} more" if len(lacking) > 1 else ""
            raise Unsupported(
                f"modality '{name}' of '{external.name}' lacks column '{lacking[0]}'{more} of '{cohort.name}': bring "
                "them, or leave them out of both"
            )
    if external.fingerprint == cohort.with_lenders(()).fingerprint:
        raise LeakageError(
            "the external cohort is the cohort itself: its patients are those that the models learn from"
        )
    again = known_again(cohort, external)
    if 2 * again > len(external):
        raise LeakageError(
            f"{again:,} of {len(external):,} patients of '{external.name}' are identical in every modality to some of "
            f"'{cohort.name}', from whom the models learn: leave them out"
        )
    for lender in cohort.lenders:
        if named := max(same_patients(external, lender)):
            raise LeakageError(
                f"{count(named, 'patient')} of '{external.name}' stand in the source cohort '{lender.name}' too, by "
                "the identifier or the values, and the models may learn from them there: leave them out of one of both"
            )
    for source in cohort.lent_models:
        if isinstance(source, SourceModel) and source.learned_from(external):
            raise LeakageError(
                f"the source model '{source.name}' learned from patients of '{external.name}': name another external "
                "cohort"
            )
    scored_patients(external.with_modalities(shared))


def known_again(cohort: Cohort, external: Cohort) -> int:
    """How many patients of the external cohort are identical in every shared modality to one of the cohort."""
    shared = [name for name in external.modalities if name in cohort.modalities]
    known = set(content_keys(cohort.with_modalities(shared)).tolist()) - {b""}
    return sum(key in known for key in content_keys(external.with_modalities(shared)).tolist())


def add_external(
    trial: Trial,
    cohort: Cohort,
    external: Cohort,
    recipes: Sequence[Any],
    *,
    seed: int,
    device: str,
    out: Path | None,
) -> Trial:
    """Score the trial's picks on the external cohort, each fitted on every usable patient of its own.

    A trial that has it already, from the same external cohort, is returned as it is.

    Args:
        recipes: the recipes of the trial, forms among them.
        out: the run folder, whose `trial.json` gets the part `external`, beside the predictions and outcomes.

    Raises:
        TrialError: the trial was scored on another external cohort.
        ExternalError: a pick cannot be fitted or scored; the trial stands as it was.
    """
    known = trial.document.get("external")
    if known is not None:
        if known["fingerprint"] != external.fingerprint:
            raise TrialError("the trial was scored on another external cohort: choose another --out")
        return trial
    try:
        found, notes = picks_on(trial, cohort, external, recipes, seed=seed, device=device)
    except Exception as error:  # whatever it is, the trial is handed on with it
        raise ExternalError(unscored(external, out, error), trial) from error
    names = list(found.scores)
    apart = found.difference(*names) if len(names) > 1 else None
    part = plain(
        {
            **found.as_json(),
            "difference": None if apart is None else asdict(apart),
            "notes": notes,
            "fingerprint": external.fingerprint,
        }
    )
    if out is not None:
        write_tables(out, found.trial.predictions, found.trial.outcomes, "external_")
        write_document(out / "trial.json", {**read_document(out / "trial.json"), "external": part})
    return replace(trial, document={**trial.document, "external": part})


def unscored(external: Cohort, out: Path | None, error: Exception) -> str:
    """Say that the trial is finished, why its picks were not scored, and how to go on.

    Of an error that is none of chiasm's own the kind and the place are told, and its text is not, because it may quote
    a patient; nor is the external cohort called the cause.
    """
    own = isinstance(error, OWN)
    module, line = raised_at(error)
    why = "; ".join(str(error).splitlines()) if own else f"{type(error).__name__} in {module}, line {line}"
    mend = "Mend that cohort and evaluate" if own else "Evaluate"
    where, resumed = "it is the `trial` of this error", ""
    if out is not None:
        where, resumed = f"it lies in '{out.name}'", " with --resume (resume=True)"
    return (
        f"the trial is finished ({where}), and its picks could not be scored on '{external.name}': {why}. {mend} "
        f"again{resumed}, or do without that cohort"
    )


def picks_on(
    trial: Trial, cohort: Cohort, external: Cohort, recipes: Sequence[Any], *, seed: int, device: str
) -> tuple[External, list[str]]:
    """Fit the picks on the cohort and score them on the external one, with what of it is unlike training."""
    assert cohort.target is not None
    target, outcome = require_target(cohort.target.kind, cohort.target.names, cohort.target.unit, external)
    waiting = external.with_modalities([name for name in external.modalities if name in cohort.modalities])
    waiting = waiting.with_target(target, outcome)
    picks = [next(own for own in recipes if own.name == name) for name in looked_at(trial)]
    fitted = fit_picks(trial, cohort, picks, seed=seed, device=device)
    for place, model in enumerate(fitted.models.values()):
        ready = prepare_new(waiting, model).cohort if not place else encode_for(model, waiting).cohort
        waiting = waiting.merged(ready)
    used, _ = scored_patients(waiting)
    frames, notes = {}, cause_notes(target.names, target, outcome)
    if again := known_again(cohort, external):
        notes.append(f"{count(again, 'patient')} identical in every modality to one of the trial's cohort.")
    for name, model in fitted.models.items():
        frames[name], said = told_by(model, used.with_target(None, None))
        notes += [note for note in said if note not in notes]
    rules = rules_of(trial)
    by = rules.by if waiting.site is not None else None
    return score_external(waiting, frames, by=by, draws=rules.draws, seed=seed, described=fitted.described), notes
