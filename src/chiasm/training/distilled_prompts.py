"""What stands for an absent modality learns from the prompts of that modality, which others who have it have taught."""

from __future__ import annotations

from torch import Tensor

from chiasm.fusion.completed import STANDS_IN
from chiasm.protocols import Fused
from chiasm.training.alone import loss_of
from chiasm.training.examples import Batch
from chiasm.training.network import Network
from chiasm.training.objective import Objective


class DistilledPrompts(Objective):
    """The head's loss, and for each modality the loss of what stands for it, by its frozen prompts.

    The second is over the patients who lack the modality: the link that the prompts give to what the last layer made of
    the tokens that stand in (an extra "stand-in <modality>") is to predict the outcome. Outcome and event are read by
    these losses alone; the network never sees them.

    Source: DisPro, CVPR 2025, the distillation of its second stage.

    Args:
        weight: of the second.
    """

    def __init__(self, weight: float = 1.0) -> None:
        self.weight = weight

    def losses(self, network: Network, batch: Batch, link: Tensor, fused: Fused) -> dict[str, Tensor]:
        """Return the target's term, and one for each modality."""
        terms = super().losses(network, batch, link, fused)
        for m, name in enumerate(sorted(batch.tokens)):
            own = fused.extras[STANDS_IN + name]
            own = own if batch.offset is None else own + batch.offset
            terms[STANDS_IN + name] = self.weight * loss_of(network, own, batch.target, ~batch.present[:, m])
        return terms
