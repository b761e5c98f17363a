"""Objective of UrFound: rebuild hidden tokens of what is seen, and tell hidden tokens of a text; no label is read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from chiasm.fusion.masked_trunk import reconstruction_loss
from chiasm.fusion.told_trunk import ToldTrunk
from chiasm.protocols import Fused
from chiasm.tokens import Tokens
from chiasm.training.examples import Batch
from chiasm.training.network import Network, in_evaluation
from chiasm.training.objective import Computed, Objective

Partner = Callable[[Tensor], Tensor]
"""From the means `(B, D)` of what each patient showed to those that his text is told from."""


class ToldText(Objective):
    """Sum of two squared errors over the variance of the tokens: of rebuilt tokens, and of told ones of the text.

    `L = L_rebuilt + L_text`, with equal weights as the paper's. What is visible is drawn at each step from torch's
    global generator, and for the validation always alike.

    Args:
        hidden: share of a patient's tokens of a modality that is hidden; one at least stays visible.
        hidden_text: share of the tokens of the text that is hidden, rounded, at least one.
        spread: variance of each modality's tokens in the training set, above zero.
    """

    def __init__(self, hidden: float, hidden_text: float, spread: Mapping[str, float]) -> None:
        self.hidden, self.hidden_text, self.spread = hidden, hidden_text, spread

    def __call__(self, network: Network, batch: Batch) -> Computed:
        """Draw, rebuild, tell and compare."""
        losses, first = self.terms(network, batch, None)
        return Computed(losses, network.head(first), Fused(first))

    def validation(self, network: Network, batches: Iterable[Batch]) -> float:
        """Return the held-out sum of the errors, the mean of the batches weighted by their patients."""
        generator, total, count = torch.Generator().manual_seed(0), 0.0, 0
        for batch in batches:
            losses = self.terms(network, batch, generator)[0]
            total += float(torch.stack(list(losses.values())).sum()) * len(batch)
            count += len(batch)
        return total / max(1, count)

    def terms(
        self, network: Network, batch: Batch, generator: torch.Generator | None, partner: Partner | None = None
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Return the terms, `rebuilt` and, where there is a text, `text`, and the trunk's class token `(B, D)`.

        Args:
            partner: exchanges the means among the patients; None: each text is told from his own.
        """
        fusion = network.fusion
        assert isinstance(fusion, ToldTrunk)
        own = {name: batch.tokens[name].where_present(batch.present[:, m]) for m, name in enumerate(fusion.names)}
        visible, asked = {}, {}
        for name in fusion.names:
            least = 0 if name == fusion.text else 1
            share = self.hidden_text if name == fusion.text else self.hidden
            visible[name], asked[name] = split_tokens(own[name].mask, share, least, generator)
        found, mean, first = fusion.rebuilt(own, visible, asked)
        seen = {name: asked[name] for name in found}
        losses = {"rebuilt": reconstruction_loss(own, found, seen, self.spread)}
        if fusion.writer is not None:
            text = fusion.text
            told = fusion.told(own[text], visible[text], asked[text], mean if partner is None else partner(mean))
            losses["text"] = reconstruction_loss(own, {text: told}, {text: asked[text]}, self.spread)
        return losses, first


def split_tokens(mask: Tensor, share: float, least: int, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
    """Draw which tokens are visible and which are hidden: two `(B, T)` bool, whose union is the mask.

    Args:
        mask: `(B, T)` bool, the real tokens.
        share: share that is hidden, rounded to tokens.
        least: number of visible tokens, where there are so many; with none, one token at least is hidden.
        generator: draws on the CPU; None: torch's global one.
    """
    drawn = torch.rand(mask.shape, generator=generator).to(mask.device).masked_fill(~mask, torch.inf)
    count = mask.sum(1, keepdim=True)
    hidden = (count * share).round().clamp_min(0 if least else 1)
    hidden = torch.minimum(hidden, (count - least).clamp_min(0))
    asked = mask & (drawn.argsort(1).argsort(1) < hidden)
    return mask & ~asked, asked


@dataclass(frozen=True)
class Transfer:
    """What the other modalities tell of a text.

    Args:
        paired: error of the told tokens over their variance; that of their mean is about one.
        shuffled: the same, with what each patient showed exchanged for what another did.
    """

    paired: float
    shuffled: float

    @property
    def share(self) -> float:
        """Share of the drop of the error below one, that of the mean, that is lost with the shuffle; zero without one.

        Above one where a wrong partner misleads more than none.
        """
        drop = 1.0 - self.paired
        return max(self.shuffled - self.paired, 0.0) / drop if drop > 0 else 0.0


def knowledge_transfer(network: Network, objective: ToldText, batch: Batch, draws: int = 8) -> Transfer | None:
    """Measure the error of the text of these patients, told from their own tokens and from those of another.

    Args:
        batch: patients, of whom those with the text and something else are compared.
        draws: number of draws of what is hidden; the n-th exchange is a shift by n among the compared.

    Returns:
        None where fewer than two can be compared, or nothing tells a text.
    """
    fusion = network.fusion
    assert isinstance(fusion, ToldTrunk)
    if fusion.writer is None:
        return None
    place = fusion.names.index(fusion.text)
    others = [m for m in range(len(fusion.names)) if m != place]
    rows = torch.nonzero(batch.present[:, place] & batch.present[:, others].any(1))[:, 0]
    if len(rows) < 2:
        return None
    own = Batch(
        {name: Tokens(part.values[rows], part.mask[rows]) for name, part in batch.tokens.items()},
        batch.present[rows],
        batch.target.take(rows.cpu().numpy()),
    )
    sums = [0.0, 0.0]
    with in_evaluation(network), torch.inference_mode():
        for draw in range(draws):
            shift = 1 + draw % (len(rows) - 1)
            for kind, partner in enumerate((None, partial(torch.roll, shifts=shift, dims=0))):
                generator = torch.Generator().manual_seed(draw)
                sums[kind] += float(objective.terms(network, own, generator, partner)[0]["text"])
    return Transfer(sums[0] / draws, sums[1] / draws)
