"""Rendering of the report: its parts, and the page itself, one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache, partial
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chiasm.artifact import write_text
from chiasm.evaluation import Trial
from chiasm.palette import stylesheet
from chiasm.report.labels import labels_part
from chiasm.report.measures import CONDITIONAL
from chiasm.report.patients import patients_part
from chiasm.report.recipes import best_of
from chiasm.report.sections import parts_of, placed, refer

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

TEMPLATE = "page.html.j2"
SCRIPT = "page.js"


def write_report(trial: Trial, path: Path) -> Path:
    """Write the page of a trial, with the sections of `chiasm.report.sections`.

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
    parts = parts_of(trial, best)
    sections = placed(parts)
    return filled(
        TEMPLATE,
        name=trial.document["cohort"]["name"],
        has_times=trial.target.has_times,
        best=best,
        patients=patients_part(trial),
        labels=labels_part(trial, best) if trial.target.has_labels else None,
        conditional=CONDITIONAL,
        sections=sections,
        refer=partial(refer, sections=sections),
        **parts,
    )


def filled(template: str, **parts: Any) -> str:
    """Fill in a template of this folder; what is filled in is escaped, and a part that is missing is an error."""
    return _environment().get_template(template).render(**parts)


@cache
def _environment() -> Environment:
    """Make the environment of the templates, in which each is compiled once for all pages."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined
    from markupsafe import Markup

    load = FunctionLoader(_stored)
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, loader=load
    )
    environment.filters["breakable"] = breakable
    script = _stored(SCRIPT)
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    environment.globals |= {"script": Markup(script), "script_hash": f"sha256-{digest}"}  # no other script may run
    environment.globals["palette"] = Markup(stylesheet())
    return environment


def _stored(name: str) -> str:
    return files("chiasm.report").joinpath(name).read_text(encoding="utf-8")


def breakable(text: str) -> Markup:
    """Escape a text and let lines break after the marks of a name, but never inside short brackets."""
    from markupsafe import Markup, escape

    pieces = re.split(r"(\([^()]{1,32}\))", text)
    whole = [Markup("<wbr>").join(re.split(r"(?<=[,:=+_])(?=\S)", piece)) for piece in pieces]
    return Markup("").join(
        Markup('<span class="together">{}</span>').format(piece) if place % 2 else made
        for place, (piece, made) in enumerate(zip(pieces, whole, strict=True))
    ) or escape("")
