"""Methods with texts and labels beside the items: CLIP, SigLIP, UniCL, FLAIR, DeViDe, BioCLIP, clinical labels.

All compare by `objectives.contrastive.contrast`; they differ in who belongs together. Texts are embeddings of a frozen
encoder, and what projects them is trained and dropped, as what projects the items is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from chiasm.encoders.raster.network import RasterNetwork
from chiasm.objectives.contrastive import contrast, contrast_of
from chiasm.objectives.label_texts import co_occurrence, max_similarity, same_labels
from chiasm.objectives.matching import same_content
from chiasm.pretraining.rasters.learner import Learner
from chiasm.pretraining.rasters.simclr import TwoViews
from chiasm.pretraining.rasters.teacher import in_full

WIDTH = 64  # of what is compared
TEMPERATURE, LEAST = 0.07, 0.01
SIGMOID_TEMPERATURE, SIGMOID_BIAS = 0.1, -10.0  # SigLIP's
Joined = Callable[[Tensor], Tensor]


class TextBeside(Learner):
    """Contrast of items with texts, of which those that repeat, or are of the same labels, are positive.

        L = 1/2 (H(T, softmax_j z) + H(T', softmax_i z)),  z_ij = <item_i, text_j> / t
        t learned; with `sigmoid` each pair is judged by itself, with a learned bias

    An item without a text has no part in it. One whose labels are not known belongs to its own text alone, and to equal
    ones.

    Args:
        network: the network that is kept.
        joined: who belongs together by labels `(B, L)`, as `same_labels`; None: labels are not read.
        sigmoid: judge each pair alone.
        patches: add the contrast of each text with the patch that is most similar to it, as in DeViDe.
    """

    def __init__(
        self, network: RasterNetwork, joined: Joined | None = None, sigmoid: bool = False, patches: bool = False
    ) -> None:
        super().__init__()
        self.network, self.joined, self.sigmoid, self.patches = network, joined, sigmoid, patches
        self.project = nn.Linear(network.config.width, WIDTH)
        self.text: nn.Module = nn.Identity()
        start = SIGMOID_TEMPERATURE if sigmoid else TEMPERATURE
        self.log_scale = nn.Parameter(torch.tensor(-math.log(start)))
        self.bias = nn.Parameter(torch.tensor(SIGMOID_BIAS)) if sigmoid else None

    def meet(self, widths: Mapping[str, int]) -> None:
        """Make the projection of texts, whose width is now known."""
        self.text = nn.Sequential(nn.LayerNorm(widths["text"]), nn.Linear(widths["text"], WIDTH))

    def forward(
        self, views: tuple[Tensor, ...], beside: Mapping[str, Tensor], generator: torch.Generator | None
    ) -> Tensor:
        """Compare the items of a step with their texts."""
        here = ~torch.isnan(beside["text"]).any(1)
        given = torch.nan_to_num(beside["text"])
        targets = same_content(given[:, None]).to(given) * (here[:, None] & here[None, :])
        if self.joined is not None:
            targets = torch.maximum(targets, self.joined(known_labels(beside["labels"])).to(targets))
        states = self.network(views[0]) if self.patches else None
        whole = self.network.summary(views[0]) if states is None else states[:, 1:].mean(1)
        words, items = self.text(given), self.project(whole)
        shown = None if states is None else self.project(states[:, 1:])  # (B, N, 64)
        scale = self.log_scale.exp().clamp_max(1 / LEAST)
        with in_full(items):
            told, own = (functional.normalize(vectors.float(), dim=1) for vectors in (words, items))
            loss = contrast(own, told, scale, here=here, targets=targets, sigmoid=self.sigmoid, bias=self.bias)
            if shown is None:
                return loss
            shown = functional.normalize(shown.float(), dim=2)
            every = torch.ones(shown.shape[:2], dtype=torch.bool, device=shown.device)
            likeness = max_similarity(shown, every, told[:, None], torch.ones_like(here)[:, None])
            rows = torch.nonzero(here)[:, 0]
            return loss + contrast_of(scale * likeness[rows][:, rows], targets[rows][:, rows])

    def compared(self, x: Tensor) -> Tensor:
        """Return the projections, of unit length."""
        return functional.normalize(self.project(self.network.summary(x)), dim=1)


def known_labels(labels: Tensor) -> Tensor:
    """Return labels `(B, L)` with none for items of which one is not known."""
    return labels.masked_fill(torch.isnan(labels).any(1, keepdim=True), 0.0)


def build(
    network: RasterNetwork,
    options: Any,
    generator: torch.Generator,
    *,
    joined: Joined | None = None,
    sigmoid: bool = False,
    patches: bool = False,
) -> TextBeside:
    """Make the learner; its weights are drawn from torch's global generator, which the caller seeds."""
    return TextBeside(network, joined, sigmoid, patches)


def build_clinical(network: RasterNetwork, options: Any, generator: torch.Generator) -> TwoViews:
    """Make the learner of labels alone: a supervised contrast, where all views of items with the same labels belong.

    An item whose labels are not known, or that has none, has its own other view alone, as in SimCLR.

    Source: Khosla et al., NeurIPS 2020, arXiv:2004.11362, L_out; that labels of the clinic, such as visual acuity in
    bins, are what joins images: Prabhushankar et al., OLIVES, NeurIPS 2022, arXiv:2209.11195.
    """
    return TwoViews(network, TEMPERATURE, lambda beside: same_labels(known_labels(beside["labels"])))


clip = build
siglip = partial(build, sigmoid=True)
unicl = partial(build, joined=same_labels)
flair = partial(build, joined=co_occurrence)
devide = partial(build, joined=co_occurrence, patches=True)
bioclip = partial(build, joined=same_labels)
