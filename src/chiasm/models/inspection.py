"""What is inside a model folder, read from its description alone: no class of a model is imported, no weight is kept.

Ranges are taken from the summaries by which a model scales its columns, and never show a single patient: of a ranked
column the quantiles beyond which five training patients or more lie on either side, to three digits; of a column of a
few values the mean, where five or more patients can differ from the median. What a folder does not say is None.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from chiasm.artifact import Given, LookedInto, looked_into
from chiasm.artifact.signature import proved
from chiasm.models.not_for import not_for
from chiasm.models.stored_shapes import SCALER_ARRAYS, have_shapes, is_scaler, require_model
from chiasm.models.trial_beside import card_scores, scores_beside
from chiasm.shown import LEAST
from chiasm.specs import name_and_options

CALIBRATED = "response"  # where the calibrated map stands in model.json
RANGED = 200  # columns of a modality whose ranges are read
FEW_PATIENTS = 20  # of fewer no mean is told
Tree = Mapping[str, Any]


def inspected(path: Path, trusted: list[Given] | None = None, trial: Path | None = None) -> dict[str, Any]:
    """Look into a model folder, and at the trial that stands beside it.

    Args:
        trusted: as for `load_model`.
        trial: a run folder; None: the folder that the model lies in, where that is one.

    Raises:
        ArtifactError: it is no model folder, is damaged, or is not signed by a trusted key.
    """
    found = looked_into(path, arrays_of_ranges, trusted)
    model = found.document["model"]
    if not isinstance(model, dict) or model.get("$kind") != "model":
        kind = model.get("$kind", "") if isinstance(model, dict) else ""
        return {"name": found.name, "holds": "a part of a model", "kind": kind, **_of_folder(found)}
    model, facts = require_model(model, found.name), found.document.get("facts", {})
    patterns, modalities = model.get("patterns", []), _modalities(found, model)
    told = {
        "name": found.name,
        "holds": "a model",
        "recipe": model["recipe"],
        "options": _options(model["recipe"]),
        "target": model["target"],
        "outcome": _outcome(model),
        "modalities": modalities,
        "trained_parameters": facts.get("trained_parameters"),
        "learned_from": {noun: None if 0 < n < LEAST else n for noun, n in model.get("learned_from", {}).items()},
        "patterns": patterns,
        "patterns_never_seen": _never_seen(list(modalities), patterns),
        "scarce": model.get("scarce", []),
        "answers_without_modality": model.get("has_prior", False),
        "prevalence": _prevalence(model),
        "calibration": _calibration(found, model[CALIBRATED]),
        "tuning": _tuning(model.get("tuning")),
        "parts": _parts(model["predictor"]),
        "holds_of_training": facts.get("holds_of_training"),
        "versions": {key: facts[key] for key in ("python", "packages") if key in facts} or None,
        **_of_folder(found),
    }
    told["scores"] = scores_beside(path.absolute(), trial, told) or card_scores(found.card)
    return told | {"must_not_be_used_for": not_for(told)}


def _of_folder(found: LookedInto) -> dict[str, Any]:
    own = found.signature
    state: dict[str, Any] = {"state": "none"}
    if own is not None:
        how = "trusted" if found.trusted else proved(own)
        state = {"state": how, "key": own.fingerprint, "at": own.at}
    return {
        "signature": state,
        "identity": found.document["sha256"],
        "files": {name: {"bytes": size, "sha256": found.hashes[name]} for name, size in found.sizes.items()},
        "numbers": sum(math.prod(own.shape) for own in found.header.places.values()),
        "schema": found.document["schema"],
    }


def scalers(node: Any, modalities: Mapping[str, Any], under: str | None = None) -> Iterator[tuple[str, Tree]]:
    """Yield each stored part that has a scaler of columns, with the modality under whose name it stands."""
    if isinstance(node, list):
        for own in node:
            yield from scalers(own, modalities, under)
    elif isinstance(node, dict):
        scaler = node.get("scaler")
        if isinstance(scaler, dict) and scaler.get("$kind") == "scaler" and under is not None and is_scaler(scaler):
            yield under, node
        named = node.get("modality")
        inner = named if isinstance(named, str) and named in modalities else under
        for key, own in node.items():
            yield from scalers(own, modalities, key if "$kind" not in node and key in modalities else inner)


def arrays_of_ranges(tree: Any) -> set[str]:
    """Name the arrays of the scalers of a stored model, but for those of very many columns."""
    wanted = set()
    if isinstance(tree, dict) and isinstance(tree.get("modalities"), dict):
        for _, part in scalers(tree.get("predictor"), tree["modalities"]):
            if len(part["scaler"]["columns"]) <= RANGED:
                wanted |= {part["scaler"][name]["$array"] for name in SCALER_ARRAYS}
    return wanted


def _modalities(found: LookedInto, model: Tree) -> dict[str, Any]:
    licences = found.document.get("facts", {}).get("licences", {})
    first: dict[str, Tree] = {}
    for name, part in scalers(model["predictor"], model["modalities"]):
        first.setdefault(name, part)
    told = {}
    for name, kind in model["modalities"].items():
        own: dict[str, Any] = {"kind": kind}
        if (encoding := model.get("encodings", {}).get(name)) is not None:
            own = {
                "kind": encoding["kind"],
                "encoder": encoding["encoder"],
                "encoder_identity": encoding["identity"],
                "licence": licences.get(name),
                "not_read": encoding.get("refused", 0),
            }
        if name in first:
            own["columns"] = _columns(first[name], found.arrays)
        told[name] = own
    return told


def _columns(part: Tree, arrays: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    """List the columns of a table with what is known of each: the levels, or where its numbers lay in training."""
    scaler = part["scaler"]
    names = [str(name) for name in scaler["columns"]]
    held = {name: arrays[scaler[name]["$array"]] for name in SCALER_ARRAYS if scaler[name]["$array"] in arrays}
    whole = len(held) == len(SCALER_ARRAYS) and have_shapes(held, len(names))
    ranges = _ranges(held, float(scaler["tail"]), len(names)) if whole else [{} for _ in names]
    numbers = [{"name": name, **own} for name, own in zip(names, ranges, strict=True)]
    levels = part.get("categories")
    named = levels.items() if isinstance(levels, dict) else ()
    return [*numbers, *({"name": name, "levels": list(map(str, own))} for name, own in named if isinstance(own, list))]


def _ranges(arrays: Mapping[str, Any], tail: float, width: int) -> list[dict[str, Any]]:
    """What may be told of each column's numbers among n = 1 / tail - 1 training patients."""
    n = round(1 / tail) - 1
    ranked, knots = arrays["ranked"].tolist(), arrays["knots"]
    told: list[dict[str, Any]] = []
    for column in range(width):
        mean, median, scale = (float(arrays[name][column]) for name in ("mean", "median", "scale"))
        if not (math.isfinite(mean) and math.isfinite(median)) or math.isnan(scale) or not np.isfinite(knots).all():
            told.append({"said": "not finite"})
        elif column in ranked:
            steps = len(knots) - 1
            low = math.ceil(steps * LEAST / max(n - 1, 1))
            if 2 * low >= steps:
                told.append({"said": "too few patients to say"})
                continue
            own = knots[:, ranked.index(column)]
            ends = {"low": _three(own[low]), "high": _three(own[steps - low])}
            told.append({**ends, "middle": _three(own[steps // 2]), "share_within": round(1 - 2 * low / steps, 3)})
        elif not math.isfinite(scale):
            told.append({"said": "one value in training"})
        elif n < FEW_PATIENTS or 0 < n * abs(mean - median) / scale < LEAST - 0.5:
            told.append({"said": "too few patients to say"})
        else:
            told.append({"mean": _three(mean), "said": "a few values"})
    return told


def _three(value: float) -> float:
    return float(f"{float(value):.3g}")


def _options(recipe: str) -> dict[str, str]:
    _, text = name_and_options(recipe)
    pairs = (part.partition("=") for part in text.split(",") if part)
    return {name: value for name, _, value in pairs}


def _outcome(model: Tree) -> dict[str, Any]:
    response = model[CALIBRATED]
    return {"kind": response["kind"], "classes": response["classes"], "times": response["times"]}


def _prevalence(model: Tree) -> dict[str, float] | None:
    """Share of each outcome; None where it is not known, or one to four patients had, or had not, one of them."""
    shares, patients = model.get("prevalence", {}), model.get("learned_from", {}).get("patients", 0)
    counts = [round(share * patients) for share in shares.values()]
    if not shares or any(0 < n < LEAST or 0 < patients - n < LEAST for n in counts):
        return None
    return {name: round(share, 3) for name, share in shares.items()}


def _calibration(found: LookedInto, response: Tree) -> dict[str, Any]:
    """The slope of the link, and whether an intercept was moved after the fit, which a fit itself leaves empty."""
    intercept = response.get("intercept")
    own = found.header.places.get(str(intercept.get("$array"))) if isinstance(intercept, dict) else None
    return {"slope": _three(response["slope"]), "intercept_moved": own is not None and own.end > own.start}


def _tuning(tuning: Tree | None) -> dict[str, Any] | None:
    if tuning is None:
        return None
    picked = tuning["tried"][tuning["picked"]]["options"]
    return {"space": tuning["recipe"], "tried": len(tuning["tried"]), "folds": tuning["folds"], "picked": picked}


def _parts(predictor: Any) -> dict[str, int]:
    """How often each kind of part stands in a predictor."""
    counts: dict[str, int] = {}
    waiting = [predictor]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            if isinstance(node.get("$kind"), str):
                counts[node["$kind"]] = counts.get(node["$kind"], 0) + 1
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)
    return dict(sorted(counts.items()))


def _never_seen(modalities: list[str], patterns: list[str]) -> dict[str, Any] | None:
    """How many patterns of modalities no training patient had, and those that lack the fewest; None where not known."""
    if not patterns:
        return None
    names = sorted(modalities)
    seen = {frozenset(own.split("+")) for own in patterns if own}
    number = 2 ** len(names) - 1 - len(seen)
    missing = [frozenset(names) - own for own in map(frozenset, ([name] for name in names))]
    near = [frozenset(names), *missing, *(frozenset([name]) for name in names)]
    listed = list(dict.fromkeys("+".join(sorted(own)) for own in near if own and own not in seen))
    return {"number": number, "some": listed[:6]}
