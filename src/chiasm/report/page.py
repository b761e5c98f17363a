"""Rendering of the report: its parts, and the page itself, one HTML file that needs nothing else."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chiasm.artifact import write_text
from chiasm.evaluation import Trial
from chiasm.report.calibration import calibration_part
from chiasm.report.checks import checks_part
from chiasm.report.cohort import cohort_part
from chiasm.report.external import external_part
from chiasm.report.guidelines import probast_items, tripod_items
from chiasm.report.labels import labels_part
from chiasm.report.measures import CONDITIONAL
from chiasm.report.patterns import patterns_part
from chiasm.report.recipes import best_of, recipes_part
from chiasm.report.repeat import repeat_part
from chiasm.report.risk_groups import risk_part
from chiasm.report.sealed import sealed_part
from chiasm.report.sites import sites_part
from chiasm.report.verdict import verdict_part

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

TEMPLATE = "page.html.j2"


def write_report(trial: Trial, path: Path) -> Path:
    """Write the page of a trial: verdict, findings, cohort, recipes, patterns, calibration, risks, checks, repetition.

    Every number comes from the trial's document or is computed from its predictions and outcomes. No identifier and no
    value of a single patient is on the page: patients are described by counts, rounded quantiles or groups of five or
    more. The same trial gives the same bytes with the same versions.

    Args:
        trial: finished, from `evaluate` or `load_trial`.
        path: the HTML file; it is written whole or not at all, and replaces an older one.

    Returns:
        `path`.
    """
    write_text(path, render(trial))
    return path


def render(trial: Trial) -> str:
    """Render the page as text."""
    best = best_of(trial)
    return filled(
        TEMPLATE,
        name=trial.document["cohort"]["name"],
        has_times=trial.target.has_times,
        verdict=verdict_part(trial),
        cohort=cohort_part(trial),
        recipes=recipes_part(trial),
        best=best,
        labels=labels_part(trial, best) if trial.target.has_labels else None,
        patterns=patterns_part(trial, best),
        calibration=calibration_part(trial, best),
        risk=risk_part(trial, best[0]) if trial.target.has_times else None,
        sites=sites_part(trial),
        external=external_part(trial),
        checks=checks_part(trial),
        tripod=tripod_items(trial),
        probast=probast_items(trial),
        repeat=repeat_part(trial),
        sealed=sealed_part(trial),
        conditional=CONDITIONAL,
    )


def filled(template: str, **parts: Any) -> str:
    """Fill in a template of this folder; what is filled in is escaped, and a part that is missing is an error."""
    return _environment().get_template(template).render(**parts)


@cache
def _environment() -> Environment:
    """Make the environment of the templates, in which each is compiled once for all pages."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    load = FunctionLoader(lambda name: files("chiasm.report").joinpath(name).read_text(encoding="utf-8"))
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, loader=load
    )
    environment.filters["breakable"] = breakable
    return environment


def breakable(text: str) -> Markup:
    """Escape a text and let lines break after the marks of a name, but never inside short brackets."""
    from markupsafe import Markup, escape

    pieces = re.split(r"(\([^()]{1,32}\))", text)
    whole = [Markup("<wbr>").join(re.split(r"(?<=[,:=+_])(?=\S)", piece)) for piece in pieces]
    return Markup("").join(
        Markup('<span class="together">{}</span>').format(piece) if place % 2 else made
        for place, (piece, made) in enumerate(zip(pieces, whole, strict=True))
    ) or escape("")
