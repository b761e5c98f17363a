"""Merging of fitted models whose networks are merged and whose other parts must be the same."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from chiasm.artifact import ArrayOutline, ArtifactError, Outline
from chiasm.cohort import Unsupported
from chiasm.fitting.model import FittedModel
from chiasm.fitting.neural import NetworkPredictor
from chiasm.merging.layouts import Layout, require_one_layout
from chiasm.merging.methods import METHODS, Method, make_method, merge_models
from chiasm.models.merged_scores import mean_response, same_parts
from chiasm.specs import name_and_options, read_options

OWN_SPACE = {"choice-model": ("chooses among options", "a choice"), "text-model": ("says texts", "texts")}
"""Predictors that learn a space of their own: what one does, and of what it is a model."""
# Parts that must be equal for the parameters of two networks to be comparable; encoders are compared by modality.
ALIKE = {
    "modalities": "modalities, or kinds of them",
    "target": "targets",
    "has_prior": "answers to patients without a modality",
    "scarce": "modalities that were too rare to learn from",
    "encodings": "frozen encoders",
    "predictor.kind": "kinds of target",
    "predictor.design": "sizes of the network, or ways through it",
    "predictor.shapes": "shapes of the tokens that they read",
    "predictor.outputs": "numbers of outputs",
    "predictor.centre": "means by which the outcome is standardised",
    "predictor.scale": "scales by which the outcome is standardised",
    "response.classes": "classes",
    "response.times": "horizons: name them in [target]",
}


@dataclasses.dataclass(frozen=True)
class Merged:
    """A merged model, with the scores of all models on a cohort.

    Args:
        model: the merged model, whatever the scores say.
        metric: the primary metric of the target.
        scores: metrics of each model by name, `merged` last; empty without a cohort. The merged model is scored before
            it is calibrated on that cohort.
        calibrated_on: number of the cohort's patients on which its calibration was fitted; 0: it is the models' mean.
        calibrates: whether such a model is calibrated; one that draws label maps is not.
    """

    model: FittedModel
    metric: str
    scores: dict[str, dict[str, float]]
    calibrated_on: int = 0
    calibrates: bool = True

    @property
    def calibration(self) -> str:
        """Return a sentence on the origin of the calibration."""
        if not self.calibrates:
            return "what is drawn has no calibration: pixels have the label that is the most probable"
        if self.calibrated_on:
            return f"its calibration was fitted on {self.calibrated_on:,} patients of the cohort"
        return "its calibration is the mean of the models', fitted for their links and not for its own"

    @property
    def best(self) -> str | None:
        """Return the name of the model with the best primary metric, on ties the merged one; None if not estimable."""
        known = {name: own[self.metric] for name, own in self.scores.items() if np.isfinite(own[self.metric])}
        return max(reversed(known), key=lambda name: known[name]) if known else None

    @property
    def warning(self) -> str | None:
        """Return a warning if another model scores better than the merged one, else None."""
        best = self.best
        if best in (None, "merged"):
            return None
        value, own = self.scores[str(best)][self.metric], self.scores["merged"][self.metric]
        shown = f"{own:.3f}" if np.isfinite(own) else "not estimable"
        return f"merging did not pay here: {self.metric} is {shown}, and {value:.3f} for '{best}' alone: keep that one"


def method_of(text: str) -> Method:
    """Create a merging method from `name` or `name:option=value,option=value`.

    Raises:
        ValueError: an unknown method or option, or a value of the wrong type or range.
    """
    name, options = name_and_options(text)
    known = {field.name: field.default for field in dataclasses.fields(METHODS[name])} if name in METHODS else {}
    values = read_options(options, known, f"method '{name}'") if name in METHODS else {}
    return make_method(name, **values)


def require_alike(outlines: Sequence[Outline], names: Sequence[str]) -> None:
    """Check, by the descriptions of models and without reading weights, that their networks can be merged.

    Args:
        names: the models' names for error messages.

    Raises:
        Unsupported: a model is not a network; or recipes, targets, encoders or other parts differ.
        ValueError: tensors or shapes differ; the message names them.
    """
    trees = [outline.tree for outline in outlines]
    for tree, name in zip(trees, names, strict=True):
        found = tree.get("$kind") if isinstance(tree, dict) else None
        predictor = tree.get("predictor") if found == "model" else None
        if isinstance(predictor, dict) and predictor.get("$kind") in OWN_SPACE:
            does, noun = OWN_SPACE[predictor["$kind"]]
            raise Unsupported(
                f"{name} {does}, in a space learned of its own patients: models of {noun} share none in which they "
                "could merge, so fit one on the patients of all"
            )
        if not isinstance(predictor, dict) or predictor.get("$kind") != "network":
            raise Unsupported(
                f"{name} holds no network: networks merge, such as healnet and lego-fuse give; blocks of lego-merge "
                "merge with such blocks, and models of single modalities with such models"
            )
        for part in (*ALIKE, "recipe", "predictor.encoders", "predictor.state"):
            at(tree, part)
    for tree, name in zip(trees[1:], names[1:], strict=True):
        if recipe_of(tree) != recipe_of(trees[0]):
            raise Unsupported(
                f"{names[0]} is of recipe '{recipe_of(trees[0])}' and {name} of '{recipe_of(tree)}': one recipe merges"
            )
        for part in ("modalities", "target"):
            if tree[part] != trees[0][part]:
                raise Unsupported(f"{names[0]} and {name} have different {ALIKE[part]}: fit them alike")
    require_one_layout([layout_of_tree(tree) for tree in trees], names)
    for tree, name in zip(trees[1:], names[1:], strict=True):
        for part, what in ALIKE.items():
            if at(tree, part) != at(trees[0], part):
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
    """Merge fitted models: the first one with the merged network and the mean of the models' calibrations.

    Weights of networks with differently scaled inputs are not comparable, so the encoders must be equal: fit the models
    on one cohort, or fine-tune them from one model. The calibration slope, its centre and the baseline hazard are
    averaged; they were fitted for the links of the models, not for that of the merged one.

    Args:
        models: models that `require_alike` accepts, as must the base.
        names: the models' names for error messages, the base last.

    Raises:
        Unsupported: the encoders were fitted on different patients.
        ValueError: `merge_models` refuses the networks.
    """
    every = [*models, *([] if base is None else [base])]
    for model, name in zip(every[1:], names[1:], strict=True):
        for modality, encoder in _network(every[0]).encoders.items():
            if not same_parts(encoder, _network(model).encoders[modality]):
                raise Unsupported(_scaled_differently(modality, names[0], name))
    states = [_state(model) for model in models]
    merged = merge_models(states, weights, method, None if base is None else _state(base))
    arrays = {key: value.numpy() for key, value in merged.items()}
    predictor = dataclasses.replace(_network(models[0]), state=arrays, notes={})
    same = len({model.recipe for model in models}) == 1
    all_know = all(model.patterns for model in models)
    return dataclasses.replace(
        models[0],
        predictor=predictor,
        response=mean_response([model.response for model in models], weights),
        recipe=models[0].recipe if same else models[0].recipe.partition(":")[0],
        patterns=tuple(sorted({name for model in models for name in model.patterns if all_know})),
        prevalence={},
        tuning=None,
        history=(),
        reference=None,
        similar=None,
    )


def recipe_of(tree: Mapping[str, Any]) -> str:
    """Return the name of a model's recipe, without its options."""
    return str(tree["recipe"]).partition(":")[0]


def layout_of_tree(tree: Mapping[str, Any]) -> Layout:
    """Return the layout of the network in a model's description."""
    state = tree["predictor"]["state"]
    return {key: (own.shape, own.dtype) for key, own in state.items() if isinstance(own, ArrayOutline)}


def at(tree: Any, place: str) -> Any:
    """Look up a dotted path in a model's description.

    Raises:
        ArtifactError: the path does not exist.
    """
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
