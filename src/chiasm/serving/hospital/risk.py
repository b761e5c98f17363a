"""What the service answers as FHIR R4: a RiskAssessment, or an Observation where a number is predicted and no risk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from chiasm.serving.faults import Fault, Refused
from chiasm.serving.hospital.facts import Asked

Resource = dict[str, Any]
SURVIVAL, PROBABILITY, INCIDENCE = "survival_", "p_", "incidence_"
UCUM = "http://unitsofmeasure.org"
TIME_UNITS = {"days": "d", "weeks": "wk", "months": "mo", "years": "a", "hours": "h"}
IDENTIFIED = "urn:chiasm:answer"
SEVERITIES = {True: "error", False: "fatal"}
ISSUES = {400: "structure", 401: "login", 403: "forbidden", 404: "not-found", 413: "too-long", 415: "not-supported",
          422: "value", 429: "throttled", 503: "transient"}  # fmt: skip
DIGITS = 6


def answer_of(asked: Asked, answer: Mapping[str, Any], model: Mapping[str, str], target: Mapping[str, Any]) -> Resource:
    """Return the resource of one patient's answer.

    Classes are predictions with a probability; survival is the probability of the event by each horizon, of competing
    risks that of each cause; a number is an Observation. Where the service does not predict (a pattern of modalities
    never seen in training, refused by policy), the resource has no prediction and says why.

    Args:
        answer: what `/predict` answers of one patient.
        model: name, version, sha256 and recipe, as it tells them.
    """
    prediction = answer["prediction"]
    outcomes = None if prediction is None else outcomes_of(prediction, target)
    common: Resource = {
        "identifier": [{"system": IDENTIFIED, "value": identifier_of(asked, model)}],
        "subject": {"reference": asked.about} if asked.about else {"display": "the patient of the Bundle"},
        "note": [{"text": line} for line in (*_told(answer), *asked.notes, _by(model))],
    }
    if outcomes is None and prediction is not None:
        return _observation(common, asked, prediction, model, target)
    return {
        "resourceType": "RiskAssessment",
        "status": "preliminary",
        **common,
        "method": {"text": f"chiasm {model['recipe']}"},
        "occurrenceDateTime": asked.at.isoformat(timespec="seconds"),
        **({"basis": [{"reference": own} for own in asked.basis]} if asked.basis else {}),
        **({"prediction": outcomes} if outcomes else {}),
    }


def outcomes_of(prediction: Mapping[str, Any], target: Mapping[str, Any]) -> list[Resource] | None:
    """Return the predictions of a RiskAssessment; None where the model predicts a number."""
    found = []
    unit = str(target.get("unit") or "")
    for name, value in prediction.items():
        if value is None:
            continue
        if name.startswith(SURVIVAL):
            found.append(
                _by_time(str(target.get("event") or "the event"), 1.0 - value, name.removeprefix(SURVIVAL), unit)
            )
        elif name.startswith(INCIDENCE):
            cause, _, time = name.removeprefix(INCIDENCE).rpartition("_")
            found.append(_by_time(cause, value, time, unit))
        elif name.startswith(PROBABILITY):
            words = name.removeprefix(PROBABILITY)
            column = target.get("column")
            found.append(_outcome(f"{column}: {words}" if isinstance(column, str) else words, value))
    return found or None


def _by_time(event: str, probability: float, time: str, unit: str) -> Resource:
    found = _outcome(event, min(max(probability, 0.0), 1.0))
    code = TIME_UNITS.get(unit)
    quantity = {"value": float(time), **({"unit": unit} if unit else {})}
    if code:
        quantity |= {"system": UCUM, "code": code}
    return {**found, "whenRange": {"low": {**quantity, "value": 0.0}, "high": quantity}}


def _outcome(words: str, probability: float) -> Resource:
    """One outcome; in words too, since readers of FHIR take a decimal for a share or for percent."""
    return {
        "outcome": {"text": words},
        "probabilityDecimal": _rounded(probability),
        "qualitativeRisk": {"text": f"{probability:.1%}"},
    }


def _rounded(value: float) -> float:
    return round(float(value), DIGITS)


def _observation(
    common: Resource, asked: Asked, prediction: Mapping[str, Any], model: Mapping[str, str], target: Mapping[str, Any]
) -> Resource:
    value = prediction.get("prediction")
    unit = str(target.get("unit") or "")
    quantity = {"value": value, **({"unit": unit} if unit else {})}
    return {
        "resourceType": "Observation",
        "status": "preliminary",
        **common,
        "code": {"text": f"predicted {target.get('column') or 'value'}"},
        "method": {"text": f"chiasm {model['recipe']}"},
        "effectiveDateTime": asked.at.isoformat(timespec="seconds"),
        **({"derivedFrom": [{"reference": own} for own in asked.basis]} if asked.basis else {}),
        **({"valueQuantity": quantity} if value is not None else {"dataAbsentReason": {"text": "not predicted"}}),
    }


def _told(answer: Mapping[str, Any]) -> list[str]:
    """What was missing, what is unfamiliar and how sure the answer is, in sentences."""
    found = []
    if answer["missing"]:
        found.append("Absent, and not guessed: " + ", ".join(answer["missing"]) + ".")
    for name, columns in answer["missing_cells"].items():
        found.append(f"Without a value in {name}: " + ", ".join(columns) + ".")
    if (sure := answer.get("sure")) is not None:
        parts = ", ".join(f"{name} {value}" for name, value in sure.items() if name != "coverage" and value is not None)
        found.append(f"What holds {sure['coverage']:.0%} of outcomes: {parts}.")
    return [*found, *answer["notes"]]


def _by(model: Mapping[str, str]) -> str:
    return (
        f"Model {model['name']}, version {model['version']}, SHA-256 {model['sha256']}. "
        "A prediction of a research tool, not of a certified medical device."
    )


def identifier_of(asked: Asked, model: Mapping[str, str]) -> str:
    """Identify an answer by model, patient, time and what was known: it is stored once, and a correction too."""
    known = json.dumps(asked.patient, sort_keys=True)
    parts = "\n".join((model["sha256"], asked.about, asked.at.isoformat(), known))
    return hashlib.sha256(parts.encode()).hexdigest()


def outcome_of(refused: Refused) -> Resource:
    """Return the OperationOutcome of a refusal: one issue a fault, each with the field that it is about."""
    return {"resourceType": "OperationOutcome", "issue": [_issue(own, refused.status) for own in refused.faults]}


def _issue(fault: Fault, status: int) -> Resource:
    found: Resource = {
        "severity": SEVERITIES[status < 500],
        "code": ISSUES.get(status, "processing"),
        "diagnostics": fault.message,
        "details": {"text": fault.code},
    }
    return {**found, "expression": [fault.field]} if fault.field else found
