"""What a run says of its recipes: scores, places, picks, time, options and papers."""

from __future__ import annotations

import math
from typing import Any

from chiasm.language.asking.hearing import Heard
from chiasm.metrics.table import CALIBRATION, METRICS, PRIMARY
from chiasm.report.asked.held import Held, said_interval

Rows = list[dict[str, Any]]


def named(held: Held, heard: Heard) -> str | None:
    """The one recipe that a question is about: by its name, in the form that reads one modality where that is said."""
    recipes, modalities = heard.of("RECIPE"), heard.of("MODALITY")
    if len(recipes) > 1 or len(modalities) > 1:
        return None
    name = recipes[0] if recipes else "single"
    if modalities:
        joint = f"single:{modalities[0]}" if name == "single" else f"{name}:modality={modalities[0]}"
        name = name if held.peek("recipes", name, "reads") == [modalities[0]] else joint
    return name if held.peek("recipes", name) is not None else None


def score(held: Held, heard: Heard) -> str | None:
    """A recipe's score with its interval, in the metric that was named or the primary one.

    A reference is told where its score is asked for: "the best available" may be meant for the best recipe.
    """
    name = named(held, heard)
    if held.peek("recipes", name or "", "side") == "reference" and not heard.concepts & {"score", "METRIC", "interval"}:
        return None
    return None if name is None else _scored(held, name, heard.of("METRIC"))


def _scored(held: Held, name: str, metrics: tuple[str, ...] = ()) -> str | None:
    parts = []
    for metric in metrics or (PRIMARY[held.trial.kind],):
        keys = ("recipes", name) if not metrics else ("recipes", name, "metrics", metric)
        if held.peek(*keys) is None:
            return None
        parts.append(f"{label(held, metric)} {held.interval(*keys)}")
    return f"'{name}' reaches {' and '.join(parts)}."


def label(held: Held, metric: str) -> str:
    """A metric as the page calls it."""
    return next((own.label for own in METRICS[held.trial.kind] if own.id == metric), metric)


def best(held: Held, heard: Heard) -> str | None:
    """The recipe of the highest score, of all or of the side that was named."""
    return _ranked(held, heard, most=True)


def worst(held: Held, heard: Heard) -> str | None:
    """The recipe of the lowest score, of all or of the side that was named."""
    return _ranked(held, heard, most=False)


def _ranked(held: Held, heard: Heard, *, most: bool) -> str | None:
    sides = [side for concept, side in (("combine", "combined"), ("alone", "single")) if concept in heard.concepts]
    side = sides[0] if len(sides) == 1 else ""
    known: Rows = [row for row in held.document["recipes"] if row["mean"] is not None and side in ("", row.get("side"))]
    if not known:
        return None
    end = (max if most else min)(row["mean"] for row in known)
    names = [str(row["name"]) for row in known if math.isclose(row["mean"], end, abs_tol=1e-12)]
    told = " and ".join(f"'{name}' with {held.interval('recipes', name)}" for name in names)
    metric = label(held, PRIMARY[held.trial.kind])
    kind = f" {side}" if side else ""
    said = f"The {'highest' if most else 'lowest'} {metric} of all{kind} recipes is that of {told}."
    return said + (" Recipes are picked on inner folds, and not by this score." if most else "")


def modalities(held: Held, heard: Heard) -> str | None:
    """What each modality reaches alone, the best first, and the verdict on combining them."""
    names = [str(name) for name in held.document["cohort"]["modalities"]]
    rows = [(held.peek("recipes", f"single:{name}", "mean"), name) for name in names]
    known = sorted((row for row in rows if row[0] is not None), key=lambda row: -row[0])
    if not known:
        return None
    told = ", ".join(f"'{name}' {held.interval('recipes', f'single:{name}')}" for _, name in known)
    said = f"Alone, the modalities reach in {label(held, PRIMARY[held.trial.kind])}: {told}."
    if held.peek("verdict") is not None:
        said += f" Combining them: {held.at('verdict', 'outcome')}."
    return said + " A run does not say what each brings to a combined prediction; chiasm explain does, of a model."


def compare(held: Held, heard: Heard) -> str | None:
    """Two recipes: their named contrast, or their two scores and that no interval of the difference is held.

    Contrasts and the verdict are of the primary metric alone.
    """
    names, primary = heard.of("RECIPE"), heard.of("METRIC") in ((), (PRIMARY[held.trial.kind],))
    if len(names) != 2:
        return None
    for k, row in enumerate(held.document["contrasts"] if primary else ()):
        if {row["recipe"], row["against"]} == {*names}:
            return str(held.at("contrasts", k, "sentence"))
    verdict = held.peek("verdict") or {}
    if primary and {verdict.get("best_fused"), verdict.get("best_single")} == {*names}:
        fused, single = held.at("verdict", "best_fused"), held.at("verdict", "best_single")
        return f"Held fixed in all folds, '{fused}' less '{single}' is {held.triple('verdict', 'fixed')}."
    scores = [_scored(held, name, heard.of("METRIC")) for name in names]
    if None in scores:
        return None
    return " ".join(map(str, scores)) + (
        " The run holds no interval of their difference: "
        + ("the two were not named as a contrast (--contrast)." if primary else "contrasts are of the primary metric.")
    )


