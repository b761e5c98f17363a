"""Objective of UrFound: rebuild hidden tokens of what is seen, and tell hidden tokens of a text; no label is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from chiasm.fusion.masked_trunk import reconstruction_loss
from chiasm.fusion.told_trunk import ToldTrunk
from chiasm.protocols import Fused
from chiasm.tokens import Tokens
from chiasm.training.examples import Batch
from chiasm.training.network import Network, in_evaluation
from chiasm.training.objective import Computed, Objective, mean_over_patients

TOLD = 0.05
"""Least drop of the error below that of the mean, one, of which a share is said to be owed to the other modalities."""


class ToldText(Objective):
    """Sum of two squared errors over the variance of the tokens: of rebuilt tokens, and of told ones of the text.

    `L = L_rebuilt + L_text`, with equal weights as the paper's. What is visible is drawn at each step from torch's
    global generator, and for the validation always alike.

    Args:
        hidden: share of a patient's tokens of a modality that is hidden; one at least stays visible.
        hidden_text: share of the tokens of the text that is hidden, rounded, at least one.
        spread: variance of each modality's tokens in the training set, above zero.
        options: whatever else the training depends on, as the text's name: a checkpoint goes on with the same alone.
    """

    def __init__(self, hidden: float, hidden_text: float, spread: Mapping[str, float], options: str = "") -> None:
        self.hidden, self.hidden_text, self.spread, self.options = hidden, hidden_text, spread, options

    def __call__(self, network: Network, batch: Batch) -> Computed:
        """Draw, rebuild, tell and compare."""
        losses, first = self.terms(network, batch, None)
        return Computed(losses, network.head(first), Fused(first))

    def validation(self, network: Network, batches: Iterable[Batch]) -> float:
        """Return the held-out sum of the errors, the mean of the batches weighted by their patients."""
        generator = torch.Generator().manual_seed(0)
        return mean_over_patients(batches, lambda batch: self.terms(network, batch, generator)[0])

    def terms(
        self, network: Network, batch: Batch, generator: torch.Generator | None
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Return the terms and the trunk's class token `(B, D)`.

        There is `rebuilt` where there is a decoder, and `text` where there is a writer.
        """
        fusion = network.fusion
        assert isinstance(fusion, ToldTrunk)
        own, visible, asked = self._drawn(fusion, batch, generator)
        found, mean, first = fusion.rebuilt(own, visible, asked)
        losses = {}
        if found:
            losses["rebuilt"] = reconstruction_loss(own, found, {name: asked[name] for name in found}, self.spread)
        if fusion.writer is not None:
            text = fusion.text
            told = fusion.told(own[text], visible[text], asked[text], mean)
            losses["text"] = reconstruction_loss(own, {text: told}, {text: asked[text]}, self.spread)
        return losses, first

    def text_errors(
        self, network: Network, batch: Batch, generator: torch.Generator, partner: Tensor | None = None
    ) -> Tensor:
        """Return the error of each patient's hidden tokens of the text, over their variance, `(B,)`.

        Args:
            partner: `(B,)` int, whose visible latents each patient's text is told from; None: his own.
        """
        fusion = network.fusion
        assert isinstance(fusion, ToldTrunk)
        own, visible, asked = self._drawn(fusion, batch, generator)
        mean, text = fusion.rebuilt(own, visible, asked)[1], fusion.text
        told = fusion.told(own[text], visible[text], asked[text], mean if partner is None else mean[partner])
        errors = (told - own[text].values).square().mean(-1)
        hidden = asked[text]
        return torch.where(hidden, errors, 0.0).sum(1) / hidden.sum(1).clamp_min(1) / self.spread[text]

    def _drawn(
        self, fusion: ToldTrunk, batch: Batch, generator: torch.Generator | None
    ) -> tuple[dict[str, Tokens], dict[str, Tensor], dict[str, Tensor]]:
        """Return the tokens of a batch, and which of them are visible and which hidden."""
        own = {name: batch.tokens[name].where_present(batch.present[:, m]) for m, name in enumerate(fusion.names)}
        visible, asked = {}, {}
        for name in fusion.names:
            least = 0 if name == fusion.text else 1
            share = self.hidden_text if name == fusion.text else self.hidden
            visible[name], asked[name] = split_tokens(own[name].mask, share, least, generator)
        return own, visible, asked


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
        paired: `(n,)`, error of each patient's told tokens over their variance; that of their mean is about one.
        shuffled: the same, with what each patient showed exchanged for what a patient of another group did.
    """

    paired: NDArray[np.float64]
    shuffled: NDArray[np.float64]

    @property
    def difference(self) -> float:
        """By how much the error grows with the exchange, the mean over the patients."""
        return float((self.shuffled - self.paired).mean())

    @property
    def uncertainty(self) -> float:
        """Standard error of the difference, over the patients."""
        return _standard_error(self.shuffled - self.paired)

    @property
    def share(self) -> float | None:
        """Share of the drop of the error below one, that of the mean, that is lost with the exchange.

        None where what is told is not clearly above nothing: the drop is below 0.05, or below twice its standard error
        over the patients. Above one where a wrong partner misleads more than none.
        """
        drop = 1.0 - float(self.paired.mean())
        return max(self.difference, 0.0) / drop if drop > max(TOLD, 2 * _standard_error(self.paired)) else None


def knowledge_transfer(
    network: Network, objective: ToldText, batch: Batch, groups: NDArray[np.int_], *, seed: int, draws: int = 8
) -> Transfer | None:
    """Measure the error of the text of these patients, told from their own tokens and from those of another.

    Args:
        batch: patients who have the text and something else.
        groups: `(B,)`, the group of each, as a person of whom there are two eyes; a partner is of another one.
        seed: seed of what is hidden and of the partners.
        draws: number of draws of both.

    Returns:
        None where all are of one group, or nothing tells a text.
    """
    fusion = network.fusion
    assert isinstance(fusion, ToldTrunk)
    strange = torch.from_numpy(groups[:, None] != groups[None, :]).double()
    if fusion.writer is None or not len(groups) or not bool(strange.any()):
        return None
    sums = torch.zeros(2, len(groups), dtype=torch.float64)
    with in_evaluation(network), torch.inference_mode():
        for draw in range(draws):
            partners = torch.multinomial(strange, 1, generator=torch.Generator().manual_seed(seed + draw))[:, 0]
            for kind, partner in enumerate((None, partners)):
                generator = torch.Generator().manual_seed(seed + draw)
                sums[kind] += objective.text_errors(network, batch, generator, partner).double().cpu()
    paired, shuffled = (sums / draws).numpy()
    return Transfer(paired, shuffled)


def _standard_error(values: NDArray[np.float64]) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values)))
