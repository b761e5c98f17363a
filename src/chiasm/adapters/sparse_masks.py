"""Which weights a sparse delta moves: those that training moves most (LT-SFT), or the smallest (SaRA)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from chiasm.adapters.attach import Attached, Where, attach
from chiasm.adapters.sparse_delta import SparseDelta, SparsePart, delta_of

Train = Callable[[Attached], object]


def every_place(model: nn.Module, where: Where) -> dict[str, np.ndarray]:
    """All places of the sites' own parameters."""
    return {
        f"{site}.{name}".lstrip("."): np.arange(parameter.numel())
        for site, module in model.named_modules()
        if where(site, module)
        for name, parameter in module._parameters.items()
        if parameter is not None
    }


def lottery_ticket(model: nn.Module, where: Where, train: Train, k: int, *, rounds: int = 1) -> SparseDelta:
    """The k weights that full training moves most, by one threshold over all sites; phi is zero there.

    A dense delta is trained, its k largest |phi| are kept as places and its values dropped: training them from the
    base again is yours. With `rounds`, k / rounds places are found at a time, those before them trained along.

    Args:
        train: trains what it is given, an `Attached` whose `model` to call; called once a round, and twice from the
            second round on.
        k: how many weights in all, exactly.

    Source: Ansell et al., ACL 2022, arXiv 2110.07560 (and its iterations).
    """
    every = every_place(model, where)
    total = sum(len(places) for places in every.values())
    if not 1 <= k <= total or not 1 <= rounds <= k:
        raise ValueError(f"k {k} must be between 1 and the sites' {total} weights, rounds {rounds} between 1 and k")
    chosen: dict[str, np.ndarray] = {name: np.zeros(len(places), dtype=bool) for name, places in every.items()}
    for number in range(1, rounds + 1):
        start = {}
        if number > 1:
            sparse = _trained(model, SparseDelta(_places(chosen)), train)
            start = {name: np.zeros(len(places), dtype=np.float32) for name, places in every.items()}
            for name, places in sparse.indices.items():
                start[name][places] = sparse.start[name]
        dense = _trained(model, SparseDelta(every, start), train)
        size = {name: np.zeros(len(places)) for name, places in every.items()}
        for name, places in dense.indices.items():
            size[name][places] = dense.start[name]
        for name, places in most_moved(size, _places(chosen), k * number // rounds).items():
            chosen[name][places] = True
    return SparseDelta(_places(chosen))


def most_moved(phi: Mapping[str, np.ndarray], chosen: Mapping[str, np.ndarray], k: int) -> dict[str, np.ndarray]:
    """The k places of largest |phi| by one threshold over all names, those in `chosen` before all others.

    Args:
        phi: name to the change of each of its weights.
        chosen: name to the places of earlier rounds, at most k in all; a name may be missing.
    """
    size = {name: np.abs(values).astype(np.float64) for name, values in phi.items()}
    for name, places in chosen.items():
        size[name][places] = np.inf
    return {name: places for name, places in largest_places(size, k).items() if len(places)}


def largest_places(size: dict[str, np.ndarray], k: int) -> dict[str, np.ndarray]:
    """The k largest of all, across names, ties to the first; exactly k."""
    flat = np.concatenate([values.ravel() for values in size.values()])
    kept = np.zeros(len(flat), dtype=bool)
    kept[np.argsort(-flat, kind="stable")[:k]] = True
    ends = np.cumsum([values.size for values in size.values()])
    pieces = np.split(kept, ends[:-1])
    return {name: np.flatnonzero(piece) for name, piece in zip(size, pieces, strict=True)}


def small_weights(model: nn.Module, where: Where, threshold: float) -> SparseDelta:
    """The weights with `|w| < threshold`, of the sites' own parameters; large ones keep their bits.

    Source: Hu et al., SaRA, arXiv 2409.06633.
    """
    indices = {}
    for name in every_place(model, where):
        places = (model.get_parameter(name).detach().abs().flatten() < threshold).nonzero().flatten()
        if len(places):
            indices[name] = places.cpu().numpy()
    if not indices:
        raise ValueError(f"no weight of the sites is below {threshold}")
    return SparseDelta(indices)


def narrow(attached: Attached, threshold: float) -> Attached:
    """Train on only where the changed weight is small still, and keep the rest of the delta as it is.

    A place trains on if it trained before and `|w + phi| < threshold`. The adapter given is removed and one with the
    same output comes back: make a new optimiser.

    Source: Hu et al., SaRA, arXiv 2409.06633 (progressive parameter adjustment).
    """
    delta = narrowed(attached, threshold)
    model = attached.remove()
    return attach(model, delta, delta.where)


def narrowed(attached: Attached, threshold: float) -> SparseDelta:
    """The delta that `narrow` attaches: places whose changed weight is large by now stay as they are."""
    return delta_of(attached, lambda name, weight, phi: (weight + phi).abs() >= threshold)


def nuclear_norm(attached: Attached, generator: torch.Generator | None = None) -> Tensor:
    """`|P * M|_*`: the sum of singular values of the changed weights at the delta's places, zero elsewhere.

    Over all weights that are matrices (a convolution's has a row for each output channel), or over one that
    `generator` draws, which is what a step of the paper's optimiser takes.

    Source: Hu et al., SaRA, arXiv 2409.06633 (nuclear-norm regularisation).
    """
    matrices = []
    for site, part in attached.parts.items():
        for name in part.changes:
            base = attached.model.get_submodule(site)._parameters[name]
            if isinstance(part, SparsePart) and base is not None and base.ndim > 1:
                places, phi = part.entries(name)
                held = base.detach().flatten()[places] + phi
                matrices.append(torch.zeros_like(base).flatten().index_add(0, places, held).view_as(base).flatten(1))
    if not matrices:
        return torch.zeros(())  # the smallest weights may all be biases
    if generator is not None:
        matrices = [matrices[int(torch.randint(len(matrices), (), generator=generator))]]
    return torch.stack([torch.linalg.matrix_norm(matrix, "nuc") for matrix in matrices]).sum()


def _trained(model: nn.Module, delta: SparseDelta, train: Train) -> SparseDelta:
    attached = attach(model, delta, delta.where)
    try:
        train(attached)
        return delta_of(attached)
    finally:
        attached.remove()


def _places(chosen: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: np.flatnonzero(flags) for name, flags in chosen.items() if flags.any()}
