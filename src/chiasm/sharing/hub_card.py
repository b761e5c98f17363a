"""The card of a model as the Hub reads it: a head of facts before the text."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from typing import Any

from chiasm.evaluation import Trial
from chiasm.fitting.card import Described
from chiasm.sharing.hub_place import HubError
from chiasm.specs import name_and_options

LICENCE = re.compile(r"[a-z0-9][a-z0-9.+-]{1,60}")


def hub_card(text: str, model: Described, licence: str, *, name: str, trial: Trial | None = None) -> str:
    """Put the Hub's head before a card: licence, tags and, of a trial, the scores of the recipe with their intervals.

    Raises:
        HubError: the licence is none that the Hub could list.
    """
    if LICENCE.fullmatch(licence) is None:
        raise HubError(
            "a licence is named as the Hub lists it, in small letters, as in apache-2.0, cc-by-nc-4.0, or other"
        )
    tags = ["chiasm", "multimodal", "medical", name_and_options(model.recipe)[0], str(model.target.get("kind", ""))]
    lines = [f"license: {licence}", "library_name: chiasm", "tags:", *(f"- {quoted(tag)}" for tag in tags if tag)]
    if trial is not None and (scores := scores_of(trial, model.recipe)):
        cohort = str(trial.document["cohort"]["name"])
        lines += ["model-index:", f"- name: {quoted(name)}", "  results:"]
        lines += ["  - task:", "      type: other", f"      name: {quoted(trial.kind)}"]
        lines += ["    dataset:", "      type: cohort", f"      name: {quoted(cohort)}", "    metrics:"]
        for metric, mean, low, high in scores:
            told = f"{metric} of the recipe, out of fold ({low:.3f} to {high:.3f})"
            lines += [f"    - type: {quoted(metric)}", f"      value: {mean:.4f}", f"      name: {quoted(told)}"]
    return "\n".join(["---", *lines, "---", "", text.lstrip("\n")])


def scores_of(trial: Trial, recipe: str) -> Sequence[tuple[str, float, float, float]]:
    """Return the measures of a recipe that a trial could estimate with an interval."""
    row: Any = next((own for own in trial.document["recipes"] if own["name"] == recipe), None)
    found = (
        [] if row is None else [(name, own["mean"], own["low"], own["high"]) for name, own in row["metrics"].items()]
    )
    return [own for own in found if all(value is not None and math.isfinite(value) for value in own[1:])]


def quoted(text: str) -> str:
    """Write a text so that YAML reads it as one, whatever is in it."""
    return json.dumps(text)
