"""The choice between a network that begins fresh and those that begin with a source's weights, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from chiasm.cohort import Cohort, Unsupported
from chiasm.fitting.borrowed_choice import BORROWED
from chiasm.fitting.card import HELD_OUT, TRIED, WARM
from chiasm.fitting.neural import Design, NetworkPredictor, Prepared
from chiasm.fitting.source_model import SourceModel
from chiasm.fitting.source_network import networks_of
from chiasm.training import Network


@dataclass(frozen=True)
class Candidate:
    """A trained network that may be kept.

    Args:
        data: the training patients, as it reads them.
        loss: negative log likelihood of the held-out patients.
        copied: how many numbers of its start came from a source.
        source: the source; None of a fresh start.
    """

    network: Network
    data: Prepared
    design: Design
    loss: float
    copied: int = 0
    source: SourceModel | None = None


def better_start(fresh: Candidate, begun: Sequence[Candidate]) -> tuple[Candidate, dict[str, float]]:
    """Return the network that is kept, and notes of the choice.

    A source's is kept where the held-out patients gain `BORROWED` units of log likelihood by it, and the logarithm of
    the number of sources beyond that: the rule of `transfer`. A loss that is no number gains nothing, and stands in no
    note; any number gains on one. Where no source was tried the notes say how many patients were held out.
    """
    held_out = float(fresh.data.held_out.sum())
    if not begun:
        return fresh, {WARM: 0.0, TRIED: 0.0, HELD_OUT: held_out}
    best = min(begun, key=lambda own: own.loss if math.isfinite(own.loss) else math.inf)
    enough = BORROWED + math.log(len(begun))
    gains = math.isfinite(best.loss) and (not math.isfinite(fresh.loss) or fresh.loss - best.loss > enough)
    numbers = sum(value.numel() for value in best.network.state_dict().values())
    notes = {
        WARM: float(gains), TRIED: float(len(begun)), HELD_OUT: held_out, "nll_fresh": fresh.loss,
        "nll_warm": best.loss, "warm_enough": enough, "warm_copied": float(best.copied), "warm_numbers": float(numbers),
    }  # fmt: skip
    return best if gains else fresh, {name: own for name, own in notes.items() if math.isfinite(own)}


class Begins(Protocol):
    """Protocol of a recipe whose network may begin with a source's weights."""

    @property
    def id(self) -> str: ...
    @property
    def modality(self) -> str: ...
    @property
    def plain_name(self) -> str: ...
    def fits_source(self, network: NetworkPredictor) -> bool: ...


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
    fitting = [own for own in networks if recipe.fits_source(own.network)]
    if not fitting:
        own = networks[0].source
        raise Unsupported(
            f"the source model '{own.name}' is '{own.model.recipe}', a network of another recipe or of other sizes: "
            + how
        )
    if not any(own.shared for own in fitting):
        named = f"modality '{recipe.modality}'" if recipe.modality else "a modality of this cohort"
        raise Unsupported(
            f"no source network reads {named}, by its name and columns, and of an omics block by half of them: {how}"
        )
