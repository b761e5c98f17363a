"""Pairs as WebDataset shards: tar files whose bytes follow from the pairs alone, and their table of contents."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from chiasm.artifact import write_text
from chiasm.limits import MODEL_JSON_BYTES, LimitError, require_regular
from chiasm.pretraining.articles.pairs import Pair
from chiasm.pretraining.articles.tar import END, packed
from chiasm.readers.reading import ReadError

CONTENTS = "shards.json"
FORMAT = 1
PER_SHARD, SHARD_BYTES = 1000, 256 << 20
ANEW = "write the shards anew, or read them with damaged='count'"


@dataclass(frozen=True)
class Shard:
    """A shard: its file, how many samples and bytes it has, and the SHA-256 of these; -1 and "" where none is known."""

    file: str
    samples: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Shards:
    """A folder of shards in their order, with what its table of contents tells beside.

    A folder that somebody else wrote has no table of contents: its shards are all `.tar` in the order of their names.

    Attributes:
        damaged: which are shorter than they were, or gone; tolerant: what is whole of them is read all the same.
    """

    folder: Path
    shards: tuple[Shard, ...]
    facts: dict[str, Any]
    damaged: tuple[str, ...] = ()
    tolerant: bool = False

    @property
    def fingerprint(self) -> str:
        """A digest of the names and contents, by which a state knows its shards."""
        return sha256(json.dumps([asdict(own) for own in self.shards]).encode()).hexdigest()[:16]


class ShardWriter:
    """Writes samples into `articles-000000.tar` and so on, a new one once the last is full; closes with a block."""

    def __init__(self, folder: Path, per_shard: int = PER_SHARD, most_bytes: int = SHARD_BYTES) -> None:
        if per_shard < 1:
            raise ValueError(f"{per_shard} samples a shard: one at least is needed")
        self.folder, self.per_shard, self.most_bytes = folder, per_shard, most_bytes
        self.shards: list[Shard] = []
        self._file: BinaryIO | None = None
        self._begin()

    def add(self, key: str, parts: dict[str, bytes]) -> None:
        """Write a sample: the bytes of its parts by ending, as `{"jpg": ..., "txt": ..., "json": ...}`."""
        held = b"".join(packed(f"{key}.{ending}", data) for ending, data in parts.items())
        if self._samples and (self._samples >= self.per_shard or self._bytes + len(held) > self.most_bytes):
            self._end()
        if self._file is None:
            self._file = (self.folder / self._name).open("xb")
        self._put(held)
        self._samples += 1

    def close(self, facts: dict[str, Any]) -> None:
        """End the last shard and write the table of contents, with `facts` in it."""
        if self._samples:
            self._end()
        document = {
            "format": FORMAT,
            "samples": sum(own.samples for own in self.shards),
            "shards": [asdict(own) for own in self.shards],
            **facts,
        }
        write_text(self.folder / CONTENTS, json.dumps(document, indent=1, ensure_ascii=False) + "\n")

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, at: TracebackType | None) -> None:
        if self._file is not None:
            self._file.close()

    @property
    def _name(self) -> str:
        return f"articles-{len(self.shards):06d}.tar"

    def _begin(self) -> None:
        self._samples = self._bytes = 0
        self._digest = sha256()

    def _put(self, held: bytes) -> None:
        assert self._file is not None
        self._file.write(held)
        self._digest.update(held)
        self._bytes += len(held)

    def _end(self) -> None:
        assert self._file is not None
        self._put(END)
        self._file.close()
        self._file = None
        self.shards.append(Shard(self._name, self._samples, self._bytes, self._digest.hexdigest()))
        self._begin()


def sample_of(pair: Pair) -> dict[str, bytes]:
    """Return the parts of a kept pair: its picture, its caption as `txt`, and all that is known of it as `json`."""
    assert pair.picture is not None
    told = json.dumps(pair.row, ensure_ascii=False, sort_keys=True)
    return {
        pair.picture.ending: pair.picture.data,
        "txt": str(pair.row["caption"]).encode(),
        "json": told.encode(),
    }


def open_shards(folder: Path, damaged: str = "refuse") -> Shards:
    """Open a folder of shards, and hold the size of each against the table of contents.

    Args:
        damaged: `refuse`, or `count`: go on with what is whole; `Shards.damaged` names the others.

    Raises:
        FileNotFoundError: there is no such folder.
        ReadError: no shard, a table of contents that cannot be read, or a shard that is cut, longer or gone.
    """
    if damaged not in ("refuse", "count"):
        raise ValueError(f"damaged is 'refuse' or 'count', not '{damaged}'")
    if not folder.is_dir():
        raise FileNotFoundError(2, "there is no such folder of shards", str(folder))
    if not (folder / CONTENTS).exists():
        found = tuple(Shard(own.name, -1, own.stat().st_size, "") for own in sorted(folder.glob("*.tar")))
        if not found:
            raise ReadError(f"'{folder.name}' holds no shards", "write them by chiasm articles, or name another folder")
        return Shards(folder, found, {}, (), damaged == "count")
    shards, facts = _contents(folder / CONTENTS)
    wrong = []
    for own in shards:
        size = (folder / own.file).stat().st_size if (folder / own.file).is_file() else -1
        if size != own.bytes:
            what = "is not there" if size < 0 else f"has {size:,} bytes of {own.bytes:,}"
            wrong.append(f"shard '{own.file}' {what}")
    if wrong and damaged == "refuse":
        raise ReadError("; ".join(wrong[:5]), ANEW)
    return Shards(folder, shards, facts, tuple(wrong), damaged == "count")


def changed(shards: Shards) -> list[str]:
    """Return the names of the shards whose bytes are no longer those that were written; reads them all."""
    found = []
    for own in shards.shards:
        if own.sha256:
            digest = sha256()
            with (shards.folder / own.file).open("rb") as file:
                while held := file.read(1 << 20):
                    digest.update(held)
            if digest.hexdigest() != own.sha256:
                found.append(own.file)
    return found


def _contents(path: Path) -> tuple[tuple[Shard, ...], dict[str, Any]]:
    again = "write the shards anew, or delete it to read them without"
    try:
        require_regular(path, MODEL_JSON_BYTES)
        facts = json.loads(path.read_text(encoding="utf-8"))
        if facts.pop("format") != FORMAT:
            raise ReadError(f"'{path.name}' is of another version of chiasm", again)
        shards = tuple(
            Shard(str(own["file"]), int(own["samples"]), int(own["bytes"]), str(own["sha256"]))
            for own in facts.pop("shards")
        )
    except ReadError:
        raise
    except (LimitError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ReadError(f"'{path.name}' is damaged", again) from None
    if any(Path(own.file).name != own.file for own in shards):
        raise ReadError(f"'{path.name}' names a shard outside of its folder", again)
    return shards, facts
