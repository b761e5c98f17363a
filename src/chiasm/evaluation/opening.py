"""Opening of a sealed test set: the picks of a trial, fitted on all patients outside it, meet the sealed ones once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from chiasm.cohort import Cohort, Outcome
from chiasm.cohort.seal import Seal
from chiasm.evaluation.estimates import Estimate
from chiasm.evaluation.external import External, score_external, scored_patients
from chiasm.evaluation.fits import said_of, write_tables
from chiasm.evaluation.picks import fit_picks, rules_of
from chiasm.evaluation.references import null
from chiasm.evaluation.run import kept_together
from chiasm.evaluation.sealing import openings_of
from chiasm.evaluation.summary import PRESENCE, looked_at, plain, write_document
from chiasm.evaluation.trial import SEALED, Trial, TrialError
from chiasm.evaluation.verdict import DOES_NOT_PAY, PAYS, Verdict
from chiasm.fitting.sides import NULL, REFERENCE, side_of
from chiasm.metrics.table import primary_label
from chiasm.shown import times

CONFIRMS, CONTRADICTS, CANNOT_TELL = "confirms", "does not confirm", "cannot tell"


def picks_of(trial: Trial) -> list[str]:
    """Name the recipes that are scored at an opening: the two picks of the verdict, and `presence` where it was tried.

    Without a verdict it is the recipe of the highest mean.
    """
    rows = [row for row in trial.document["recipes"] if side_of(row) != REFERENCE]
    picks = looked_at(trial) or [str(rows[0]["name"])]
    if trial.verdict is None:
        return picks
    return list(dict.fromkeys([*picks, *(str(row["name"]) for row in rows if row["name"] == PRESENCE)]))


@dataclass(frozen=True)
class Asked:
    """What fitted picks say of the sealed patients, before any outcome of these is looked at.

    Args:
        sealed: the sealed patients who can be scored, and what is kept together of them.
        predictions: recipe to its prediction.
        described: recipe to what is said of it beside its scores.
        reference: outcomes of the patients outside the seal.
    """

    sealed: Cohort
    predictions: Mapping[str, pd.DataFrame]
    described: Mapping[str, Mapping[str, Any]]
    reference: Outcome


def asked(trial: Trial, train: Cohort, sealed: Cohort, recipes: Sequence[Any], *, seed: int, device: str) -> Asked:
    """Fit recipes on every patient outside the seal, and predict the sealed ones without their outcomes.

    It comes before the opening is noted: where a model refuses what a sealed patient has, the seal stays closed.

    Args:
        trial: the trial whose rules hold: what is kept together, the number of draws.
        train: the usable patients outside the seal, encoded; `sealed` are those under it, encoded likewise.
    """
    fitted = fit_picks(trial, train, recipes, seed=seed, device=device)
    target, outcome = fitted.train.target, fitted.train.outcome
    assert outcome is not None and target is not None  # a trial refuses a cohort without
    together = kept_together(scored_patients(sealed)[0], rules_of(trial))
    new = together.with_target(None, None)
    frames = {name: said_of(model, new).loc[list(new.ids)] for name, model in fitted.models.items()}
    frames[NULL] = null(trial.kind, next(iter(frames.values())), outcome, target.names)
    reference = {"side": REFERENCE, "family": "reference", "trained_parameters": 0}
    return Asked(together, frames, {**fitted.described, NULL: reference}, outcome)


def scored_once(trial: Trial, said: Asked, *, seed: int) -> External:
    """Compare what was predicted of the sealed patients with their outcomes.

    The null model, and the distribution of censoring, are those of the patients outside.
    """
    draws = trial.document["protocol"]["draws"]
    return score_external(
        said.sealed, said.predictions, reference=said.reference, draws=draws, seed=seed, described=said.described
    )


def store_opening(
    out: Path,
    trial: Trial,
    found: External,
    seal: Seal,
    *,
    plan: str,
    left_out: int,
    otherwise: Sequence[str],
) -> dict[str, Any]:
    """Write the predictions and outcomes of the sealed patients, and then `sealed.json`, which says what came of it.

    Args:
        seal: the seal, of whose openings the last is this one.
        plan: the hash of what the run had named.
        left_out: sealed patients without a known outcome or any modality.
        otherwise: modalities defined otherwise than when the test set was sealed.
    """
    verdict, apart = trial.verdict, None
    if verdict is not None and verdict.best_fused != verdict.best_single:
        apart = found.difference(verdict.best_fused, verdict.best_single)
    conclusion, sentence = concluded(trial, found, apart)
    document: dict[str, Any] = plain(
        {
            "version": 1,
            "seal": seal.identity,
            "plan": plan,
            "number": seal.openings[-1].number,
            "openings": [opening.date for opening in seal.openings],
            **{key: entry for key, entry in found.as_json().items() if key in ("patients", "events", "recipes")},
            "left_out": left_out,
            "otherwise": list(otherwise),
            "difference": None if apart is None else asdict(apart),
            "conclusion": conclusion,
            "sentence": sentence,
        }
    )
    write_tables(out, found.trial.predictions, found.trial.outcomes, "sealed_")
    write_document(out / SEALED, document)
    return document


def concluded(trial: Trial, found: External, apart: Estimate | None) -> tuple[str, str]:
    """Say what the sealed patients say of the verdict: confirms, does not confirm, or cannot tell, and a sentence.

    A difference whose upper end lies below the margin is too small to be worth having, and confirms `does not pay`;
    another whose lower end lies above zero is a gain, and confirms `pays`. All else cannot tell.
    """
    verdict, events = trial.verdict, found.events
    who = f"{found.patients:,} sealed patients" + ("" if events is None else f" with {events:,} events")
    if verdict is None:
        return CANNOT_TELL, f"There was no verdict to confirm; the figures are those of {who}."
    label = primary_label(trial.kind)
    if apart is None:
        return CANNOT_TELL, f"One recipe was picked on both sides, so that the {who} have no two to compare."
    pair = f"'{verdict.best_fused}' less '{verdict.best_single}'"
    if not apart.estimable:
        return CANNOT_TELL, f"On the {who} {pair} is not estimable in {label}: they are too few to say anything."
    if not apart.bounded:
        why = "they are of one group, or of too few, and groups are drawn as a whole"
        return CANNOT_TELL, f"On the {who} {pair} is {apart} in {label}: {why}."
    value = f"On the {who} {pair} is {apart.mean:.3f} in {label} (95 % interval {apart.low:.3f} to {apart.high:.3f})"
    told = judged(verdict, apart)
    said = {
        CONFIRMS: f"which confirms the verdict '{verdict.outcome}'",
        CONTRADICTS: f"which does not confirm the verdict '{verdict.outcome}'",
        CANNOT_TELL: f"which can neither confirm nor refute the verdict '{verdict.outcome}'",
    }
    if verdict.outcome not in (PAYS, DOES_NOT_PAY):
        return told, f"{value}. The verdict '{verdict.outcome}' makes no claim that this one difference could confirm."
    return told, f"{value}, {said[told]}."


def judged(verdict: Verdict, apart: Estimate) -> str:
    """Compare the difference of the two picks on the sealed patients with the verdict."""
    if verdict.outcome not in (PAYS, DOES_NOT_PAY) or not apart.bounded:
        return CANNOT_TELL
    if apart.high < verdict.margin:
        return CONFIRMS if verdict.outcome == DOES_NOT_PAY else CONTRADICTS
    if apart.low > 0:
        return CONFIRMS if verdict.outcome == PAYS else CONTRADICTS
    return CANNOT_TELL


def with_openings(trial: Trial, seal: Seal | None) -> Trial:
    """Return a trial that knows of every opening of its seal so far, those of other runs among them.

    Raises:
        TrialError: the trial was made on a cohort with another seal, or without one.
    """
    known = (trial.document["cohort"].get("sealed") or {}).get("identity")
    if seal is None or known != seal.identity:
        raise TrialError("the trial and the cohort do not have the same seal: name the cohort that it was made on")
    dates = [opening.date for opening in seal.openings]
    return replace(trial, document={**trial.document, "openings": dates})


def told_openings(document: Mapping[str, Any]) -> str:
    """Say how often the test set of a trial was opened, as far as its folder knows; "" where it was not yet."""
    own, dates = document.get("sealed"), openings_of(document)
    if not dates:
        return ""
    days = ", ".join(date.partition("T")[0] for date in dates)
    first = f"The sealed test set was opened {times(len(dates))} ({days})."
    if len(dates) == 1 and own is not None:
        return first
    if own is not None and own["number"] == 1:
        return f"{first} The figures here are those of the first opening; those of later ones are not of an unseen set."
    return f"{first} Figures after the first opening are not those of an unseen test set."
