"""Merging of `lego-merge` blocks that were trained in different places, without data (arXiv 2405.19950)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from chiasm.artifact import Outline
from chiasm.cohort import Unsupported
from chiasm.errors import nearest
from chiasm.fitting.model import FittedModel
from chiasm.merging import MERGES
from chiasm.models.merged import at
from chiasm.models.merged_scores import mean_response
from chiasm.recipes.fusion.lego_blocks import HEAD_METHODS, require_matching
from chiasm.recipes.fusion.lego_merge import LegoMergePredictor
from chiasm.specs import name_and_options, read_options

MIXED = "several"  # marks a model whose blocks started from different latents
# Parts that must be equal for the latents and heads of blocks to be comparable.
ALIKE = {
    "target": "targets",
    "predictor.kind": "kinds of target",
    "predictor.sizes": "sizes of the latents or of the blocks",
    "response.classes": "classes",
    "response.times": "horizons: name them in [target]",
}


@dataclasses.dataclass(frozen=True)
class BlockMethod:
    """Merging methods of the latents of blocks (see `MERGES`) and of their heads (slerp, linear, ot)."""

    latents: str = "mean"
    head: str = "slerp"


def block_method_of(text: str) -> BlockMethod:
    """Create a method of merging blocks from `name` or `name:head=method`.

    Raises:
        ValueError: an unknown name, option or value, with the nearest known one.
    """
    name, options = name_and_options(text)
    _require_known("way of merging latents", name, MERGES)
    head = read_options(options, {"head": BlockMethod().head}, f"'{name}'").get("head", BlockMethod().head)
    _require_known("way of merging heads", head, HEAD_METHODS)
    return BlockMethod(name, head)


def hold_blocks(outlines: Sequence[Outline]) -> bool:
    """Return whether every model consists of `lego-merge` blocks."""
    predictors = [own.tree.get("predictor") if isinstance(own.tree, dict) else None for own in outlines]
    return all(isinstance(own, dict) and own.get("$kind") == "lego-merge" for own in predictors)


def require_blocks(
    outlines: Sequence[Outline], names: Sequence[str], weights: Sequence[float], method: BlockMethod
) -> None:
    """Check, by the descriptions of models and without reading weights, that their blocks can be merged.

    Args:
        names: the models' names for error messages.

    Raises:
        Unsupported: two models share a modality; targets, sizes, classes or starts differ; a package is missing.
        ValueError: a weight of zero.
    """
    require_matching(method.head)
    if not all(weight > 0 for weight in weights):
        raise ValueError("a block of weight zero leaves who has nothing else without an answer: leave its model out")
    trees: list[Any] = [outline.tree for outline in outlines]
    require_one_meaning(trees, names, ALIKE)
    starts = [str(tree["predictor"].get("start", "")) for tree in trees]
    for start, name in zip(starts, names, strict=True):
        if (start != starts[0] or start == MIXED) and method.head != "ot":
            if start == MIXED:
                raise Unsupported(
                    f"the blocks of {name} started from different latents, which have no common order: take head=ot"
                )
            raise Unsupported(
                f"the blocks of {names[0]} and {name} started from different latents, which have no common order: fit "
                "them with one --seed, or match their widths by head=ot"
            )


def require_one_meaning(trees: Sequence[Any], names: Sequence[str], alike: Mapping[str, str]) -> None:
    """Check that models are of different modalities and agree in the parts that must be equal.

    Args:
        alike: dotted paths of a description that must be equal, with their names for error messages.

    Raises:
        Unsupported: two models share a modality, or a part differs.
    """
    for tree in trees:
        for part in (*alike, "modalities"):
            at(tree, part)
    owners: dict[str, str] = {}
    for tree, name in zip(trees, names, strict=True):
        for modality in tree["modalities"]:
            other = owners.setdefault(modality, name)
            if other != name:
                raise Unsupported(
                    f"{other} and {name} both hold a block of '{modality}', and one patient cannot be read by both: "
                    "merge models that are of different modalities"
                )
    for tree, name in zip(trees[1:], names[1:], strict=True):
        for part, what in alike.items():
            if at(tree, part) != at(trees[0], part):
                raise Unsupported(f"{names[0]} and {name} have different {what}: fit them alike")


def merge_blocks(models: Sequence[FittedModel], weights: Sequence[float], method: BlockMethod) -> FittedModel:
    """Combine all blocks in one model, which merges those of a patient's modalities at prediction; without data.

    The weight of a model applies to each of its blocks, in the merge of latents and of heads. Means and scales by which
    a numeric outcome was standardised are averaged, as are the calibrations.

    Args:
        models: models that `require_blocks` accepts.
    """
    parts = [model.predictor for model in models]
    own = [part for part in parts if isinstance(part, LegoMergePredictor)]
    total = sum(weights)
    every = {name: part for part in own for name in part.blocks}
    predictor = dataclasses.replace(
        own[0],
        encoders={name: part.encoders[name] for name, part in every.items()},
        shapes={name: part.shapes[name] for name, part in every.items()},
        blocks={name: part.blocks[name] for name, part in every.items()},
        heads={name: part.heads[name] for name, part in every.items()},
        method=method.latents,
        head_method=method.head,
        centre=sum(part.centre * weight for part, weight in zip(own, weights, strict=True)) / total,
        scale=sum(part.scale * weight for part, weight in zip(own, weights, strict=True)) / total,
        trained_parameters=sum(part.trained_parameters for part in own),
        start=own[0].start if len({part.start for part in own}) == 1 else MIXED,
        weights={
            name: weight * part.weights.get(name, 1.0)
            for part, weight in zip(own, weights, strict=True) for name in part.blocks
        },
    )  # fmt: skip
    return dataclasses.replace(joined(models, weights, "lego-merge"), predictor=predictor)


def joined(models: Sequence[FittedModel], weights: Sequence[float], recipe: str) -> FittedModel:
    """Return the first model with all models' modalities and mean calibration; its predictor is not replaced."""
    modalities = {name: kind for model in models for name, kind in model.modalities.items()}
    return dataclasses.replace(
        models[0],
        recipe=recipe,
        modalities=modalities,
        response=mean_response([model.response for model in models], weights),
        has_prior=False,
        scarce=tuple(sorted({name for model in models for name in model.scarce} - set(modalities))),
        encodings={name: encoding for model in models for name, encoding in model.encodings.items()},
        patterns=(),
        prevalence={},
        tuning=None,
        history=(),
        reference=None,
        similar=None,
    )


def _require_known(what: str, name: str, known: Any) -> None:
    if name not in known:
        like = nearest(name, known)
        hint = f"did you mean '{like}'?" if like else f"choose one of {', '.join(known)}"
        raise ValueError(f"no {what} of blocks is called '{name}': {hint}")
