"""Merging of fitted networks that draw label maps: tunings of one start, which read images on one scale."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch

from chiasm.artifact import Outline
from chiasm.cohort import Unsupported
from chiasm.fitting.model import FittedModel
from chiasm.merging.layouts import require_one_layout
from chiasm.merging.methods import Method, merge_models
from chiasm.models.merged import at, layout_of_tree, recipe_of
from chiasm.models.merged_scores import same_parts
from chiasm.segmentation.model import Outliner

KINDS = ("outliner", "prompted-outliner")
ALIKE = {
    "modalities": "contrasts",
    "target": "targets",
    "encodings": "ways in which images are stored",
    "predictor.design": "sizes of the network",
    "predictor.labels": "numbers of labels",
    "predictor.window": "windows",
    "predictor.spacing": "spacings of what they draw",
    "response.classes": "labels",
}


def hold_outlines(outlines: Sequence[Outline]) -> bool:
    """Return whether every model is a network that draws label maps."""
    predictors = [own.tree.get("predictor") if isinstance(own.tree, dict) else None for own in outlines]
    return all(isinstance(own, dict) and own.get("$kind") in KINDS for own in predictors)


def require_outlines(outlines: Sequence[Outline], names: Sequence[str]) -> None:
    """Check, by the descriptions of models and without reading weights, that their networks can be merged.

    Args:
        names: the models' names for error messages.

    Raises:
        Unsupported: recipes, labels, contrasts or sizes differ.
        ValueError: tensors or shapes differ; the message names them.
    """
    trees = [outline.tree for outline in outlines]
    first = trees[0]
    for tree, name in zip(trees[1:], names[1:], strict=True):
        if recipe_of(tree) != recipe_of(first):
            raise Unsupported(
                f"{names[0]} is of recipe '{recipe_of(first)}' and {name} of '{recipe_of(tree)}': one recipe merges"
            )
        for part, what in ALIKE.items():
            if at(tree, part) != at(first, part):
                raise Unsupported(f"{names[0]} and {name} have different {what}: fit them alike")
    require_one_layout([layout_of_tree(tree) for tree in trees], names)


def merge_outlines(
    models: Sequence[FittedModel],
    names: Sequence[str],
    weights: Sequence[float],
    method: Method,
    base: FittedModel | None = None,
) -> FittedModel:
    """Merge fitted networks: the first model with the merged network, which knows of the images of all again.

    What is said of a patient without an image, and how windows are mirrored, are the first model's; what is done to a
    label that was drawn too, where all do the same, and else nothing.

    Args:
        models: models that `require_outlines` accepts, as must the base.
        names: the models' names for error messages, the base last.

    Raises:
        Unsupported: they read images on different scales.
        ValueError: `merge_models` refuses the networks.
    """
    every = [outliner_of(model) for model in (*models, *([] if base is None else [base]))]
    for own, name in zip(every[1:], names[1:], strict=True):
        for contrast, grid in every[0].grids.items():
            if not same_parts(grid, own.grids[contrast]):
                raise Unsupported(
                    f"{names[0]} and {name} read '{contrast}' on different scales, so that a mean of their weights has "
                    "no meaning: tune both from one model, by stu-net:weights=...,scale=weights, or fit on one cohort"
                )
    states = [{key: torch.from_numpy(np.array(value)) for key, value in own.state.items()} for own in every]
    merged = merge_models(states[: len(models)], weights, method, None if base is None else states[-1])
    parts = every[: len(models)]
    predictor = dataclasses.replace(
        parts[0],
        state={key: value.numpy() for key, value in merged.items()},
        tidy=parts[0].tidy if len({own.tidy for own in parts}) == 1 else (),
        seen=tuple({marks.key: marks for own in every for marks in own.seen}.values()),
        epochs=0,
    )
    same = len({model.recipe for model in models}) == 1
    all_know = all(model.patterns for model in models)
    return dataclasses.replace(
        models[0],
        predictor=predictor,
        recipe=models[0].recipe if same else models[0].recipe.partition(":")[0],
        patterns=tuple(sorted({name for model in models for name in model.patterns if all_know})),
        prevalence={},
        tuning=None,
        history=(),
        reference=None,
        similar=None,
    )


def outliner_of(model: FittedModel) -> Outliner:
    """Return the network of a model that draws label maps."""
    if not isinstance(model.predictor, Outliner):
        raise Unsupported("a model draws no label maps: those that do merge with each other")
    return model.predictor
