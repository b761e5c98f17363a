"""Selection of weights for a sparse delta: those that training moves most (LT-SFT), or the smallest (SaRA)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from chiasm.adapters.attach import Attached, Where, attach
from chiasm.adapters.sparse_delta import SparseDelta, SparsePart, delta_of

Train = Callable[[Attached], object]


def every_place(model: nn.Module, where: Where) -> dict[str, np.ndarray]:
    """Return all positions of the sites' own parameters."""
    return {
        f"{site}.{name}".lstrip("."): np.arange(parameter.numel())
        for site, module in model.named_modules()
        if where(site, module)
        for name, parameter in module._parameters.items()
        if parameter is not None
    }


def lottery_ticket(model: nn.Module, where: Where, train: Train, k: int, *, rounds: int = 1) -> SparseDelta:
    """Select the k weights that full training moves most, by one threshold over all sites; the result has phi zero.

    A dense delta is trained, the positions of its k largest |phi| are kept and its values dropped: train these again
    from the base. With `rounds`, k / rounds positions are added at a time, and earlier ones are trained along.

    Args:
        train: trains an `Attached`, whose `model` to call; called once in the first round and twice in later ones.
        k: exact number of weights to select.

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
    """Return the k positions of largest |phi| by one threshold over all names; those in `chosen` come first.

    Args:
        phi: name to the change of each of its weights.
        chosen: name to the positions of earlier rounds, at most k in all; a name may be missing.
    """
    size = {name: np.abs(values).astype(np.float64) for name, values in phi.items()}
    for name, places in chosen.items():
        size[name][places] = np.inf
    return {name: places for name, places in largest_places(size, k).items() if len(places)}


def largest_places(size: dict[str, np.ndarray], k: int) -> dict[str, np.ndarray]:
    """Return the positions of exactly the k largest values across names; ties go to the first."""
    flat = np.concatenate([values.ravel() for values in size.values()])
    kept = np.zeros(len(flat), dtype=bool)
    kept[np.argsort(-flat, kind="stable")[:k]] = True
    ends = np.cumsum([values.size for values in size.values()])
    pieces = np.split(kept, ends[:-1])
    return {name: np.flatnonzero(piece) for name, piece in zip(size, pieces, strict=True)}


def small_weights(model: nn.Module, where: Where, threshold: float) -> SparseDelta:
    """Select the weights with `|w| < threshold` among the sites' own parameters; the others stay bitwise unchanged.

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
    """Restrict training to positions whose changed weight is still small; the rest of the delta is frozen.

    A position remains trainable if it was before and `|w + phi| < threshold`. The given adapter is removed and one with
    the same output is returned: create a new optimiser.

    Source: Hu et al., SaRA, arXiv 2409.06633 (progressive parameter adjustment).
    """
    delta = narrowed(attached, threshold)
    model = attached.remove()
    return attach(model, delta, delta.where)


def narrowed(attached: Attached, threshold: float) -> SparseDelta:
    """Return the delta that `narrow` attaches: positions whose changed weight is no longer small are frozen."""
    return delta_of(attached, lambda name, weight, phi: (weight + phi).abs() >= threshold)


def nuclear_norm(attached: Attached, generator: torch.Generator | None = None) -> Tensor:
    """Compute `|P * M|_*`, the nuclear norm of the changed weights at the delta's positions, with zeros elsewhere.

    It is summed over all weight matrices (a convolution's has one row per output channel), or taken of one that
    `generator` draws, as in a step of the paper's optimiser.

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
