"""Names of recipes with their options, and what most of them ask of a cohort."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any

from chiasm.cohort import Cohort, Unsupported
from chiasm.encoders import encoder_for


def recipe_name(recipe: Any) -> str:
    """`id` where every option is at its default, else `id:option=value,...` in the order of the fields."""
    changed = []
    for field in fields(recipe):
        value = getattr(recipe, field.name)
        if field.default is MISSING or value != field.default:
            changed.append(f"{field.name}={value}")
    return str(recipe.id) + (":" + ",".join(changed) if changed else "")


def require_encoders(cohort: Cohort, *, modalities: int = 1) -> None:
    """The cohort has a target, enough modalities, and an encoder for each.

    Raises:
        Unsupported: what is missing, and what to do.
    """
    if cohort.target is None:
        raise Unsupported("the cohort has no target: name one in [target], or give target=... to cohort_from_frames")
    if cohort.target.kind not in ("classification", "regression", "survival"):
        raise Unsupported(
            f"targets of kind '{cohort.target.kind}' cannot be evaluated yet: choose one column as the target"
        )
    if len(cohort.modalities) < modalities:
        raise Unsupported(
            f"needs {modalities} modalities, and the cohort has {len(cohort.modalities)}: add a [modalities.<name>]"
        )
    for name in cohort.modalities:
        encoder_for(cohort.kinds[name])
