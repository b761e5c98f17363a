"""One network for contrasts of which a patient has one or another: it is told in words which it sees."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from chiasm.heads.dynamic_convolutions import DynamicHead
from chiasm.segmentation.drawing import DrawnMaps
from chiasm.segmentation.unet import GatedTrunk

IMAGE = "image"


class Conditioned(nn.Module):
    """Labels by one U-Net over whichever contrast, and a `DynamicHead` that reads words of label and contrast.

        logits of label k = dynamic convolutions (words of k in m) of the features of x_m, those of no label 0
        p = mean over the contrasts m present of softmax(logits of m)

    With one contrast present it is that contrast's alone.

    Args:
        channels: contrast to its number of channels, one number for all.
        axes: of the images, 2 or 3.
        width, depth: as in `GatedTrunk`.
        words: `(M, K, E)`, contrasts sorted by name.
        learnt: the words are where a table begins that is learnt.
    """

    words: Tensor

    def __init__(
        self, channels: Mapping[str, int], axes: int, width: int, depth: int, words: Tensor, *, learnt: bool = False
    ) -> None:
        super().__init__()
        self.names = sorted(channels)
        if len(set(channels.values())) > 1 or len(words) != len(self.names):
            raise ValueError("one network reads contrasts of one number of channels, and is told words of each")
        self.trunk = GatedTrunk({IMAGE: channels[self.names[0]]}, axes, width, depth)
        self.head = DynamicHead(width, width * 2**depth, words.shape[2])
        if learnt:
            self.words = nn.Parameter(words.clone())
        else:
            self.register_buffer("words", words, persistent=False)  # the design holds them

    def forward(self, images: Mapping[str, Tensor], present: Tensor) -> Tensor:
        """Return the logarithms of probabilities, `(B, K + 1, ...)`, the first of no label.

        Args:
            images: contrast to `(B, C, ...)`; where it is absent whatever stands there is not read.
            present: `(B, M)` bool, contrasts sorted by name, at least one for each image.
        """
        if not bool(present.any(1).all()):
            raise ValueError("no contrast is present: there is nothing to draw in")
        rows, contrasts = present.nonzero(as_tuple=True)  # (V,): each contrast that is looked at, patient by patient
        seen = torch.stack(
            [images[self.names[m]][row] for row, m in zip(rows.tolist(), contrasts.tolist(), strict=True)]
        )
        here = torch.ones(len(seen), 1, dtype=torch.bool, device=seen.device)
        features, lowest = self.trunk.features({IMAGE: seen}, here)
        own = self.head(features, lowest, self.words[contrasts])
        single = functional.log_softmax(torch.cat([torch.zeros_like(own[:, :1]), own], 1), 1)
        if len(single) == len(present):
            return single
        every = single.new_full((*present.shape, *single.shape[1:]), -torch.inf)  # (B, M, K + 1, ...)
        every = every.index_put((rows, contrasts), single)
        many = present.sum(1).view(-1, *[1] * (single.ndim - 1))
        return every.logsumexp(1) - many.to(single).log()


class AlternatingMaps(DrawnMaps):
    """Objective whose windows go round the contrasts, each window showing one: as many of each in every step.

    The next window of a contrast is cut of the next patient of the batch who has it, so that contrasts come alike often
    also where few patients have one of them. There are `crops` windows a patient, and so many more that the contrasts
    come out even. The released code takes batches of one contrast in turn.
    """

    def turns(self, present: Tensor) -> list[tuple[int, Tensor]]:
        """Of each window whose it is and the one contrast that it shows, in the order of patients."""
        who = [present[:, m].nonzero()[:, 0].tolist() for m in range(present.shape[1])]
        shown = [m for m, rows in enumerate(who) if rows]
        each = -(-self.crops * len(present) // len(shown))
        alone = torch.eye(present.shape[1], dtype=torch.bool, device=present.device)
        found, after = list[tuple[int, int]](), 0
        for m in shown:  # each begins where the one before ended, so that no patient of the batch is passed over
            found += [(who[m][(after + place) % len(who[m])], m) for place in range(each)]
            after += each
        return [(row, alone[m]) for row, m in sorted(found)]
