"""Scores of a model's recipe, from the trial whose run folder the model lies in, or from its card."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chiasm.artifact.opening import LinkedError, opened_file
from chiasm.artifact.register import ArtifactError
from chiasm.artifact.strict_json import JsonError, read_json
from chiasm.limits import TRIAL_JSON_BYTES, LimitError
from chiasm.shown import LEAST, visible

TRIAL = "trial.json"
IN_CARD = "## How the recipe did in a trial"


def scores_beside(model: Path, given: Path | None, told: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what a trial says of the recipe of an inspected model; None without one that speaks of it.

    Args:
        model: the model folder; its parent is looked into where no run folder is given.
        given: a run folder.
        told: what `inspected` found, as far as it goes.

    Raises:
        ArtifactError: the given folder holds no trial, or one that says nothing of this model.
    """
    place = model.parent if given is None else given
    try:
        document = _read(place / TRIAL)
        row = _row(document, told)
    except (FileNotFoundError, NotADirectoryError, LinkedError, LimitError, JsonError, PermissionError) as error:
        if given is None:
            return None
        why = str(error) if isinstance(error, JsonError) else "has no trial.json that can be read"
        raise ArtifactError(f"'{visible(given.name)}' {why}: name the run folder of a trial of this model") from None
    if row is None:
        if given is None:
            return None
        raise ArtifactError(
            f"the trial in '{visible(given.name)}' says nothing of '{told['recipe']}': name another run"
        )
    cohort, protocol = document["cohort"], document["protocol"]
    return {
        "from": "a trial",
        "cohort": cohort["name"],
        "patients": cohort["patients"],
        "test_folds": protocol["test_folds"],
        "by": protocol["by"],
        "sites": cohort.get("sites"),
        "metrics": {name: dict(own) for name, own in row["metrics"].items()},
        "primary": row["metric"],
        "findings": len(document["findings"]),
        "sealed_set_opened": (place / "sealed.json").is_file(),
        "few_events": 0 < (cohort["target"].get("events") or 0) < LEAST,
    }


def card_scores(card: str) -> dict[str, Any] | None:
    """Say that a card has the scores of a trial; None where it has none."""
    return {"from": "the card", "said": "card.md has the scores of a trial"} if IN_CARD in card else None


def _read(path: Path) -> dict[str, Any]:
    with opened_file(path, TRIAL_JSON_BYTES) as file:
        found = read_json(file.read(file.size))
    if not isinstance(found, dict) or not {"schema", "cohort", "protocol", "recipes", "findings"} <= set(found):
        raise JsonError("holds no trial")
    return found


def _row(document: Mapping[str, Any], told: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The row of the model's recipe, where the trial is of the same target and has its modalities."""
    try:
        cohort, target = document["cohort"], document["cohort"]["target"]
        ours = [own for key, value in told["target"].items() if key not in ("kind", "unit") for own in _flat(value)]
        same = target["kind"] == told["target"]["kind"] and (not ours or sorted(ours) == sorted(target["columns"]))
        if not same or not set(told["modalities"]) <= set(cohort["modalities"]):
            return None
        return next((row for row in document["recipes"] if row["name"] == told["recipe"]), None)
    except (KeyError, TypeError, AttributeError):
        raise JsonError("holds a damaged trial") from None


def _flat(value: Any) -> list[str]:
    return [str(own) for own in value] if isinstance(value, list) else [str(value)]
