"""Weights of an STU-Net of other contrasts and labels, put into a fresh one: what does not fit begins anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from chiasm import artifact
from chiasm.cohort import Unsupported
from chiasm.encoders.seen import SeenItems
from chiasm.encoders.weights import read_weights, weights_file
from chiasm.fitting.model import FittedModel
from chiasm.segmentation.grids import ImageGrids
from chiasm.segmentation.model import Outliner
from chiasm.segmentation.stunet import StuNet

HEAD, ENTRANCES = "head.", ("entrance.convs.", "entrance.shortcuts.")


@dataclass(frozen=True)
class Weights:
    """The state of an STU-Net, and what it is of.

    Args:
        state: name to tensor.
        contrasts, labels: names that it reads and draws; empty where a file does not say them.
        grids: contrast to how its images are read; empty where a file does not say it.
        seen: marks of the images that it was learned from; empty where nothing is known of them.
    """

    state: Mapping[str, Tensor]
    contrasts: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    seen: tuple[SeenItems, ...] = ()
    grids: Mapping[str, ImageGrids] = field(default_factory=dict)


def weights_of(place: str) -> Weights:
    """Read the weights of a stored model, or of a safetensors file of a state of `StuNet`.

    Raises:
        Unsupported: the folder holds another model, or there is no such file.
        ValueError: the file is damaged.
    """
    path = Path(place)
    if not path.is_dir():
        return Weights(read_weights(weights_file(place)))
    try:
        model = artifact.load(path)
    except artifact.ArtifactError as error:
        raise Unsupported(f"weights= names a folder that is no model: {error}") from None
    own = model.predictor if isinstance(model, FittedModel) else None
    if not isinstance(own, Outliner):
        raise Unsupported(f"weights= names a model that draws no label maps: '{path.name[:80]}'")
    state = {name: torch.from_numpy(np.asarray(values).copy()) for name, values in own.state.items()}
    return Weights(state, tuple(sorted(own.grids)), tuple(model.response.classes), own.seen, own.grids)


def put_into(network: StuNet, given: Weights, labels: Sequence[str]) -> list[str]:
    """Put weights into a fresh network; return what of it is not taken over.

    Of a contrast of the same name, and of a label of the same name, its own are taken; of a contrast that the weights
    do not know, the mean of those that they know of as many channels. Where the weights do not say their names, those
    of as many contrasts are taken in their order, and the head if it has as many labels. The rest must fit as it is.

    Args:
        labels: that the network draws.

    Raises:
        Unsupported: the weights are of a network of another size, or of images of another number of axes, or they are
            not finite.
    """
    if any(own.is_floating_point() and not own.isfinite().all() for own in given.state.values()):
        raise Unsupported("weights= hold values that are no finite numbers: name a network whose training went well")
    own, anew = network.state_dict(), list[str]()
    body = {name for name in own if not name.startswith((HEAD, *ENTRANCES))}
    theirs = {name for name in given.state if not name.startswith((HEAD, *ENTRANCES))}
    odd = sorted(body ^ theirs) or sorted(name for name in body if own[name].shape != given.state[name].shape)
    if odd:
        raise Unsupported(
            f"weights= are of another network, at '{odd[0][:80]}': name an STU-Net of the same size, and of images of "
            "as many axes"
        )
    filled = {name: given.state[name] for name in body}
    many = sum(name.startswith(ENTRANCES[0]) and name.endswith("bias") for name in given.state)
    known = given.contrasts or (tuple(network.names) if many == len(network.names) else ())
    for m, name in enumerate(network.names):
        for prefix in ENTRANCES:
            for end in (f"{m}.weight", f"{m}.bias"):
                found = of_contrast(
                    [given.state.get(f"{prefix}{k}.{end.partition('.')[2]}") for k in range(many)],
                    known.index(name) if name in known else None,
                    own[prefix + end].shape,
                )
                if found is None:
                    anew.append(f"contrast {name}")
                filled[prefix + end] = own[prefix + end] if found is None else found
    for end in ("weight", "bias"):
        before, fresh = given.state.get(HEAD + end), own[HEAD + end].clone()
        if before is None or before.shape[1:] != fresh.shape[1:]:
            anew.append("head")
        elif given.labels:
            for place, label in enumerate(("", *labels)):  # the first is of no label
                if label in ("", *given.labels):
                    fresh[place] = before[("", *given.labels).index(label)]
                else:
                    anew.append(f"label {label}")
        elif before.shape == fresh.shape:
            fresh = before
        else:
            anew.append("head")
        filled[HEAD + end] = fresh
    network.load_state_dict(filled)
    return list(dict.fromkeys(anew))


def of_contrast(each: Sequence[Tensor | None], place: int | None, shape: torch.Size) -> Tensor | None:
    """The weights of a contrast: its own, or the mean of those of as many channels; None where there are none.

    Args:
        each: the weights of the contrasts that are known.
        place: of the contrast among them; None: it is none of them.
        shape: that they must have.
    """
    alike = {k: own for k, own in enumerate(each) if own is not None and own.shape == shape}
    if place in alike:
        return alike[place]
    return torch.stack(list(alike.values())).mean(0) if alike else None
