"""Encoder from any frozen transformers model: text, proteins, DNA and molecules in windows, images in patches."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from inspect import signature
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from chiasm.artifact import storable
from chiasm.cohort import Unsupported
from chiasm.encoders.adaptable import Trunk
from chiasm.encoders.batches import Floats, in_order, in_runs
from chiasm.encoders.frozen import identity_of
from chiasm.encoders.image.pixels import prepared
from chiasm.encoders.text.held_folder import files_hash, folder_of, found_once
from chiasm.encoders.text.hub import configuration, language_model, network, read_json, tokenizer
from chiasm.encoders.text.transformer_trunks import KEPT, VisionTrunk, WindowTrunk
from chiasm.readers.reading import Image
from chiasm.tokens import Tokens

LEVELS = ("pooled", "token")
BICUBIC = 3  # PIL's number; every other mode becomes bilinear
LARGEST = 4096


@storable("encoder-huggingface")
@dataclass(frozen=True)
class HuggingFace:
    """Encoder with the last hidden states of a transformers model, from a local folder or the hub at a commit.

    Text of any length is cut into windows of `length` word pieces that overlap by a quarter; each piece keeps its state
    from the window in which it lies further from an end. `level=pooled`: one token per window, the mean of the states
    that it keeps; `level=token`: one token per piece. Above `most` tokens, runs of neighbours are averaged.

    An image is resized whole (the model's own processor may crop: nothing of a medical image is cut away here), divided
    by `high`, and scaled by the model's mean and standard deviation. `level=pooled`: the class token, if there is one,
    and the mean of the patches; `level=token`: the class token and every patch. For tiles of a slide and slices of a
    volume use `tiles:encoder=hf:...` and `slices:encoder=hf:...`.

    Inputs run through the network one at a time, so a patient's tokens are bit-identical whoever else is encoded.

    Args:
        name, revision: `hf:folder`, or `hf:owner/name@commit`; options follow after a comma.
        level: `pooled` or `token`.
        tower: `text` or `vision` for a model that has both; vision by default.
        length: maximum word pieces per window, special ones included; also bounded by the model.
        most: maximum number of tokens per text.
        size: side of the resized image in pixels, 0 for the model's own.
        high: value of white in the images: 255, or 65535 for 16 bit.
        spaced: put spaces between letters, as in the training of ProtBERT and ProtT5.

    Raises:
        Unsupported: at first use: no such model, pickled weights, or an unknown architecture.
    """

    name: str
    revision: str = ""
    level: str = "pooled"
    tower: str = ""
    length: int = 512
    most: int = 64
    size: int = 0
    high: float = 255.0
    spaced: bool = False

    id: ClassVar[str] = "hf"
    version: ClassVar[str] = "2"
    fitted_on_cohort: ClassVar[bool] = False
    batch: ClassVar[int] = 16

    def __post_init__(self) -> None:
        if self.level not in LEVELS or self.tower not in ("", "text", "vision"):
            raise ValueError("level is pooled or token, and tower text or vision")
        if self.length < 8 or self.most < 2 or self.size < 0 or self.high <= 0:
            raise ValueError("length is 8 or more, most 2 or more, size 0 or more, and high above 0")

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Parse a specification such as `folder,level=token` or `owner/name@commit,length=128`.

        Raises:
            ValueError: no model is named, or an option does not exist.
        """
        from chiasm.encoders.catalogue import options

        model, _, rest = text.partition(",")
        name, at, revision = model.rpartition("@")
        if not at or Path(model).is_dir():
            name, revision = model, ""
        if not name:
            raise ValueError("encoder 'hf' needs a model: hf:folder, or hf:owner/name@commit")
        return cls(**{"name": name, "revision": revision, **options(cls, "hf", rest)})

    @property
    @found_once
    def width(self) -> int:
        config = self._config
        wide = getattr(config, "hidden_size", None) or getattr(config, "hidden_sizes", [0])[-1]
        if not isinstance(wide, int) or wide < 1:
            raise Unsupported("the model's configuration does not say how wide its states are: it cannot be used here")
        return wide

    @property
    @found_once
    def slots(self) -> int:
        """Return the number of tokens per image, counted by running the network once; 0 for text."""
        return _slots(self, self._hash) if self._sees else 0

    @property
    @found_once
    def identity(self) -> str:
        return identity_of(replace(self, name="", revision=""), self._hash)

    def fit(self, raw: Any, patients: Sequence[str] = ()) -> Self:
        return self

    @found_once
    def encode(self, raw: Sequence[Any]) -> Tokens:
        """Encode texts or `Image`s to tokens `(n, T, width)`.

        Raises:
            ValueError: a vision model got text, or the other way round; an image is brighter than `high`.
        """
        if any(isinstance(value, str) == self._sees for value in raw):
            reads = "images" if self._sees else "text"
            raise ValueError(f"this model reads {reads}: choose another, or tower= of a model that has both")
        trunk, parts = self._trunk_of(self._network), []
        for value in raw:
            # one input at a time, so that a text's bits do not depend on the others in the batch
            rows = torch.from_numpy(self._pixels(value)[None] if self._sees else self._windows(value))
            with torch.no_grad():
                found = [own[0] if real is None else own[real] for own, real in (trunk.run(row[None]) for row in rows)]
            parts.append(in_runs(torch.cat(found).numpy(), len(found[0]) if self._sees else self.most))
        return in_order(parts, self.width, self.slots)

    @found_once
    def inputs(self, raw: Sequence[Any]) -> Tokens:
        """Return inputs: `(n, windows, 2 + length)`, padded by -1, or images `(n, 1, channels x height x width)`."""
        parts = [self._pixels(value)[None] if self._sees else self._windows(value) for value in raw]
        wide = max((part.shape[1] for part in parts), default=0) if self._sees else KEPT + self._longest
        parts = [np.pad(part, ((0, 0), (0, wide - part.shape[1])), constant_values=-1) for part in parts]
        return in_order(parts, wide, 1 if self._sees else 0)

    @found_once
    def trunk(self) -> Trunk:
        """Return a trunk with an independent copy of the network."""
        return self._trunk_of(copy.deepcopy(self._network))

    @found_once
    def language_model(self) -> Any:
        """Return an independent copy of the network with its language-model head; raises as `hub.language_model`."""
        return copy.deepcopy(language_model(self.folder, self._hash))

    @property
    def read(self) -> Any:
        """Return the model's tokenizer."""
        return tokenizer(self.folder, self._hash)

    @property
    def positions(self) -> int:
        """Return the maximum pieces per input, less two positions that some architectures leave unused."""
        return int(getattr(self._config, "max_position_embeddings", 10**9)) - 2

    @property
    def folder(self) -> Path:
        """Return the folder that holds the model."""
        return folder_of(self.name, self.revision)

    @property
    def _hash(self) -> str:
        return files_hash(self.name, self.revision)

    @property
    def _config(self) -> Any:
        config = configuration(self.folder, self._hash)
        both = hasattr(config, "vision_config") and hasattr(config, "text_config")
        return getattr(config, f"{self.tower or 'vision'}_config") if both else config

    @property
    def _sees(self) -> bool:
        return hasattr(self._config, "num_channels")

    @property
    def _network(self) -> Any:
        model = network(self.folder, self._hash)
        return getattr(model, "vision_model" if self._sees else "text_model", model)

    @property
    def _side(self) -> tuple[int, int]:
        return (self.size, self.size) if self.size else _preprocessing(self.folder, self._hash).side

    @property
    def _longest(self) -> int:
        """Return the maximum pieces per window, special ones included."""
        return int(min(self.length, self.read.model_max_length, self.positions))

    def _trunk_of(self, model: Any) -> Trunk:
        if not self._sees:
            return WindowTrunk(model, self.level == "pooled", self.most)
        patch = getattr(self._config, "patch_size", 0)
        bends = bool(self.size) and "interpolate_pos_encoding" in signature(model.forward).parameters
        shape = (int(self._config.num_channels), *self._side)
        return VisionTrunk(model, shape, patch if isinstance(patch, int) else 0, self.level == "pooled", bends)

    def _pixels(self, image: Image) -> Floats:
        """Prepare an image as a flat vector `(channels x height x width,)`."""
        given = _preprocessing(self.folder, self._hash)
        channels = self._config.num_channels
        pixels = prepared(image.values, channels, self._side, mode=given.mode, high=self.high)
        pixels = (pixels - given.mean) / given.deviation
        return np.asarray(pixels.reshape(-1).numpy())

    def _windows(self, text: str) -> Floats:
        """Tokenize a text to `(windows, 2 + pieces)`: the range of pieces each window keeps, then ids padded by -1."""
        read = self.read
        pieces = read(" ".join(text) if self.spaced else text, add_special_tokens=False, verbose=False)["input_ids"]
        before, after = _special_pieces(self.folder, self._hash)
        room = self._longest - len(before) - len(after)
        if room < 4:
            raise ValueError(f"a window of {self._longest} pieces holds next to no text: raise length")
        rows = []
        for start, first, last in windows(len(pieces), room):
            ids = before + pieces[start : start + room] + after
            offset = len(before) - start
            kept = (
                [first + offset, last + offset] if pieces else [0, len(ids)]
            )  # an empty text keeps the special pieces
            rows.append([*kept, *ids])
        longest = max(map(len, rows))
        return np.array([row + [-1] * (longest - len(row)) for row in rows], np.float32)


@lru_cache(maxsize=16)
def _slots(encoder: HuggingFace, stamp: str) -> int:
    """Count the tokens per image by encoding a black one."""
    black = torch.from_numpy(encoder._pixels(Image(np.zeros((1, 8, 8), np.float32), ("grey",))))
    with torch.no_grad():
        return int(encoder._trunk_of(encoder._network).run(black[None])[0].shape[1])


@lru_cache(maxsize=8)
def _special_pieces(folder: Path, stamp: str) -> tuple[list[int], list[int]]:
    return special_pieces(tokenizer(folder, stamp))


@lru_cache(maxsize=8)
def _preprocessing(folder: Path, stamp: str) -> Preprocessing:
    return preprocessing(folder)


def windows(pieces: int, room: int) -> list[tuple[int, int, int]]:
    """Plan overlapping windows of `room` pieces: for each, its start and the range (end exclusive) that it keeps.

    Neighbours overlap by a quarter or more, and the last one ends with the text; each piece is kept by one window.
    """
    if pieces <= room:
        return [(0, 0, pieces)]
    starts = [*range(0, pieces - room, room - room // 4), pieces - room]
    edges = [0, *((later + earlier + room) // 2 for earlier, later in pairwise(starts)), pieces]
    return list(zip(starts, edges, edges[1:], strict=False))


def special_pieces(read: Any) -> tuple[list[int], list[int]]:
    """Return the special pieces that a tokenizer puts before and after a text."""
    bare = read("A", add_special_tokens=False)["input_ids"]
    whole = read("A")["input_ids"]
    for start in range(len(whole) - len(bare) + 1):
        if whole[start : start + len(bare)] == bare:
            return whole[:start], whole[start + len(bare) :]
    raise Unsupported("the model's tokenizer changes a text beyond putting special pieces around it")


@dataclass(frozen=True)
class Preprocessing:
    """Image preprocessing of a model: height and width; mean and deviation of values in 0 to 1, `(C, 1, 1)`."""

    side: tuple[int, int]
    mean: Tensor
    deviation: Tensor
    mode: str


def preprocessing(folder: Path) -> Preprocessing:
    """Read `preprocessor_config.json`; if the model's processor crops, the size is that of the crop.

    Raises:
        Unsupported: the folder does not state the size of images.
    """
    given = read_json(folder / "preprocessor_config.json")
    given = given or read_json(folder / "processor_config.json").get("image_processor", {})
    found: Any = given.get("crop_size") if given.get("do_center_crop") else None
    found = found or given.get("size")
    edge: Any = found.get("shortest_edge") if isinstance(found, dict) else found
    sizes = found if isinstance(found, dict) else {}
    height, width = sizes.get("height", edge), sizes.get("width", edge)
    if not all(isinstance(length, int) and 8 <= length <= LARGEST for length in (height, width)):
        raise Unsupported("the folder lacks preprocessor_config.json with the size of images: copy the whole model")
    mean, deviation = given.get("image_mean", [0.0]), given.get("image_std", [1.0])
    if given.get("do_normalize") is False:
        mean, deviation = [0.0], [1.0]
    return Preprocessing(
        (height, width),
        torch.tensor(mean, dtype=torch.float32)[:, None, None],
        torch.tensor(deviation, dtype=torch.float32)[:, None, None],
        "bicubic" if given.get("resample") == BICUBIC else "bilinear",
    )
