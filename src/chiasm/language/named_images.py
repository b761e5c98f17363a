"""A tiny causal model, from nothing, of images as codes and their names as words: it names images and draws them.

It knows nothing but the names of the labels and the images of the training patients. That the two directions stand in
one model is what it shows; what a large model would know of them it does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from chiasm.artifact import storable
from chiasm.language.early_fusion import NOTHING, drawn_images, padded
from chiasm.language.visual_words import QuantiserDesign, SharedVocabulary
from chiasm.protocols import Fused
from chiasm.readers.registry import missing
from chiasm.tokens import Tokens
from chiasm.training import Batch, Computed, Network, Objective
from chiasm.training.objective import mean_over_patients

BEGIN, END, FIRST = 0, 1, 2
"""Ids of a text's marks, and of the first word."""


@storable("named-images")
@dataclass(frozen=True)
class NamedImagesDesign:
    """Sizes of the model, and the names that it says.

    Args:
        names: of the K labels; words stand between spaces.
        quantiser: how images become codes.
        width, depth, heads: of the transformer.
    """

    names: tuple[str, ...]
    quantiser: QuantiserDesign
    width: int
    depth: int
    heads: int

    def __post_init__(self) -> None:
        if not self.names or not all(own.split() for own in self.names):
            raise ValueError("a model that names images has names, and none of them is empty")
        if not (1 <= self.heads <= 64 and 1 <= self.depth <= 64 and 1 <= self.width <= 4096):
            raise ValueError("width, depth and heads are 1 or more, and 4,096, 64 and 64 at most")
        if self.width % (2 * self.heads):
            raise ValueError(f"width={self.width} must be a multiple of twice the {self.heads} heads")

    @property
    def words(self) -> tuple[str, ...]:
        """Different words of the names, sorted."""
        return tuple(sorted({word for name in self.names for word in name.split()}))

    @property
    def shared(self) -> SharedVocabulary:
        """The vocabulary of words and codes."""
        return SharedVocabulary(FIRST + len(self.words), self.quantiser.codes, self.quantiser.side**2)

    @property
    def texts(self) -> tuple[tuple[int, ...], ...]:
        """Ids of each name."""
        place = {word: FIRST + k for k, word in enumerate(self.words)}
        return tuple(tuple(place[word] for word in name.split()) for name in self.names)

    def fusion(self, modality: str) -> NamedImages:
        """Create the model with random weights."""
        return NamedImages(self, modality)


class NamedImages(nn.Module):
    """Fusion whose embedding is `log p(name | image)` of each name, `(B, K)`, of patients who have an image.

    Args:
        modality: whose tokens `(B, places, 1)` are numbers of codes.
    """

    def __init__(self, design: NamedImagesDesign, modality: str) -> None:
        super().__init__()
        self.design, self.modality = design, modality
        transformers = _transformers()
        shared = design.shared
        self.network: Any = transformers.LlamaForCausalLM(
            transformers.LlamaConfig(
                vocab_size=shared.size, hidden_size=design.width, intermediate_size=2 * design.width,
                num_hidden_layers=design.depth, num_attention_heads=design.heads,
                num_key_value_heads=design.heads, bos_token_id=BEGIN, eos_token_id=END,
                max_position_embeddings=shared.places + 5 + max(map(len, design.texts)), attention_dropout=0.0,
            )
        )  # fmt: skip

    def images(self, tokens: dict[str, Tokens]) -> Tensor:
        """Ids `(B, places + 2)` of the images of a batch; who has none has codes 0."""
        return self.design.shared.of_images(tokens[self.modality].values[..., 0].long())

    def forward(self, tokens: dict[str, Tokens], present: Tensor) -> Fused:
        """Return the log-likelihood of every name after each image; zeros for who has none."""
        images = self.images(tokens)
        ends = padded([[*own, END] for own in self.design.texts]).to(images.device)  # (K, T)
        count, labels = len(images), len(ends)
        begun = torch.cat([torch.full_like(images[:, :1], BEGIN), images], 1)
        ids = torch.cat([begun.repeat_interleave(labels, 0), ends.repeat(count, 1)], 1)
        logits = self.network(input_ids=ids.clamp_min(0), use_cache=False).logits[:, begun.shape[1] - 1 : -1]
        after = ids[:, begun.shape[1] :]
        each = torch.log_softmax(logits.float(), -1).gather(2, after.clamp_min(0)[..., None])[..., 0]
        found = (each * (after != NOTHING)).sum(1).reshape(count, labels)
        return Fused(torch.where(present.any(1)[:, None], found, 0.0))

    def drawn(self, label: int, count: int, *, seed: int = 0) -> Tensor:
        """Draw the codes `(count, places)` of images that have a name."""
        before = [BEGIN, *self.design.texts[label]]
        return drawn_images(self.network, self.design.shared, before, count, seed=seed)


class BothOrders(Objective):
    """Objective of the next id, whatever it is, of `name, image` and of `image, name`."""

    def __call__(self, network: Network, batch: Batch) -> Computed:
        """Read each image with its patient's name in both orders."""
        fusion = cast(NamedImages, network.fusion)
        images = fusion.images(batch.tokens)
        texts = [fusion.design.texts[int(own)] for own in batch.target.value.tolist()]
        rows = list(_in_both_orders(texts, images.tolist()))
        ids = padded(rows).to(images.device)
        logits = fusion.network(input_ids=ids.clamp_min(0), use_cache=False).logits[:, :-1].float()
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), ignore_index=NOTHING)
        nothing = images.new_zeros(len(images), len(fusion.design.names), dtype=torch.float32)
        return Computed({"next id": loss}, nothing, Fused(nothing))

    def validation(self, network: Network, batches: Iterable[Batch]) -> float:
        """Mean loss of the held-out patients."""
        return mean_over_patients(batches, lambda batch: self(network, batch).losses)


def _in_both_orders(texts: Sequence[Sequence[int]], images: Sequence[Sequence[int]]) -> Iterable[list[int]]:
    for text, image in zip(texts, images, strict=True):
        yield [BEGIN, *text, *image, END]
        yield [BEGIN, *image, *text, END]


def _transformers() -> Any:
    """Import transformers on first use."""
    try:
        import transformers
    except ImportError:
        raise missing("transformers", "hub", "models of words and images") from None
    return transformers
