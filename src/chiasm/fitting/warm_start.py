"""The choice between a network that begins fresh and those that begin with a source's weights, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from chiasm.cohort import Cohort, Unsupported
from chiasm.fitting.card import WARM
from chiasm.fitting.neural import Design, Prepared
from chiasm.fitting.source_model import SourceModel
from chiasm.fitting.source_network import networks_of
from chiasm.training import Network


@dataclass(frozen=True)
class Candidate:
    """A trained network that may be kept.

    Args:
        data: the training patients, as it reads them.
        loss: its loss on the held-out patients.
        copied: how many numbers of its start came from a source.
    """

    network: Network
    data: Prepared
    design: Design
    loss: float
    copied: int = 0


def better_start(fresh: Candidate, begun: Sequence[Candidate]) -> tuple[Candidate, dict[str, float]]:
    """Return the network of the smallest held-out loss, and notes of the choice; the fresh one where none is smaller.

    A loss that is not a number is never the smallest; where nobody is held out, there is nothing to choose by.
    """
    if not begun:
        return fresh, {}
    best = min(begun, key=lambda own: math.inf if math.isnan(own.loss) else own.loss)
    better = best.loss < fresh.loss or (math.isnan(fresh.loss) and not math.isnan(best.loss))
    kept = best if better and bool(fresh.data.held_out.any()) else fresh
    numbers = sum(value.numel() for value in best.network.state_dict().values())
    notes = {
        WARM: float(kept is best), "loss_fresh": fresh.loss, "loss_warm": best.loss,
        "warm_copied": float(best.copied), "warm_numbers": float(numbers), "warm_sources": float(len(begun)),
    }  # fmt: skip
    return kept, notes


class Begins(Protocol):
    """Protocol of a recipe whose network may begin with a source's weights."""

    @property
    def id(self) -> str: ...
    @property
    def modality(self) -> str: ...
    @property
    def plain_name(self) -> str: ...
    def fits_source(self, design: Design) -> bool: ...


def require_starts(recipe: Begins, cohort: Cohort) -> None:
    """Check that a source is a network of the recipe and its sizes, and shares a modality that the recipe reads.

    Raises:
        Unsupported: there is none.
    """
    how = f"fit one by `chiasm fit other/cohort.toml --recipe {recipe.plain_name} --out model`, and name it by --source"
    if not any(isinstance(own, SourceModel) for own in cohort.lent_models):
        raise Unsupported(f"begins with the weights of a fitted network, and no source is a model folder: {how}")
    networks = networks_of(cohort)
    if not networks:
        raise Unsupported(f"no source model is a network with weights to begin with: {how}")
    fitting = [own for own in networks if recipe.fits_source(own.network.design)]
    if not fitting:
        own = networks[0].source
        raise Unsupported(
            f"the source model '{own.name}' is '{own.model.recipe}', a network of another recipe or of other sizes: "
            + how
        )
    if not any(own.shared for own in fitting):
        named = f"modality '{recipe.modality}'" if recipe.modality else "a modality of this cohort"
        raise Unsupported(f"no source network reads {named}, by its name and columns: {how}")
