"""A tiny language model that is made of training patients' own words: for tests, and to see a recipe work at once.

It knows nothing but what it is trained on within the fold: no fact, no English. What it says about a method's skill
with a large model is nothing; that modalities reach the words through a connector is what it shows.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor, nn

from chiasm.artifact import storable
from chiasm.errors import count
from chiasm.language.language_model import LanguageModel

PART = re.compile(r"\w+|[^\w\s]|\n")
JOINED = "##"
END, UNKNOWN = 0, 1
SIGNS = tuple(string.ascii_letters + string.digits + string.punctuation + "\n")
SEVERAL = 5
MOST_WORDS = 4_000


@storable("tiny-words")
@dataclass(frozen=True)
class TinyWords:
    """Words that five training texts or more have, each a token; others are spelled by their letters.

    Args:
        known: the words.
    """

    known: tuple[str, ...] = field(repr=False)

    @property
    def begin(self) -> tuple[int, ...]:
        return (END,)

    @property
    def end(self) -> int:
        return END

    @classmethod
    def fit(cls, texts: Iterable[str]) -> TinyWords:
        """Keep the words of five texts or more, the most frequent first, 4,000 at most."""
        seen = Counter(part for text in texts for part in set(PART.findall(text)) if part not in SIGNS)
        often = sorted((part for part, n in seen.items() if n >= SEVERAL), key=lambda part: (-seen[part], part))
        return cls(tuple(often[:MOST_WORDS]))

    def of_training(self) -> str:
        """Say what a model folder holds of training patients by this part."""
        return f"{count(len(self.known), 'word')} of five training texts or more" if self.known else ""

    def __len__(self) -> int:
        return 2 + 2 * len(SIGNS) + len(self.known)

    @cached_property
    def _place(self) -> dict[str, int]:
        return {word: k for k, word in enumerate(self._all) if k > UNKNOWN}

    @property
    def _all(self) -> list[str]:
        return ["", "?", *SIGNS, *(JOINED + sign for sign in SIGNS), *self.known]

    def ids(self, text: str) -> list[int]:
        """Return the numbers of a text's words; of a word that is spelled, a sign that is no ASCII is unknown."""
        place = self._place
        found = []
        for part in PART.findall(text):
            if part in place:
                found.append(place[part])
            else:
                found += [place.get((JOINED if k else "") + sign, UNKNOWN) for k, sign in enumerate(part)]
        return found

    def text(self, ids: Sequence[int]) -> str:
        """Return the words of numbers, with blanks between them."""
        every = self._all
        return " ".join(every[own] for own in ids if own != END).replace(f" {JOINED}", "").strip()


class TinyModel(LanguageModel):
    """A transformer of a few layers with learned positions, whose words are read and said by the same embeddings.

    Args:
        words: its words.
        width, depth, heads: W, its layers and the heads of each.
        reach: the most tokens that it can read.
    """

    trunk: ClassVar[str] = "layers"

    def __init__(self, words: TinyWords, width: int, depth: int, heads: int, reach: int) -> None:
        super().__init__()
        self.words, self.width, self.reach = words, width, reach
        self.table = nn.Embedding(len(words), width)
        self.place = nn.Embedding(reach, width)
        nn.init.normal_(self.table.weight, std=width**-0.5)
        nn.init.normal_(self.place.weight, std=0.5 * width**-0.5)
        layer = nn.TransformerEncoderLayer(
            width, heads, 2 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(width)

    def embed(self, ids: Tensor) -> Tensor:
        return self.table(ids)  # type: ignore[no-any-return]

    def forward(self, embedded: Tensor, mask: Tensor, last: int = 0) -> Tensor:
        """Return the logits `(B, last, V)`; raises `ValueError` beyond the reach."""
        length = embedded.shape[1]
        if length > self.reach:
            raise ValueError(f"{length} tokens are more than the {self.reach} that the model can read")
        places = (mask.long().cumsum(1) - 1).clamp_min(0)
        before = torch.ones(length, length, dtype=torch.bool, device=mask.device).tril()
        seen = before & mask[:, None, :]  # (B, L, L)
        seen = seen | torch.eye(length, dtype=torch.bool, device=mask.device)  # what is padded reads itself: finite
        heads = self.layers.layers[0].self_attn.num_heads
        hidden = self.layers(embedded + self.place(places), mask=~seen.repeat_interleave(heads, 0))
        return self.norm(hidden[:, -last:]) @ self.table.weight.T * self.width**0.5  # type: ignore[no-any-return]


@storable("tiny-language")
@dataclass(frozen=True)
class TinyLanguage:
    """Sizes and words of a tiny language model, whose weights a model keeps whole.

    Args:
        words: see `TinyWords`.
        width, depth, heads, reach: see `TinyModel`.
    """

    words: TinyWords
    width: int = 64
    depth: int = 2
    heads: int = 4
    reach: int = 256

    def __post_init__(self) -> None:
        if not (1 <= self.depth <= 12 and 8 <= self.width <= 1024 and 1 <= self.heads <= 16 and self.reach <= 8192):
            raise ValueError("a tiny language model has 1 to 12 layers, and is 8 to 1,024 wide")

    def open(self, *, shared: bool = False) -> TinyModel:
        """Make it, with fresh weights that nobody shares."""
        return TinyModel(self.words, self.width, self.depth, self.heads, self.reach)
