"""Frozen language model as the network of a text: a template around the text, read at one position."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from chiasm.adapters.verbalizer import Reader, Verbalizer, score_at
from chiasm.artifact import storable
from chiasm.cohort import Unsupported
from chiasm.encoders.adaptable import Trunk
from chiasm.encoders.text.huggingface import special_pieces
from chiasm.encoders.text.transformer_trunks import KEPT


@storable("template")
@dataclass(frozen=True)
class Template:
    """Tokenised template: the word pieces around a text, and the position at which the model is read.

    Args:
        before, after: ids before and after the text, with the model's special pieces and a masked model's mask.
        place: position that is read, counted from 0, or from the end with -1 for the last piece.
        special: number of special pieces to strip from each end of a window, as `before` and `after` hold them already.
    """

    before: tuple[int, ...]
    after: tuple[int, ...]
    place: int
    special: tuple[int, int]

    @classmethod
    def of(cls, text: str, read: Any, causal: bool) -> Template:
        """Tokenise a template text that contains `{text}` and `{mask}` once each.

        A causal model is read at the piece before `{mask}`, which comes last and is not among the pieces.

        Raises:
            ValueError: either is missing or repeated, or words follow a causal model's mask.
            Unsupported: the tokenizer has no mask, or does not know a word.
        """
        if text.count("{text}") != 1 or text.count("{mask}") != 1:
            raise ValueError("a template holds {text} and {mask} once each")
        head, _, tail = text.partition("{mask}")
        if causal and (tail.strip() or "{text}" in tail):
            raise ValueError("a causal model guesses the next word: {mask} stands last in its template")
        if not causal and read.mask_token_id is None:
            raise Unsupported("the model's tokenizer has no mask: it is not that of a masked language model")
        chunks = [part for half in (head.rstrip(), tail) for part in half.split("{text}")]
        ids = [pieces(chunk, read) if chunk.strip() else [] for chunk in chunks]
        mask = [] if causal else [int(read.mask_token_id)]
        first, last = special_pieces(read)
        end = [] if causal else last
        if "{text}" in head:
            return cls(
                (*first, *ids[0]),
                (*ids[1], *mask, *ids[2], *end),
                -len([*mask, *ids[2], *end]) or -1,
                _two(first, last),
            )
        before = (*first, *ids[0], *mask, *ids[1])
        return cls(before, (*ids[2], *end), len(first) + len(ids[0]), _two(first, last))

    def __len__(self) -> int:
        return len(self.before) + len(self.after)


class LanguageTrunk(Trunk):
    """Trunk that puts each window of a text into the template and applies the reader at its read position.

    Args:
        network: transformers model with its language-modelling head.
        template: template around every window.
        reader: a `Verbalizer`, or `StateAtMask`.
    """

    def __init__(self, network: Any, template: Template, reader: Reader) -> None:
        super().__init__(network)
        self.template, self.reader = template, reader

    def run(self, inputs: Tensor) -> tuple[Tensor, Tensor | None]:
        """Map encoder inputs `(N, 2 + P)`, padded by -1, to scores `(N, 1, K)` or states `(N, 1, D)`."""
        ids, (first, last) = inputs[:, KEPT:].long(), self.template.special
        before, after = ids.new_tensor(self.template.before), ids.new_tensor(self.template.after)
        lengths = (ids >= 0).sum(1).tolist()
        rows = [
            torch.cat([before, own[first : length - last], after]) for own, length in zip(ids, lengths, strict=True)
        ]
        given = pad_sequence(rows, batch_first=True)  # padding is never attended to
        ends = torch.tensor([len(row) for row in rows], device=ids.device)
        attention = (torch.arange(given.shape[1], device=ids.device) < ends[:, None]).long()
        place = self.template.place
        places = ends + place if place < 0 else torch.full_like(ends, place)
        return score_at(self.network, self.reader, given, attention, places)[:, None], None


class StateAtMask:
    """Reader that returns the hidden state itself, for a soft verbalizer that is trained outside."""

    hidden = True

    def __call__(self, logits: Tensor, hidden: Tensor | None) -> Tensor:
        if hidden is None:
            raise ValueError("a soft verbalizer needs hidden states, and this model gave none")
        return hidden


def verbalizer_of(words: Mapping[str, Sequence[str]], read: Any) -> Verbalizer:
    """Build a verbalizer from the words of each label; words are split into pieces, each counted once per label.

    Raises:
        Unsupported: the model does not know a word, or two labels share a piece.
    """
    found = {
        label: tuple(dict.fromkeys(piece for word in own for piece in pieces(f" {word}", read)))
        for label, own in words.items()
    }
    tokens = [piece for own in found.values() for piece in own]
    if len(set(tokens)) != len(tokens) or not all(found.values()):
        raise Unsupported("two classes share a piece of their words: give each words of its own by words=a=word;b=word")
    return Verbalizer(found)


def pieces(text: str, read: Any) -> list[int]:
    """Return the token ids of a text without special pieces.

    Raises:
        Unsupported: the text contains a word that the tokenizer does not know.
    """
    ids: list[int] = read(text, add_special_tokens=False)["input_ids"]
    if read.unk_token_id is not None and read.unk_token_id in ids:
        raise Unsupported(
            "the model does not know a word of the template or of a class: give others by template= and by "
            "words=a=word;b=word/other"
        )
    return ids


def _two(first: list[int], last: list[int]) -> tuple[int, int]:
    return len(first), len(last)
