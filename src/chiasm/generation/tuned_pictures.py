"""A model of pictures tuned to other pictures by few of its weights: in blocks that are named, or the smallest ones."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from chiasm.adapters import attach, narrow, nuclear_norm, small_weights
from chiasm.adapters.sites import linear_maps
from chiasm.compute.isolation import seeded
from chiasm.errors import nearest
from chiasm.generation.picture_diffusion import FittedPictures, PictureDiffusion
from chiasm.generation.picture_generator import Told, kept_state, partly, require_options, require_pictures, trained


@dataclass(frozen=True)
class Tuning:
    """How a model of pictures is tuned.

    Args:
        steps: of training. batch: pictures in each. learning_rate: of Adam.
    """

    steps: int = 300
    batch: int = 16
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        require_options(self.learning_rate, steps=self.steps, batch=self.batch)


def sites_of(fitted: FittedPictures) -> tuple[str, ...]:
    """Parts of the U-Net that may be tuned apart from each other, in the order in which a picture goes through them."""
    levels = range(fitted.design.levels)
    return ("first", *(f"down.{k}" for k in levels), "middle", *(f"up.{k}" for k in reversed(levels)), "last")


def tuned(
    fitted: FittedPictures, pictures: Tensor, condition: Tensor | None, how: Tuning, sites: tuple[str, ...], seed: int,
    told: Told | None = None,
) -> FittedPictures:  # fmt: skip
    """Tune some parts of a model to pictures `(n, C, ...)`; every other weight stays as it is, bit for bit.

    Args:
        condition: `(n, F)` as the model was told of, or None.
        sites: of `sites_of`; none leaves the model as it is.

    Raises:
        ValueError: no such part; pictures or numbers of another size than the model's.
    """
    _require_fits(fitted, pictures, condition)
    known = sites_of(fitted)
    for site in sites:
        if site not in known:
            hint = f"did you mean '{like}'?" if (like := nearest(site, known)) else f"there are {', '.join(known)}"
            raise ValueError(f"no part of the model is called '{site}': {hint}")
    if not sites:
        return fitted
    network = fitted.network().train().requires_grad_(False)
    learning = [own for site in sites for own in network.get_submodule(site).requires_grad_(True).parameters()]
    _taught(fitted, network, pictures, condition, how, learning, seed, told)
    return replace(fitted, state=kept_state(network.requires_grad_(False)))


def tuned_small(
    fitted: FittedPictures, pictures: Tensor, condition: Tensor | None, how: Tuning, seed: int, *, share: float = 0.1,
    stages: int = 2, nuclear: float = 1e-4, told: Told | None = None,
) -> FittedPictures:  # fmt: skip
    """Tune the smallest weights of linear maps and convolutions alone; all others stay as they are, bit for bit.

    A stage trains those with `|w| < t` that are still so small, with `nuclear` times the nuclear norm of the changed
    weights of one matrix that is drawn in each step.

    Source: SaRA (arXiv 2409.06633). Deviation: t is set by their share, where the paper has 2e-3.

    Args:
        share: of these weights that lie below t, above 0 and at most 1.
        stages: each of `how.steps` steps.

    Raises:
        ValueError: an option out of range; pictures or numbers of another size than the model's.
    """
    _require_fits(fitted, pictures, condition)
    if not 0 < share <= 1 or stages < 1 or nuclear < 0:
        raise ValueError("share lies above 0 and at most at 1, stages is 1 or more, nuclear 0 or more")
    network = fitted.network().train()
    sites = linear_maps(network)
    limit = threshold_of(network, sites, share)
    delta = small_weights(network, lambda name, _: name in sites, limit)
    attached = attach(network, delta, delta.where)
    for stage in range(stages):
        if stage:
            attached = narrow(attached, limit)
        learning = [own for own in attached.parameters() if own.numel()]
        if not learning:
            break
        now = attached
        _taught(
            fitted, network, pictures, condition, how, learning, seeded(seed, f"stage-{stage}"),
            partly(told, stage * how.steps, stages * how.steps),
            lambda generator, now=now: nuclear * nuclear_norm(now, generator) if nuclear else torch.zeros(()),
        )  # fmt: skip
    return replace(fitted, state=kept_state(attached.merge()))


def threshold_of(network: nn.Module, sites: tuple[str, ...], share: float) -> float:
    """The absolute value below which a share of the weights of sites lies."""
    own = [parameter for site in sites for parameter in network.get_submodule(site)._parameters.values()]
    sizes = torch.cat([parameter.detach().abs().flatten() for parameter in own if parameter is not None])
    largest = sizes.kthvalue(max(1, int(share * len(sizes)))).values
    return float(torch.nextafter(largest, torch.full_like(largest, torch.inf)))


def changed_weights(before: FittedPictures, after: FittedPictures) -> int:
    """How many weights of two models differ."""
    return sum(int((own != after.state[name]).sum()) for name, own in before.state.items())


def _taught(
    fitted: FittedPictures, network: nn.Module, pictures: Tensor, condition: Tensor | None, how: Tuning,
    learning: list[nn.Parameter], seed: int, told: Told | None, more: object = None,
) -> None:  # fmt: skip
    own = PictureDiffusion(fitted.process)

    def loss(chosen: Tensor, generator: torch.Generator) -> Tensor:
        known = None if condition is None else condition[chosen]
        found = own.loss(network, pictures[chosen], known, generator)
        return found + more(generator) if callable(more) else found

    trained(
        network, loss, len(pictures), steps=how.steps, batch=how.batch, rate=how.learning_rate,
        seed=seeded(seed, "tuning-steps"), told=told, averaged=False, only=learning,
    )  # fmt: skip


def _require_fits(fitted: FittedPictures, pictures: Tensor, condition: Tensor | None) -> None:
    require_pictures(pictures)
    shape = (fitted.design.channels, *fitted.size)
    if tuple(pictures.shape[1:]) != shape:
        raise ValueError(
            f"the model draws pictures of {' x '.join(map(str, shape))}, and these are "
            f"{' x '.join(map(str, pictures.shape[1:]))}: bring them to its size"
        )
    if condition is not None and condition.shape != (len(pictures), fitted.design.condition):
        raise ValueError(
            f"the model is told {fitted.design.condition} numbers of each of {len(pictures)} patients, and these are "
            f"{' x '.join(map(str, condition.shape))}"
        )
