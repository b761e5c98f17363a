"""An inspected model in words, for a screen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from chiasm.errors import count
from chiasm.shown import interval, visible

COLUMNS = 12  # of a modality that are shown; JSON has all
METRICS = 4
WHERE = {
    "none": "not signed",
    "trusted": "signed by {key} at {at}, which is trusted",
    "valid": "signed by {key} at {at}; whether to trust that key was not asked (--trust)",
    "not valid": "a signature that the key {key} did NOT make",
    "not checked": "names the key {key}; not checked, for want of cryptography (chiasm[signing])",
}


def text_of(told: Mapping[str, Any]) -> str:
    """Return the lines, without a line break at the end."""
    return visible("\n".join(_lines(told)))


def _lines(told: Mapping[str, Any]) -> Iterator[str]:
    weights = told["files"]["weights.safetensors"]["bytes"]
    yield f"{told['name']}: {told['holds']}" + (f", '{told['recipe']}'" if "recipe" in told else f" ({told['kind']})")
    yield f"  identity    {told['identity']}"
    yield f"  signature   {WHERE[told['signature']['state']].format(**told['signature'])}"
    yield f"  weights     {count(told['numbers'], 'number')}, {weights:,} bytes"
    if "recipe" not in told:
        return
    trained = told["trained_parameters"]
    yield f"  trained     {'not recorded' if trained is None else count(trained, 'parameter')}"
    yield f"  target      {_target(told)}"
    learned = ", ".join(
        f"fewer than 5 {noun}" if n is None else count(n, noun.removesuffix("s"))
        for noun, n in told["learned_from"].items()
    )
    yield f"  training    {learned or 'not recorded'}"
    yield f"  patterns    {', '.join(told['patterns']) or 'not recorded'}"
    yield f"  calibrated  slope {told['calibration']['slope']:g}" + (
        ", intercept moved since" if told["calibration"]["intercept_moved"] else ""
    )
    yield from _origin(told)
    yield "\nWhat it reads"
    for name, own in told["modalities"].items():
        yield from _modality(name, own)
    yield "\nScores"
    yield from _scores(told["scores"])
    yield "\nMust not be used for"
    for sentence in told["must_not_be_used_for"]:
        yield f"- {sentence}"


def _target(told: Mapping[str, Any]) -> str:
    target, outcome = told["target"], told["outcome"]
    own = ", ".join(f"{key} {_joined(value)}" for key, value in target.items() if key != "kind")
    classes = f"; classes {_joined(outcome['classes'])}" if outcome["classes"] else ""
    times = f"; at {', '.join(f'{time:g}' for time in outcome['times'])}" if outcome["times"] else ""
    return f"{target.get('kind')}: {own}{classes}{times}"


def _origin(told: Mapping[str, Any]) -> Iterator[str]:
    if (tuning := told["tuning"]) is not None:
        picked = ", ".join(f"{key}={value}" for key, value in tuning["picked"].items())
        tried, folds = count(tuning["tried"], "setting"), count(tuning["folds"], "inner fold")
        yield f"  tuned       {picked}, of {tried} on {folds}"
    versions = told["versions"]
    packages = {} if versions is None else {"Python": versions.get("python"), **versions.get("packages", {})}
    yield f"  made with   {', '.join(f'{name} {own}' for name, own in packages.items()) or 'not recorded'}"
    held = told["holds_of_training"]
    said = "not recorded" if held is None else "; ".join(held) or "nothing of them but fitted weights"
    yield f"  of patients {said}"


def _modality(name: str, own: Mapping[str, Any]) -> Iterator[str]:
    encoder = ""
    if "encoder" in own:
        encoder = f", by {own['encoder']} ({own['licence'] or 'licence not recorded'}; {own['encoder_identity'][:16]})"
    columns = own.get("columns", [])
    yield f"  {name}: {own['kind']}{encoder}" + (f", {count(len(columns), 'column')}" if columns else "")
    for column in columns[:COLUMNS]:
        yield f"    {column['name']}: {_column(column)}"
    if len(columns) > COLUMNS:
        yield f"    and {len(columns) - COLUMNS:,} more (--json has all)"


def _column(column: Mapping[str, Any]) -> str:
    if "levels" in column:
        return f"one of {_joined(column['levels'])}"
    if "low" in column:
        return (
            f"{column['low']:g} to {column['high']:g} in {column['share_within']:.0%} of training, ".replace("%", " %")
            + f"middle {column['middle']:g}"
        )
    return f"{column['said']}, mean {column['mean']:g}" if "mean" in column else column.get("said", "a number")


def _scores(scores: Mapping[str, Any] | None) -> Iterator[str]:
    if scores is None:
        yield "  none: no trial stands beside it, and its card has none"
        return
    if scores["from"] != "a trial":
        yield f"  {scores['said']}"
        return
    yield (
        f"  of its recipe, in '{scores['cohort']}': {count(scores['patients'], 'patient')}, "
        f"{count(scores['test_folds'], 'test fold')}, {count(scores['findings'], 'finding')} of the trial"
    )
    names = sorted(scores["metrics"], key=lambda name: name != scores["primary"])
    for name in names[:METRICS]:
        own = scores["metrics"][name]
        yield f"    {name}: {interval(own.get('mean'), own.get('low'), own.get('high'))}"


def _joined(value: Any) -> str:
    return ", ".join(map(_named, value)) if isinstance(value, list) else str(value)


def _named(value: Any) -> str:
    """A name among several: in quotation marks, doubled within, where it holds a comma, a blank or such a mark."""
    text, doubled = str(value), str(value).replace('"', '""')
    return f'"{doubled}"' if not text or any(own in ',"' or own.isspace() for own in text) else text
