"""A causal language model as a connector reads it: words to embeddings, embeddings to the next word."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from inspect import signature
from pathlib import Path
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

from chiasm.artifact import storable
from chiasm.cohort import Unsupported

BROUGHT = "CHIASM_LANGUAGE_MODELS"
"""Variable of the environment: a folder with the language models of models that were fitted on another machine."""


class Words(Protocol):
    """Protocol of a tokenizer: texts to the numbers of words or of their parts, and back."""

    @property
    def begin(self) -> tuple[int, ...]: ...

    @property
    def end(self) -> int: ...

    def ids(self, text: str) -> list[int]: ...

    def text(self, ids: list[int]) -> str: ...


class LanguageModel(nn.Module):
    """Causal language model that reads embeddings, so that what is no word may stand among the words.

    Positions count the places that are not masked, from 0: what is padded, wherever, has no position and is not seen.
    """

    words: Words
    width: int
    reach: int
    trunk: ClassVar[str]
    """Name of the submodule to which adapters are attached."""

    @abstractmethod
    def embed(self, ids: Tensor) -> Tensor:
        """Return the embeddings `(..., W)` of words `(...)`."""

    @abstractmethod
    def forward(self, embedded: Tensor, mask: Tensor, last: int = 0) -> Tensor:
        """Return logits `(B, last, V)` of the word after each of the last places of `(B, L, W)`; void where masked.

        The map to the vocabulary is most of what a batch of prompts holds in memory: only what is asked
        for is made; with `last` 0 that is all.
        """

    @property
    def size(self) -> float:
        """Root mean square of the entries of the word embeddings."""
        with torch.no_grad():
            sample = self.embed(torch.arange(16, device=next(self.parameters()).device))
            return float(sample.square().mean().sqrt())


class HubModel(LanguageModel):
    """A causal model of transformers, from a folder or a GGUF file.

    Args:
        network, tokenizer: as `encoders.text.causal.causal_model` gives them.
        reach: the most tokens that it can read.
    """

    trunk: ClassVar[str] = "network"

    def __init__(self, network: Any, tokenizer: Any, reach: int) -> None:
        super().__init__()
        self.network, self.words, self.reach = network, HubWords(tokenizer), reach
        self.width = int(network.get_input_embeddings().weight.shape[1])

    def embed(self, ids: Tensor) -> Tensor:
        return self.network.get_input_embeddings()(ids)  # type: ignore[no-any-return]

    def forward(self, embedded: Tensor, mask: Tensor, last: int = 0) -> Tensor:
        places = (mask.long().cumsum(1) - 1).clamp_min(0)
        kept = {"logits_to_keep": last} if "logits_to_keep" in signature(self.network.forward).parameters else {}
        found = self.network(
            inputs_embeds=embedded, attention_mask=mask.long(), position_ids=places, use_cache=False, **kept
        )
        return found.logits[:, -last:].float()  # type: ignore[no-any-return]


class HubWords:
    """The tokenizer of transformers that belongs to a model."""

    def __init__(self, tokenizer: Any) -> None:
        self._words = tokenizer
        if tokenizer.eos_token_id is None:
            raise Unsupported("the model's tokenizer has no end of a text: the model cannot say when an answer ends")
        self.end = int(tokenizer.eos_token_id)
        bare, whole = self.ids("A"), [int(own) for own in tokenizer("A")["input_ids"]]
        self.begin = tuple(whole[: len(whole) - len(bare)]) if whole[-len(bare) :] == bare else ()

    def ids(self, text: str) -> list[int]:
        return [int(own) for own in self._words(text, add_special_tokens=False)["input_ids"]]

    def text(self, ids: list[int]) -> str:
        return str(self._words.decode(ids, skip_special_tokens=True)).strip()


@storable("language-file")
@dataclass(frozen=True)
class LanguageFile:
    """A language model that stays where it is: a model of ours names its place and its hash, and copies nothing.

    Args:
        path: folder that transformers saved, or a .gguf file; from the root, so that it holds from everywhere.
        identity: hash of its files.
    """

    path: str
    identity: str

    def open(self, *, shared: bool = False) -> LanguageModel:
        """Open it, frozen: a copy of its own, or with `shared` the one that all have who never change it.

        Raises:
            Unsupported: it is not there, the files are not those of the fit, it is no causal language model, or a
                package lacks.
            ValueError: it is damaged.
        """
        from copy import deepcopy

        place = self.place
        if not place.exists():
            raise Unsupported(
                f"the language model '{place.name}' is not where it was at the fit: bring the same files there, or "
                f"name the folder that holds it by the variable {BROUGHT}"
            )
        network, tokenizer, identity, reach = _opened(str(place))
        if identity != self.identity:
            raise Unsupported(
                f"the language model '{Path(self.path).name}' is not that of the fit: bring the same "
                "files, or fit again"
            )
        return HubModel(network if shared else deepcopy(network), tokenizer, reach).requires_grad_(False).eval()

    @property
    def place(self) -> Path:
        """Where it is: at its path, or, on another machine, under its name in the folder that the environment names."""
        own, brought = Path(self.path), os.environ.get(BROUGHT)
        return Path(brought) / own.name if brought and not own.exists() else own


def language_file(path: str) -> LanguageFile:
    """Name a language model by its path and the hash of its files; raises as `LanguageFile.open`."""
    whole = str(Path(path).expanduser().resolve())
    return LanguageFile(whole, _opened(whole)[2])


@lru_cache(maxsize=2)
def _opened(path: str) -> tuple[Any, Any, str, int]:
    from chiasm.encoders.text.causal import causal_model, reach_of

    network, tokenizer, identity = causal_model(Path(path))
    return network, tokenizer, identity, reach_of(network)


def named_tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield each parameter and buffer of a module by name."""
    yield from module.named_parameters()
    yield from module.named_buffers()
