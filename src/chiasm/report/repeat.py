"""Instructions to repeat the trial: the call, the command line where it can say the same, and the versions."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from chiasm.evaluation import Protocol, Trial
from chiasm.fitting.sides import REFERENCE, side_of

_IN_PYTHON_ONLY = ("inner_folds", "draws")


@dataclass(frozen=True)
class RepeatPart:
    """Call in Python, command ("" where only Python can say it), (name, version) pairs, and a hash of the settings.

    `where` says where to type it, if that matters.
    """

    call: str
    command: str
    versions: list[tuple[str, str]]
    settings: str
    where: str = ""


def repeat_part(trial: Trial) -> RepeatPart:
    """Build what to type to get the same numbers again, from the same cohort."""
    protocol = trial.document["protocol"]
    names = [str(row["name"]) for row in trial.document["recipes"] if side_of(row) != REFERENCE]
    changed = changes(protocol)
    pairs = [(str(row["recipe"]), str(row["against"])) for row in trial.document.get("contrasts", ())]
    settings = str(trial.document.get("settings", ""))
    versions = list(trial.document["versions"].items())
    cohort = trial.document["cohort"]
    sources = [place_of(own) for own in cohort.get("sources", ()) if not own.get("in_manifest")]
    asked = (names, changed, protocol["seed"], pairs, sources, str(cohort.get("path", "cohort.toml")))
    where = ", where the trial was started, since paths are from there" if "path" in cohort else ""
    return RepeatPart(call(*asked), command(*asked), versions, settings, where)


def place_of(source: Mapping[str, Any]) -> str:
    """Return the path of a source as it was given; of one that was handed over in Python, a likely one."""
    likely = str(source["name"]) if "recipe" in source else f"{source['name']}/cohort.toml"
    return str(source.get("path", likely))


def changes(protocol: Mapping[str, Any]) -> dict[str, Any]:
    """Collect the protocol fields that are not at their defaults, but for folds that the cohort gives."""
    unused = ("folds", "repeats") if protocol["given_folds"] else ()
    found = {field.name: protocol[field.name] for field in fields(Protocol) if field.name not in unused}
    defaults = {field.name: field.default for field in fields(Protocol)}
    return {name: value for name, value in found.items() if value != defaults[name]}


def call(
    names: list[str],
    changed: Mapping[str, Any],
    seed: int,
    pairs: Sequence[tuple[str, str]] = (),
    sources: Sequence[str] = (),
    cohort: str = "cohort.toml",
) -> str:
    """Write the trial as Python code."""
    rules = ", ".join(f"{name}={value!r}" for name, value in changed.items())
    more = (f", contrasts={[*pairs]!r}" if pairs else "") + (f", sources={[*sources]!r}" if sources else "")
    recipes = "".join(f'    "{name}",\n' for name in names)
    return (
        "import chiasm\n\n"
        f"cohort = chiasm.open_cohort({json.dumps(cohort)})\n"
        f"recipes = [\n{recipes}]\n"
        f'trial = chiasm.evaluate(cohort, recipes, chiasm.Protocol({rules}), seed={seed}{more}, out="run/")\n'
        'trial.report("run/report.html")'
    )


def command(
    names: list[str],
    changed: Mapping[str, Any],
    seed: int,
    pairs: Sequence[tuple[str, str]] = (),
    sources: Sequence[str] = (),
    cohort: str = "cohort.toml",
) -> str:
    """Write the trial as a command line, or "" where it has no option for what was changed."""
    if set(changed) & set(_IN_PYTHON_ONLY):
        return ""
    words = ["chiasm", "evaluate", cohort]
    for name in names:
        words += ["--recipes", name]
    for pair in pairs:
        words += ["--contrast", ":".join(pair)]
    for source in sources:
        words += ["--source", source]
    for name, value in changed.items():
        option = f"--{name.replace('_', '-')}"
        words += [option] if value is True else [option, str(value)]
    return shlex.join([*words, "--seed", str(seed), "--out", "run/"])
