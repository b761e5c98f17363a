"""Pictures that a model has kept by heart: whose they are, and which of its parts to tune so that there are fewer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.distance import cdist  # type: ignore[import-untyped]
from torch import Tensor

from chiasm.adapters import search_sites
from chiasm.adapters.site_search import Choice
from chiasm.generation.picture_diffusion import FittedPictures
from chiasm.generation.picture_likeness import Encoder, kernel_distance, pixels, untrained
from chiasm.generation.picture_privacy import RARELY, ratios
from chiasm.generation.tuned_pictures import Tuning, sites_of, tuned

DRAWN = 200


@dataclass(frozen=True)
class Memorised:
    """What of drawn pictures a training picture stands behind.

    Args:
        hits: `(n,)` bool, of drawn pictures. whose: `(n,)` the nearest of the training pictures.
    """

    hits: NDArray[np.bool_]
    whose: NDArray[np.int_]

    @property
    def share(self) -> float:
        """Of the drawn pictures."""
        return float(self.hits.mean())

    def of(self, some: NDArray[np.bool_]) -> float:
        """Share of the drawn pictures that some of the training pictures stand behind, for each of these."""
        return float((self.hits & some[self.whose]).mean() / max(1, int(some.sum())))


def memorised(drawn: Tensor, train: Tensor, held: Tensor, encoder: Encoder = pixels) -> Memorised:
    """Tell which drawn pictures are memorised: one training picture is much nearer than the 20 that follow.

    How much is the ratio that one in a hundred real pictures has to others (after Carlini et al. 2023, arXiv
    2301.13188). A picture that was repeated in training stands among the training pictures once, or its doubles would
    be those that follow.

    Args:
        drawn, train, held: pictures `(n, C, ...)` in -1 to 1; no training picture is there twice.

    Raises:
        ValueError: a training picture is there twice.
    """
    made, inside, outside = (encoder(own) for own in (drawn, train, held))
    among = cdist(inside, inside) + np.diag(np.full(len(inside), np.inf))
    if among.size and among.min() == 0:
        raise ValueError("a training picture is there twice: give each once, and repeat it where it is learnt from")
    least = np.quantile(np.concatenate([ratios(outside, inside), ratios(inside, inside, others=True)]), RARELY)
    return Memorised(ratios(made, inside) < least, cdist(made, inside).argmin(1))


def repeated(pictures: Tensor, times: NDArray[np.int_]) -> Tensor:
    """Pictures of which each is there as often as `times` `(n,)` says."""
    return pictures.repeat_interleave(torch.as_tensor(times), 0)


def memory_controlled(
    fitted: FittedPictures, pictures: Tensor, train: Tensor, held: Tensor, how: Tuning, *, trials: int,
    rates: tuple[float, float], seed: int = 0, drawn: int = DRAWN, told: Callable[[Choice], object] | None = None,
) -> list[Choice]:  # fmt: skip
    """Search which parts of a model are tuned, and how fast, for few memorised pictures and near ones; the front.

    The costs of a choice are the share of drawn pictures that are memorised, and the kernel distance of drawn pictures
    to those held out, which the tuning does not see.

    Source: MemControl (arXiv 2405.19458). Deviations: whole blocks of the network in place of sites of an adapter;
    memorised by nearest pictures, where theirs is how far a text moves what is predicted.

    Args:
        pictures: what is learnt from, in which some may be repeated. train: each of them once.
        trials, rates: see `search_sites`.
    """

    def costs(sites: tuple[str, ...], rate: float) -> tuple[float, float]:
        own = tuned(fitted, pictures, None, Tuning(how.steps, how.batch, rate), sites, seed)
        made = own.sample(drawn, seed)
        found = memorised(made, train, held).share, kernel_distance(untrained(made), untrained(held))
        if told is not None:
            told(Choice(sites, rate, found))
        return found

    return search_sites(sites_of(fitted), costs, goals=2, trials=trials, rates=rates, seed=seed)
