"""What a run on a sealed cohort names before anything is fitted, and whether it is still what was named."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from chiasm.cohort import Cohort
from chiasm.cohort.seal import now
from chiasm.evaluation.protocol import Protocol
from chiasm.evaluation.summary import options_of, plain, write_document
from chiasm.evaluation.trial import Trial, TrialError, read_document
from chiasm.fitting.sides import REFERENCE, side_of
from chiasm.targets.outcome import words_of

PLAN = "seal.json"
KEYS = {"version", "date", "seal", "patients", "outcomes", "cohort", "recipes", "forms", "protocol", "seed"}
KEYS |= {"contrasts", "settings", "hash"}


def plan_of(
    cohort: Cohort,
    recipes: Sequence[Any],
    forms: Sequence[Any],
    protocol: Protocol,
    seed: int,
    contrasts: Sequence[tuple[str, str]],
    settings: str,
) -> dict[str, Any]:
    """Name the patients outside the seal, the recipes with their options, the rules and the seed, with one hash."""
    assert cohort.sealed is not None
    plan = {
        "version": 1,
        "date": now(),
        "seal": cohort.sealed.identity,
        **cohort_digests(cohort),
        "recipes": {recipe.name: options_of(recipe) for recipe in recipes},
        "forms": {form.name: options_of(form) for form in forms},
        "protocol": protocol.as_json(),
        "seed": seed,
        "contrasts": [list(pair) for pair in contrasts],
        "settings": settings,
    }
    return {**plan, "hash": _sum(plain(plan))}


def cohort_digests(cohort: Cohort) -> dict[str, Any]:
    """Digests of who stands outside the seal, of their outcomes, and of all that the cohort is."""
    outcome = cohort.outcome
    assert outcome is not None  # a trial refuses a cohort without
    event = None if outcome.event is None else outcome.event.tolist()
    cause = [] if outcome.cause is None else [outcome.cause.tolist()]
    return {
        "patients": {"number": len(cohort), "digest": _sum(cohort.ids.tolist())},
        "outcomes": _sum([repr(outcome.value.tolist()), event, *cause, *words_of(outcome)]),
        "cohort": cohort.fingerprint,
    }


def write_plan(out: Path, plan: Mapping[str, Any]) -> None:
    """Write what a run names beforehand, unless the run that is gone on with has written it."""
    if not (out / PLAN).exists():
        write_document(out / PLAN, plan)


def read_plan(run: Path) -> dict[str, Any]:
    """Read what a run named beforehand.

    Raises:
        TrialError: the run was made without a seal, or the file is damaged or was changed.
    """
    if not (run / PLAN).is_file():
        raise TrialError(
            f"'{run.name}' was not made on a sealed cohort: seal it by chiasm seal, and evaluate into another folder"
        )
    plan = read_document(run / PLAN)
    if set(plan) != KEYS or plan["hash"] != _sum({key: own for key, own in plan.items() if key != "hash"}):
        raise TrialError(f"'{run.name}/{PLAN}' does not have the hash that it names: it was changed or damaged")
    return plan


def differences(plan: Mapping[str, Any], trial: Trial, cohort: Cohort) -> list[str]:
    """List how a trial and the patients outside the seal differ from what was named before it; [] if they do not.

    Args:
        plan: from `read_plan`.
        cohort: the usable patients outside the seal, encoded as for the trial.
    """
    document, found = trial.document, []
    if document.get("settings") != plan["settings"]:
        found.append("the trial is not the one whose settings were hashed")
    named = {**plan["forms"], **plan["recipes"]}
    rows = {row["name"]: row for row in document["recipes"] if side_of(row) != REFERENCE}
    for name in rows:
        if name not in named:
            found.append(f"recipe '{name}' was not named before the trial")
        elif rows[name]["options"] != named[name]:
            found.append(f"recipe '{name}' has other options than were named before the trial")
    found += [f"recipe '{name}' was named and is not in the trial" for name in plan["recipes"] if name not in rows]
    for key, before in {**plan["protocol"], "seed": plan["seed"]}.items():
        after = document["protocol"].get(key)
        if after != before:
            found.append(f"{key} was {before!r} before the trial and is {after!r} in it")
    sealed = cohort.sealed
    if sealed is None or sealed.identity != plan["seal"]:
        found.append("the seal of the cohort is another one than the run was made under")
    elif len(sealed.openings) < len(openings_of(document)):
        found.append("the seal names fewer openings than the run knew of")
    now_ = cohort_digests(cohort)
    before, after = plan["patients"]["number"], now_["patients"]["number"]
    if before != after:
        found.append(f"the trial had {before:,} patients outside the seal, the cohort has {after:,}")
    elif plan["patients"] != now_["patients"]:
        found.append("the patients outside the seal are others than in the trial")
    elif plan["outcomes"] != now_["outcomes"]:
        found.append("an outcome of the patients outside the seal has changed")
    elif plan["cohort"] != now_["cohort"]:
        found.append("values, groups or modalities of the patients outside the seal have changed")
    return found


def openings_of(document: Mapping[str, Any]) -> list[str]:
    """Dates of the openings of a trial's test set, as far as its folder knows: before it, for it, and read since."""
    before, own = document["cohort"].get("sealed") or {}, document.get("sealed") or {}
    return max((list(found.get("openings", ())) for found in (before, own, document)), key=len)


def _sum(parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode("utf-8", "surrogatepass")).hexdigest()
