"""One causal model of words and images: trained on next ids in both orders, it writes a text of an image and draws one.

A pair is read as `text, image` and as `image, text`, each between the marks of a text's begin and end, and the loss is
that of the next id, whatever it is. Thus one model has `p(text | image)` and `p(image | text)`. In drawing, only codes
may stand within an image. Source: MedMax (arXiv 2412.12661).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from chiasm.compute.isolation import own_randomness
from chiasm.encoders.text.causal import reach_of
from chiasm.language.visual_words import SharedVocabulary

NOTHING = -100
"""What stands behind a sequence that is shorter than the others."""


def splice(network: Any, shared: SharedVocabulary, *, seed: int = 0) -> Any:
    """Give a causal model of transformers ids for the codes of images; the rows of its words stay byte for byte.

    New rows are drawn around the mean of the words' rows, as transformers does, by the seed alone.

    Raises:
        ValueError: the model has another number of words, or cannot read an image.
    """
    held = int(network.get_input_embeddings().num_embeddings)
    if held != shared.words:
        raise ValueError(
            f"the model has {held:,} words, and the shared vocabulary {shared.words:,}: they must be equal"
        )
    if reach_of(network) < shared.places + 4:
        raise ValueError(
            f"an image has {shared.places} codes and the model reads {reach_of(network):,}: halve images more often"
        )
    with own_randomness(seed, str(network.device)), torch.no_grad():
        network.resize_token_embeddings(shared.size, mean_resizing=False)
        places = {
            id(own): own for own in (network.get_input_embeddings().weight, network.get_output_embeddings().weight)
        }
        for own in places.values():
            rows = own[: shared.words]
            own[shared.words :] = rows.mean(0) + rows.std(0) * torch.randn_like(own[shared.words :]) * 0.5
    return network


def pairs_in_both_orders(texts: Sequence[Sequence[int]], images: Tensor, begin: int, end: int) -> list[list[int]]:
    """Ids of each pair as `text, image`, and then of each as `image, text`.

    Args:
        texts: ids of B texts, without marks.
        images: `(B, places + 2)`, see `SharedVocabulary.of_images`.
        begin, end: marks of a text's begin and end.
    """
    both = list(zip(texts, images.tolist(), strict=True))
    return [[begin, *text, *image, end] for text, image in both] + [[begin, *image, *text, end] for text, image in both]


def teach_pairs(
    network: Any, rows: Sequence[Sequence[int]], *, steps: int, batch: int = 32, rate: float = 3e-3, seed: int = 0
) -> list[float]:
    """Train what is trainable of a model on the next id of rows, and return the loss of each step.

    Raises:
        ValueError: no row, or one that is longer than the model can read.
    """
    if not rows:
        raise ValueError("there is no text with an image to learn from")
    if max(map(len, rows)) > reach_of(network):
        raise ValueError(
            f"a text with its image has {max(map(len, rows)):,} ids and the model can read {reach_of(network):,}: "
            "shorten texts, or halve images more often"
        )
    ids, losses = padded(rows), list[float]()
    with own_randomness(seed, str(network.device)):
        source = torch.Generator().manual_seed(seed)
        optimiser = torch.optim.AdamW([own for own in network.parameters() if own.requires_grad], lr=rate)
        network.train()
        for _ in range(steps):
            own = ids[torch.randint(0, len(ids), (batch,), generator=source)].to(network.device)
            read = network(input_ids=own.clamp_min(0), attention_mask=(own != NOTHING).long(), use_cache=False)
            loss = torch.nn.functional.cross_entropy(
                read.logits[:, :-1].flatten(0, 1).float(), own[:, 1:].flatten(), ignore_index=NOTHING
            )
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            losses.append(float(loss.detach()))
        network.eval()
    return losses


def padded(rows: Sequence[Sequence[int]]) -> Tensor:
    """Rows of ids as one tensor `(B, T)`, with `NOTHING` behind those that are shorter."""
    longest = max(map(len, rows))
    return torch.tensor([[*own, *[NOTHING] * (longest - len(own))] for own in rows])


def log_likelihood(network: Any, before: Sequence[Sequence[int]], after: Sequence[Sequence[int]]) -> Tensor:
    """`log p(after | before)` of B rows, `(B,)`: the sum over the ids of `after`."""
    ids = padded([[*a, *b] for a, b in zip(before, after, strict=True)]).to(network.device)
    with torch.no_grad():
        read = network(input_ids=ids.clamp_min(0), attention_mask=(ids != NOTHING).long(), use_cache=False)
        each = torch.log_softmax(read.logits[:, :-1].float(), -1).gather(2, ids[:, 1:, None].clamp_min(0))[..., 0]
    asked = ids[:, 1:] != NOTHING
    for row, own in enumerate(before):
        asked[row, : len(own) - 1] = False
    return (each * asked).sum(1).cpu()


def drawn_images(network: Any, shared: SharedVocabulary, before: Sequence[int], count: int, *, seed: int = 0) -> Tensor:
    """Draw the codes `(count, places)` of images behind ids: only codes may stand within an image."""
    said = torch.tensor([[*before, shared.begin]] * count, device=network.device)
    source = torch.Generator(device=network.device).manual_seed(seed)
    with torch.no_grad():
        for _ in range(shared.places):
            logits = network(input_ids=said, use_cache=False).logits[:, -1, shared.words : shared.begin].float()
            code = torch.multinomial(torch.softmax(logits, -1), 1, generator=source)
            said = torch.cat([said, code + shared.words], 1)
    return said[:, -shared.places :] - shared.words
