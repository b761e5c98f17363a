"""What an inspected model must not be used for: each sentence follows from something that its folder says, or lacks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chiasm.errors import count

NAMED = 6
CLOSED = ("-NC", "NONCOMMERCIAL", "NON-COMMERCIAL", "RESEARCH")


def not_for(told: Mapping[str, Any]) -> list[str]:
    """Return the sentences, from what `inspection.inspected` found."""
    said = [
        *_validation(told["scores"]),
        *_patterns(told),
        *_populations(told),
        *_reading(told["modalities"]),
        *_calibration(told),
        *_signed(told["signature"]),
    ]
    held = told["holds_of_training"]
    if held:
        said.append(
            f"Publication: the folder holds more of its training patients than fitted weights ({'; '.join(held)})."
        )
    return [*said, "A decision about a patient by itself: no approval as a medical device is recorded in the folder."]


def _validation(scores: Mapping[str, Any] | None) -> list[str]:
    if scores is None:
        return ["Any claim of how good it is: no trial stands beside it and its card has no scores."]
    if scores["from"] != "a trial":
        return [
            "Patients elsewhere without a trial there: its card has scores of a trial, and no validation is recorded."
        ]
    sealed = "" if scores["sealed_set_opened"] else ", and no sealed test set was opened"
    return [
        f"Patients unlike those of '{scores['cohort']}': its recipe was scored within that cohort alone "
        f"({count(scores['patients'], 'patient')}, {count(scores['test_folds'], 'test fold')}){sealed}; "
        "chiasm validate scores the model on yours."
    ]


def _patterns(told: Mapping[str, Any]) -> list[str]:
    modalities, unseen = list(told["modalities"]), told["patterns_never_seen"]
    said = []
    if unseen is None and len(modalities) > 1:
        said.append(
            "Patients who lack a modality, unless you have tried it: which patterns of modalities its training "
            "patients had is not recorded."
        )
    elif unseen is not None and unseen["number"] > 0:
        number = unseen["number"]
        some = f", among them {', '.join(unseen['some'])}" if unseen["some"] else ""
        said.append(f"{count(number, 'pattern')} of modalities that no training patient had{some}.")
    if told["scarce"]:
        names = ", ".join(told["scarce"])
        said.append(f"Patients who have nothing but {names}: too few training patients had it to learn from.")
    return said


def _populations(told: Mapping[str, Any]) -> list[str]:
    learned, scores = told["learned_from"], told["scores"]
    said = []
    if not learned:
        said.append(
            "Any population, before you know whom it learned from: the number of training patients is not recorded."
        )
    else:
        numbers = " with ".join(
            f"fewer than 5 {noun}" if number is None else count(number, noun.removesuffix("s"))
            for noun, number in learned.items()
        )
        sites = None if scores is None else scores.get("sites")
        where = f" from {count(sites, 'site')}" if isinstance(sites, int) else "; from which hospitals is not recorded"
        said.append(f"Populations that its {numbers} do not stand for{where}.")
    few = [
        f"{name}.{column['name']}"
        for name, own in told["modalities"].items()
        for column in own.get("columns", [])
        if column.get("said") == "one value in training"
    ]
    if few:
        rest = f" and {len(few) - NAMED:,} more" if len(few) > NAMED else ""
        said.append(
            f"Patients who differ in {', '.join(few[:NAMED])}{rest}: all training patients had one value there."
        )
    return said


def _reading(modalities: Mapping[str, Any]) -> list[str]:
    said = []
    for name, own in modalities.items():
        licence = own.get("licence") or ""
        if any(sign in licence.upper() for sign in CLOSED):
            said.append(f"What the licence of the encoder of '{name}' does not allow: {licence}.")
        if own.get("not_read"):
            said.append(
                f"Claims about '{name}' as a whole: {count(own['not_read'], 'source')} of it could not be read in "
                "training."
            )
    return said


def _calibration(told: Mapping[str, Any]) -> list[str]:
    if told["prevalence"]:
        shares = ", ".join(f"{name} {share:.0%}".replace("%", " %") for name, share in told["prevalence"].items())
        return [
            f"Probabilities where outcomes are otherwise frequent than in training ({shares}), without --prevalence or "
            "a new calibration; when it was calibrated is not recorded."
        ]
    return [
        "Probabilities or times that must be right in the mean elsewhere, without a new calibration: when and on whom "
        "it was calibrated is not recorded beyond its training."
    ]


def _signed(signature: Mapping[str, Any]) -> list[str]:
    return {
        "none": ["A place that opens only what it knows: the folder is not signed."],
        "not valid": ["Anything: its signature was not made by the key that it names."],
    }.get(str(signature["state"]), [])
