"""A language model that reads an image and a question, and asks a promptable network for the masks that it names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from chiasm.adapters import attach, low_rank
from chiasm.adapters.sites import projections
from chiasm.encoders.text.transformer_trunks import KEPT
from chiasm.protocols import Fused
from chiasm.segmentation.drawing import NOT_THERE, Drawing, DrawnMaps, drawn_map
from chiasm.segmentation.grids import images_of
from chiasm.segmentation.promptable import PromptedSam
from chiasm.segmentation.seg_token import SegBridge, asked_losses, asked_masks
from chiasm.segmentation.windows import padded, sliding
from chiasm.tokens import Tokens
from chiasm.training import Batch, Computed, Network

SILENT = -20.0
"""Logit of a label that nobody asks for, and the least there is: where windows overlap, one that is silent and one that
is sure count alike."""
SEG, END = 0, 1
"""Of the words of an answer; the name of label k is `NAMES + k`."""
NAMES = 2


class AskedSam(nn.Module):
    """Masks of the labels that a language model names, each by the [SEG] that it says behind the name.

        read: soft tokens of the image, the pieces of the question; said: name [SEG] name [SEG] ... [END]
        h = states of the language model,  p = W_2 relu(W_1 h_[SEG]),  l_k = decode(e, p) of the [SEG] behind name k

    What is never named has no mask. Names, [SEG] and [END] are words of their own beside those of the language model,
    with embeddings and a last map that are learned.

    Args:
        network: the promptable network, which embeds the images and draws.
        speaker: a causal model of transformers without its last map; frozen but for what `rank` adds.
        soft: S, the image is shown as S x S tokens.
        rank: of the low-rank updates of its attention; 0: it stays as it is, -1: all of it is trained.
    """

    axes = 2

    def __init__(self, network: PromptedSam, speaker: Any, soft: int = 4, rank: int = 8) -> None:
        super().__init__()
        self.sam, self.soft = network, soft
        self.names, self.labels = network.names, network.labels
        network.words.requires_grad_(False)
        width, channels = int(speaker.config.hidden_size), int(network.sam.config.mask_decoder_config.hidden_size)
        size = float(speaker.get_input_embeddings().weight.detach().square().mean().sqrt())
        self.words = nn.Parameter(size * torch.randn(NAMES + self.labels, width))
        self.said = nn.Linear(width, NAMES + self.labels)
        self.bridge = SegBridge(width, channels, SEG)
        norm = nn.LayerNorm(width)
        nn.init.constant_(norm.weight, size)
        self.eyes = nn.Sequential(nn.Linear(channels, width), norm)
        speaker.requires_grad_(rank < 0)
        if rank > 0:
            sites = projections(speaker, rank)
            seed = int(torch.randint(2**31, ()))
            found = attach(
                speaker, low_rank(speaker, sites, rank, 2.0 * rank), lambda name, _: name in sites, seed=seed
            )
            speaker = found.model
            own = {name.replace(".", "/"): value for name, value in found.named_parameters()}
            self.updates = nn.ParameterDict(own)
        if rank < 0:
            self.speaker = speaker
        else:
            self.__dict__["speaker"] = speaker  # not registered: its files stay where they are

    @property
    def frozen_parameters(self) -> int:
        """Number of parameters that run but are not trained."""
        return sum(own.numel() for own in self.speaker.parameters() if not own.requires_grad)

    def forward(self, images: Mapping[str, Tensor], present: Tensor, questions: Sequence[Tensor] = ()) -> Tensor:
        """Return logits `(B, K + 1, ...)`, the first of no label, of what is named in answer to each question.

        Args:
            images, present: as in `PromptedSam`.
            questions: `(T,)` pieces of each; none: nobody asks anything.
        """
        shape = tuple(next(iter(images.values())).shape[2:])
        embedded = self.sam.embedded(images, present)
        asked = list(questions) or [torch.zeros(0, dtype=torch.int64)] * len(present)
        rows = []
        for row, question in enumerate(asked):  # alone: who else is in the batch changes nothing
            own = embedded[row : row + 1]
            answer, states = self.answered(own, question)
            logits = own.new_full((self.labels + 1, *shape), SILENT)
            logits[0] = 0.0
            drawn = asked_masks(self.sam, self.bridge, own, states[None], answer[None], shape).logits
            named = named_labels(answer.tolist())
            for place, label in named:
                logits[label + 1] = drawn[place].clamp(SILENT, -SILENT)
            rows.append(logits)
        return torch.stack(rows)

    def answered(self, embedded: Tensor, question: Tensor) -> tuple[Tensor, Tensor]:
        """Words `(A,)` said of an image `(1, C, h, w)` and a question, each the likeliest, and their states."""
        said = question.new_zeros(0)
        while len(said) < 2 * self.labels + 1:
            states = self.states(embedded, [question], [said])[0]
            following = self.said(states[-1]).argmax()
            if int(following) == END:
                break
            said = torch.cat([said, following[None]])
        states = self.states(embedded, [question], [said])[0]
        return said, states[len(states) - len(said) :]

    def states(self, embedded: Tensor, questions: Sequence[Tensor], answers: Sequence[Tensor]) -> list[Tensor]:
        """States `(S^2 + T + A, W)` of images `(B, C, h, w)`, the pieces of questions and the words of answers."""
        shown = self.eyes(functional.adaptive_avg_pool2d(embedded, self.soft).flatten(2).transpose(1, 2))
        table = self.speaker.get_input_embeddings()
        read = [
            torch.cat([own, table(question.to(own.device)), self.words[answer.to(own.device)]])
            for own, question, answer in zip(shown, questions, answers, strict=True)
        ]
        long = torch.tensor([len(own) for own in read], device=shown.device)
        padded = pad_sequence(read, batch_first=True)  # behind: a causal model never looks there
        mask = (torch.arange(padded.shape[1], device=shown.device) < long[:, None]).long()
        states = self.speaker(inputs_embeds=padded, attention_mask=mask, use_cache=False).last_hidden_state
        return [own[: int(n)] for own, n in zip(states, long, strict=True)]

    def losses(
        self, images: Mapping[str, Tensor], present: Tensor, questions: Sequence[Tensor], codes: Tensor
    ) -> dict[str, Tensor]:
        """The losses of answers and of the masks that they ask for, against codes `(B, ...)`: of the labels there.

        Args:
            codes: 0, or 1 + the place of a label; `NOT_THERE` beyond the image.
        """
        embedded = self.sam.embedded(images, present)
        labels = [[k for k in range(self.labels) if bool((own == k + 1).any())] for own in codes]
        answers = [answer_of(own).to(codes.device) for own in labels]
        states = self.states(embedded, questions, answers)
        said = [own[len(own) - len(answer) - 1 :] for own, answer in zip(states, answers, strict=True)]
        words = torch.cat([functional.pad(answer, (0, 1), value=END) for answer in answers])
        text = functional.cross_entropy(self.said(torch.cat(said)), words)
        padded = pad_sequence([own[1:] for own in said], batch_first=True)
        ids = pad_sequence(answers, batch_first=True, padding_value=END)
        asked = asked_masks(self.sam, self.bridge, embedded, padded, ids, tuple(codes.shape[1:]))
        truth = [own == k + 1 for own, each in zip(codes, labels, strict=True) for k in each]
        known = torch.stack(truth) if truth else codes.new_zeros((0, *codes.shape[1:]), dtype=torch.bool)
        return {"text": text, **asked_losses(asked, known, codes[asked.owner] != NOT_THERE)}

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> Any:
        if "speaker" in self.__dict__:
            self.__dict__["speaker"]._apply(fn)
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call]


def answer_of(labels: Sequence[int]) -> Tensor:
    """The words `(A,)` of an answer that asks for masks of these labels: each name, and [SEG] behind it."""
    return torch.tensor([word for label in labels for word in (NAMES + label, SEG)], dtype=torch.int64)


def named_labels(answer: Sequence[int]) -> list[tuple[int, int]]:
    """Of each [SEG] with a name before it its number, from 0, and the label; a name that comes again is not heard."""
    found: dict[int, int] = {}
    number = 0
    for before, word in zip([END, *answer], answer, strict=False):
        if word == SEG:
            if before >= NAMES:
                found.setdefault(before - NAMES, number)
            number += 1
    return [(place, label) for label, place in found.items()]


class AskedDrawing(Drawing):
    """Fusion of contrasts and a text whose network draws what the text asks for.

    Args:
        text: modality of the text, whose tokens are windows of pieces; empty: nobody asks.
        longest: pieces of a question that are read, the first.
    """

    def __init__(self, *given: Any, text: str, longest: int, **options: Any) -> None:
        super().__init__(*given, **options)
        self.text, self.longest = text, longest

    def reader(self, tokens: Mapping[str, Tokens], row: int) -> Callable[[Mapping[str, Tensor], Tensor], Tensor]:
        """The network with the question of a patient of a batch."""
        question = [self.question(tokens, row)]
        return lambda images, present: self.network(images, present, question)

    def question(self, tokens: Mapping[str, Tokens], row: int) -> Tensor:
        """The pieces `(T,)` of the question of a patient; of who has none, no piece."""
        own = tokens.get(self.text)
        if own is None:
            return torch.zeros(0, dtype=torch.int64)
        return pieces_of(own.values[row][own.mask[row]])[: self.longest]


def pieces_of(windows: Tensor) -> Tensor:
    """The pieces `(T,)` of a text in windows `(N, 2 + P)`, each with the range that it keeps before its pieces."""
    if not len(windows):
        return torch.zeros(0, dtype=torch.int64, device=windows.device)
    return torch.cat([own[KEPT + int(own[0]) : KEPT + int(own[1])] for own in windows]).long()


class AskedMaps(DrawnMaps):
    """Objective of an `AskedSam`: the words of each answer, and the masks of its [SEG]."""

    def __call__(self, network: Network, batch: Batch) -> Computed:
        """Cut windows out of a batch's images, answer each patient's question, and compare with what was drawn."""
        drawing = cast(AskedDrawing, network.fusion)
        images, codes, present = self.cut(drawing, batch)
        questions = [drawing.question(batch.tokens, row) for row, _ in self.turns(batch.present)]
        losses = cast(AskedSam, drawing.network).losses(images, present, questions, codes)
        nothing = batch.target.value.new_zeros(len(batch), drawing.labels)
        return Computed(losses, nothing, Fused(nothing))

    def validation(self, network: Network, batches: Iterable[Batch]) -> float:
        """Mean loss of the held-out patients, each over windows of his images side by side."""
        drawing, found = cast(AskedDrawing, network.fusion), list[float]()
        for batch in batches:
            for row in range(len(batch)):
                images, _ = images_of(batch.tokens, batch.present, drawing.grids, row)
                drawn, question = drawn_map(batch.target.event[row], images), drawing.question(batch.tokens, row)
                own = []
                for part in sliding(drawn.shape, drawing.window, 0.0):
                    cut = {
                        name: padded(image[(slice(None), *part)], drawing.window, 0.0)[None]
                        for name, image in images.items()
                    }
                    codes = padded(drawn[part][None], drawing.window, NOT_THERE)
                    asked = cast(AskedSam, drawing.network).losses(cut, batch.present[[row]], [question], codes)
                    own.append(float(torch.stack(list(asked.values())).sum()))
                found.append(float(np.mean(own)))
        return float(np.mean(found)) if found else 0.0