def picked(held: Held, heard: Heard) -> str | None:
    """Which recipes were picked on inner folds, and in how many outer folds."""
    if held.peek("verdict") is None:
        return None
    asked = {"single": "alone" in heard.concepts, "fused": "combine" in heard.concepts}
    parts = []
    for side in (side for side in asked if asked[side] or not any(asked.values())):
        held.at("verdict", f"best_{side}")
        counts = held.peek("verdict", f"{side}_counts") or {}
        told = ", ".join(f"'{name}' in {held.at('verdict', f'{side}_counts', name)}" for name in counts)
        parts.append(f"On inner folds the {'combined' if side == 'fused' else side} recipe picked was {told}")
    return f"{'. '.join(parts)} of {held.at('protocol', 'test_folds')} outer folds."


def presence(held: Held, heard: Heard) -> str | None:
    """What is predicted from which modalities a patient has."""
    said = _scored(held, "presence")
    return None if said is None else f"{said} It reads which modalities a patient has, and nothing else."


def seconds(held: Held, heard: Heard) -> str | None:
    """How long one recipe took."""
    name = named(held, heard)
    took = None if name is None else held.at("recipes", name, "seconds")
    return None if took is None else f"All fits of '{name}' together took {took:.1f} seconds."


def slowest(held: Held, heard: Heard) -> str | None:
    """Which recipe took longest, or shortest."""
    quick = "fast" in heard.concepts
    rows: Rows = [row for row in held.document["recipes"] if row.get("seconds")]
    if not rows:
        return None
    name = str((min if quick else max)(rows, key=lambda row: row["seconds"])["name"])
    took = held.at("recipes", name, "seconds")
    return (
        f"The {'fastest' if quick else 'slowest'} recipe was '{name}': all its fits together took {took:.1f} seconds."
    )


def parameters(held: Held, heard: Heard) -> str | None:
    """How many parameters one recipe trains."""
    name = named(held, heard)
    number = None if name is None else held.at("recipes", name, "trained_parameters")
    return None if number is None else f"'{name}' trains {number:,} parameters."


def calibration(held: Held, heard: Heard) -> str | None:
    """The measures of calibration of one recipe, each with what it is where predictions are right."""
    name = named(held, heard)
    if name is None:
        return None
    ids = [own for own in METRICS[held.trial.kind] if own.table == CALIBRATION]
    parts = [
        f"{own.label} {held.interval('recipes', name, 'metrics', own.id)}"
        + (f" (right at {own.ideal:g})" if own.higher_is_better is None else "")
        for own in ids
        if held.peek("recipes", name, "metrics", own.id) is not None
    ]
    return f"Calibration of '{name}': {'; '.join(parts)}." if parts else None


def paper(held: Held, heard: Heard) -> str | None:
    """Where a recipe was published."""
    name = named(held, heard)
    told = None if name is None else held.at("recipes", name, "paper")
    if not told:
        return None
    link = held.at("recipes", str(name), "link")
    return f"'{name}' is of: {told}" + (f", {link}." if link else ".")


def options(held: Held, heard: Heard) -> str | None:
    """The options of one recipe."""
    name = named(held, heard)
    own = None if name is None else held.peek("recipes", name, "options")
    if not own:
        return None
    told = ", ".join(f"{key} = {held.at('recipes', str(name), 'options', key)!r}" for key in own)
    return f"'{name}' was run with: {told}."


def spread(held: Held, heard: Heard) -> str | None:
    """The lowest and the highest score of one recipe over the folds."""
    name = named(held, heard)
    folds = None if name is None else held.peek("recipes", name, "folds")
    values = [(own["value"], k) for k, own in enumerate(folds or ()) if own.get("value") is not None]
    if not values or heard.of("METRIC") not in ((), (PRIMARY[held.trial.kind],)):
        return None
    ends = [held.at("recipes", str(name), "folds", k, "value") for _, k in (min(values), max(values))]
    number = held.count("recipes", str(name), "folds")
    metric = label(held, PRIMARY[held.trial.kind])
    return f"Over {number} folds '{name}' lies between {ends[0]:.3f} and {ends[1]:.3f} in {metric}."


def metric(held: Held, heard: Heard) -> str | None:
    """The primary metric."""
    first = held.document["recipes"][0]["name"]
    return f"Recipes are ranked by {label(held, held.at('recipes', first, 'metric'))}."


def listed(held: Held, heard: Heard) -> str | None:
    """Which recipes were tried."""
    number = held.count("recipes")
    told = ", ".join(f"'{row['name']}'" for row in held.document["recipes"])
    return f"There are {number} recipes, references among them: {told}."


def subgroup(held: Held, heard: Heard) -> str | None:
    """The scores in each level of a declared subgroup."""
    rows = held.peek("subgroups", "rows") or ()
    wanted, recipes = heard.of("SUBGROUP"), heard.of("RECIPE")
    parts = []
    for k, row in enumerate(rows):
        if (not wanted or row["subgroup"] in wanted) and (not recipes or row["recipe"] in recipes):
            value = said_interval(*(held.at("subgroups", "rows", k, part) for part in ("mean", "low", "high")))
            number = held.at("subgroups", "rows", k, "n")
            parts.append(f"'{row['recipe']}' in {row['subgroup']} '{row['level']}' ({number:,} patients) {value}")
    if heard.of("METRIC") not in ((), (PRIMARY[held.trial.kind],)):
        return None
    metric_ = label(held, PRIMARY[held.trial.kind])
    return f"In {metric_}: {'; '.join(parts)}." if parts else None
