"""Fitted models to one: their networks merged, where everything else about them is the same."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from chiasm.artifact import ArrayOutline, ArtifactError, Outline
from chiasm.cohort import Cohort, Unsupported, class_names
from chiasm.evaluation.metrics import METRICS, PRIMARY, score
from chiasm.heads.response import Response
from chiasm.merging.layouts import Layout, require_one_layout
from chiasm.merging.methods import METHODS, Method, make_method, merge_models
from chiasm.recipes.model import FittedModel
from chiasm.recipes.neural import NetworkPredictor
from chiasm.recipes.registry import parse

# What must be one for the parameters of two networks to mean the same; the encoders are compared by modality.
ALIKE = {
    "modalities": "modalities, or kinds of them",
    "target": "targets",
    "has_prior": "answers to patients without a modality",
    "scarce": "modalities that were too rare to learn from",
    "encodings": "frozen encoders",
    "predictor.kind": "kinds of target",
    "predictor.design": "sizes of the network",
    "predictor.shapes": "shapes of the tokens that they read",
    "predictor.outputs": "numbers of outputs",
    "predictor.centre": "means by which the outcome is standardised",
    "predictor.scale": "scales by which the outcome is standardised",
    "response.classes": "classes",
    "response.times": "horizons: name them in [target]",
}


@dataclasses.dataclass(frozen=True)
class Merged:
    """A merged model, and what it is worth on a cohort.

    Args:
        model: the merged one, whatever the scores say.
        metric: the primary metric of the target.
        scores: name of a model, `merged` last, to its metrics; empty without a cohort.
    """

    model: FittedModel
    metric: str
    scores: dict[str, dict[str, float]]

    @property
    def best(self) -> str | None:
        """Who has the best primary metric, of equal ones the merged model; None where none can be estimated."""
        known = {name: own[self.metric] for name, own in self.scores.items() if np.isfinite(own[self.metric])}
        return max(reversed(known), key=lambda name: known[name]) if known else None

    @property
    def warning(self) -> str | None:
        """A sentence where merging did not pay, else None."""
        best = self.best
        if best in (None, "merged"):
            return None
        value, own = self.scores[str(best)][self.metric], self.scores["merged"][self.metric]
        shown = f"{own:.3f}" if np.isfinite(own) else "not estimable"
        return f"merging did not pay here: {self.metric} is {shown}, and {value:.3f} for '{best}' alone: keep that one"


def method_of(text: str) -> Method:
    """A method from `name` or `name:option=value,option=value`.

    Raises:
        ValueError: an unknown method or option, or a value of the wrong type or range.
    """
    name, _, options = text.strip().partition(":")
    known = {field.name: field.default for field in dataclasses.fields(METHODS[name])} if name in METHODS else {}
    values: dict[str, Any] = {}
    for part in filter(None, options.split(",")):
        option, separator, value = part.partition("=")
        if not separator:
            raise ValueError(f"option '{option}' of '{name}' has no value: write {option}=...")
        values[option] = parse(value, known[option], f"option '{option}' of '{name}'") if option in known else value
    return make_method(name, **values)


def require_alike(outlines: Sequence[Outline], names: Sequence[str]) -> None:
    """Refuse models whose networks do not fit, by what their folders say; no weight is read.

    Args:
        names: what a message calls each.

    Raises:
        Unsupported: a model that is no network; recipes, targets, encoders or other parts that differ.
        ValueError: tensors or shapes that differ, named.
    """
    trees = [outline.tree for outline in outlines]
    for tree, name in zip(trees, names, strict=True):
        found = tree.get("$kind") if isinstance(tree, dict) else None
        predictor = tree.get("predictor") if found == "model" else None
        if not isinstance(predictor, dict) or predictor.get("$kind") != "network":
            raise Unsupported(f"{name} holds no network: networks merge, such as healnet and lego-fuse give")
        for part in (*ALIKE, "recipe", "predictor.encoders", "predictor.state"):
            _at(tree, part)
    for tree, name in zip(trees[1:], names[1:], strict=True):
        if _recipe(tree) != _recipe(trees[0]):
            raise Unsupported(
                f"{names[0]} is of recipe '{_recipe(trees[0])}' and {name} of '{_recipe(tree)}': one recipe merges"
            )
        for part in ("modalities", "target"):
            if tree[part] != trees[0][part]:
                raise Unsupported(f"{names[0]} and {name} have different {ALIKE[part]}: fit them alike")
    require_one_layout([_layout(tree) for tree in trees], names)
    for tree, name in zip(trees[1:], names[1:], strict=True):
        for part, what in ALIKE.items():
            if _at(tree, part) != _at(trees[0], part):
                raise Unsupported(f"{names[0]} and {name} have different {what}: fit them alike")
        own, first = tree["predictor"]["encoders"], trees[0]["predictor"]["encoders"]
        for modality in sorted(set(own) | set(first)):
            if own.get(modality) != first.get(modality):
                raise Unsupported(_scaled_differently(modality, names[0], name))


def merge_fitted(
    models: Sequence[FittedModel],
    names: Sequence[str],
    weights: Sequence[float],
    method: Method,
    base: FittedModel | None = None,
) -> FittedModel:
    """The first model with the merged network, and the mean of the models' calibrations.

    Weights of networks that read differently scaled inputs have no common meaning, so the encoders must be equal: fit
    the models on one cohort, or tune them from one model. The calibrating slope, its centre and the baseline hazard are
    averaged; they were fitted for the links of the models, not for that of the merged one.

    Args:
        models: `require_alike` has passed them, the base too.
        names: what a message calls each, the base last.

    Raises:
        Unsupported: encoders that were fitted on different patients.
        ValueError: what `merge_models` refuses.
    """
    every = [*models, *([] if base is None else [base])]
    for model, name in zip(every[1:], names[1:], strict=True):
        for modality, encoder in _network(every[0]).encoders.items():
            if not _equal(encoder, _network(model).encoders[modality]):
                raise Unsupported(_scaled_differently(modality, names[0], name))
    states = [_state(model) for model in models]
    merged = merge_models(states, weights, method, None if base is None else _state(base))
    arrays = {key: value.numpy() for key, value in merged.items()}
    predictor = dataclasses.replace(_network(models[0]), state=arrays)
    same = len({model.recipe for model in models}) == 1
    return dataclasses.replace(
        models[0],
        predictor=predictor,
        response=mean_response([model.response for model in models], weights),
        recipe=models[0].recipe if same else models[0].recipe.partition(":")[0],
    )


def mean_response(responses: Sequence[Response], weights: Sequence[float]) -> Response:
    """The weighted mean of slopes, centres and cumulative baseline hazards; a hazard is a step function."""
    used = [(own, weight) for own, weight in zip(responses, weights, strict=True) if weight > 0]
    first, total = used[0][0], sum(weight for _, weight in used)
    if all(_equal(own, first) for own, _ in used):
        return first
    times = np.unique(np.concatenate([own.event_times for own, _ in used]))
    hazard = np.zeros(len(times))
    for own, weight in used:
        steps = np.concatenate([[0.0], own.hazard])
        hazard += weight / total * steps[np.searchsorted(own.event_times, times, side="right")]
    return dataclasses.replace(
        first,
        slope=sum(own.slope * weight for own, weight in used) / total,
        centre=sum(own.centre * weight for own, weight in used) / total,
        event_times=times,
        hazard=hazard,
    )


def scores_of(models: Mapping[str, FittedModel], cohort: Cohort) -> dict[str, dict[str, float]]:
    """Every metric of every model, on the patients of known outcome who have a modality that the models read.

    Raises:
        Unsupported: the cohort has no such target, or no such patient.
    """
    first = next(iter(models.values()))
    target, outcome = cohort.target, cohort.outcome
    if target is None or outcome is None or target.kind != first.response.kind:
        raise Unsupported(f"scoring needs a cohort with a target of kind '{first.response.kind}', as the models have")
    classes = class_names(target)
    if classes != first.response.classes:
        raise Unsupported("the cohort has other classes than the models: name the same ones in [target]")
    read = [name for name in cohort.modalities if name in first.modalities]
    usable = outcome.known & cohort.with_modalities(read).present.any(1) if read else np.zeros(len(cohort), bool)
    if not usable.any():
        raise Unsupported("no patient of the cohort has a known outcome and a modality of the models")
    part = cohort.subset(usable)
    known = outcome.take(np.flatnonzero(usable))
    found = {}
    for name, model in models.items():
        frame = model.predict(part).loc[list(part.ids)]
        values = score(target.kind, frame, known, classes)
        found[name] = {metric.id: float(values[metric.id][0]) for metric in METRICS[target.kind]}
    return found


def primary_of(model: FittedModel) -> str:
    """The metric by which models of this target are compared."""
    return PRIMARY[model.response.kind]


def _recipe(tree: Mapping[str, Any]) -> str:
    return str(tree["recipe"]).partition(":")[0]


def _layout(tree: Mapping[str, Any]) -> Layout:
    state = tree["predictor"]["state"]
    return {key: (own.shape, own.dtype) for key, own in state.items() if isinstance(own, ArrayOutline)}


def _at(tree: Any, place: str) -> Any:
    for part in place.split("."):
        if not isinstance(tree, dict) or part not in tree:
            raise ArtifactError(f"a model has no '{place}': it is damaged, or another chiasm wrote it")
        tree = tree[part]
    return tree


def _network(model: FittedModel) -> NetworkPredictor:
    if not isinstance(model.predictor, NetworkPredictor):
        raise Unsupported("a model holds no network: networks merge, such as healnet and lego-fuse give")
    return model.predictor


def _state(model: FittedModel) -> dict[str, Tensor]:
    return {key: torch.from_numpy(np.array(value)) for key, value in _network(model).state.items()}


def _scaled_differently(modality: str, first: str, second: str) -> str:
    return (
        f"the encoders of '{modality}' in {first} and {second} were fitted on different patients, so their networks "
        "read inputs on different scales, and a mean of their weights has no meaning: fit the models on one cohort"
    )


def _equal(first: Any, second: Any) -> bool:
    """Alike in type and in every value, arrays bit for bit but for NaN."""
    if type(first) is not type(second):
        return False
    if isinstance(first, np.ndarray):
        return first.dtype == second.dtype and np.array_equal(first, second, equal_nan=first.dtype.kind in "fc")
    if isinstance(first, Tensor):
        return torch.equal(first, second)
    if dataclasses.is_dataclass(first):
        return all(_equal(getattr(first, f.name), getattr(second, f.name)) for f in dataclasses.fields(first))
    if isinstance(first, Mapping):
        return list(first) == list(second) and all(_equal(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(_equal, first, second))
    return bool(first == second)
