"""The page of a synthetic cohort: what it gives away, how like real ones it is, what training on it is worth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chiasm.report.page import filled
from chiasm.shown import interval

TEMPLATE = "generation.html.j2"
OUTCOME = "[target]"


def render_generated(cohort: str, document: Mapping[str, Any]) -> str:
    """Render the page as text, of the document that `generate` tells all by."""
    privacy = document["privacy"]
    likeness = document["likeness"].get("blocks", {})
    survival = document["likeness"].get("curves")
    return filled(
        TEMPLATE,
        title=f"Generated from '{cohort}'",
        document=document,
        measures=[] if privacy is None else [_measure(own) for own in privacy["measures"]],
        counts={} if privacy is None else privacy["counts"],
        blocks=[_block(name, own) for name, own in likeness.items()],
        survival=None if survival is None else [f"{survival[whose]:.3f}" for whose in ("synthetic", "held_out")],
        utility=_utility(document["utility"]),
        filled_in=list(document["filled_in"].items()),
    )


def _measure(own: Mapping[str, Any]) -> list[str]:
    limit = "none" if own["limit"] is None else f"{own['limit']:g}"
    verdict = "above" if own["refused"] else "reported alone" if own["limit"] is None else "below"
    if verdict == "below" and own["value"] > own["limit"]:
        verdict = "above, not for sure"
    value = interval(own["value"], own["low"], own["high"])
    return [own["what"], value, f"{own['harmless']:g}", limit, verdict]


def _block(name: str, own: Mapping[str, Any]) -> list[str]:
    """Synthetic patients, and behind a stroke patients held out, who differ by chance alone."""
    said = ["the outcome" if name == OUTCOME else name]
    for key, which in (
        ("margins", "mean"),
        ("margins", "largest"),
        ("correlations", "mean"),
        ("correlations", "largest"),
    ):
        said.append(f"{own['synthetic'][key][which]:.3f} / {own['held_out'][key][which]:.3f}")
    return [*said, *(f"{own['synthetic'][key]:.3f} / {own['held_out'][key]:.3f}" for key in ("missing", "present"))]


def _utility(own: Mapping[str, Any] | None) -> list[list[str]]:
    if own is None or own["real"] is None:
        return []
    rows = (("real patients", "real"), ("synthetic patients", "synthetic"), ("difference", "difference"))
    return [[label, interval(own[key][0], own[key][1], own[key][2])] for label, key in rows]
