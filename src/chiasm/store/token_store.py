"""Token store: the tokens of frozen encoders are kept on disk, so that no source is encoded twice.

    store.json                                schema of the store
    <sha256 of the encoder's identity>/       one folder per encoder
        encoder.json                          its identity
        000000000001-<checksum>.arrow         fragments: immutable, oldest first; the first to hold a source wins

There is no index beside the fragments and no lock among writers: a fragment appears whole, a merged one takes the place
of the oldest it came from, and an open one stays readable. Only digests, identities and arrays are stored.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chiasm.store.files import StoreError, remove, remove_left_over
from chiasm.store.fragment import KEY, Fragment, batches, listing, write_fragment
from chiasm.store.place import (
    ENCODER,
    default_store,
    encoder_folder,
    encoder_folders,
    identity,
    is_store,
    make_encoder_folder,
)
from chiasm.store.shelf import Shelf, first_holders, locate, match
from chiasm.store.stored_tokens import StoredTokens

__all__ = ["EncoderEntry", "StoreError", "StoredTokens", "TokenStore", "default_store"]

NAME = re.compile(r"[^/|]+/[^|]*\|([^/(]+)/")  # an identity is reader/version|name/version(options)
HEX = re.compile(r"[0-9a-fA-F]{32}")
Contents = Collection[str] | NDArray[np.bytes_]


@dataclass(frozen=True)
class EncoderEntry:
    """Summary of one encoder in the store: distinct sources, their tokens, D, bytes on disk; last `written` in UTC."""

    encoder: str
    sources: int
    tokens: int
    width: int
    bytes: int
    fragments: int
    written: datetime | None

    @property
    def name(self) -> str:
        """Short name, as `rocket` in `ecg/1|rocket/1(hz=100)`; the whole identity if written otherwise."""
        found = NAME.match(self.encoder)
        return found[1] if found else self.encoder


class TokenStore:
    """Store of tokens by encoder identity (version, options, weights, reader) and content digest of the source.

    Digests are texts of 32 hexadecimal digits, or an array of 16 bytes each, as cohorts give them.

    Any number of processes may read, put and prune at once. Nothing is created before `prepare` or the first `put`.

    Args:
        folder: location of the store, created for its owner alone.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self._shelves: dict[str, Shelf] = {}

    def __reduce__(self) -> tuple[type[TokenStore], tuple[Path]]:
        return TokenStore, (self.folder,)

    def missing(self, encoder: str, contents: Contents) -> NDArray[np.bool_]:
        """(n,) True where nothing is stored for this encoder and content.

        Raises:
            StoreError: the folder is not a store, or a newer one; a content is not a digest.
        """
        keys, back = np.unique(_keys(contents), return_inverse=True)
        holder, _ = locate(self._shelf(encoder_folder(self.folder, encoder)).fragments(), keys)
        missing: NDArray[np.bool_] = holder[back] < 0
        return missing

    def prepare(self, encoder: str) -> None:
        """Create the folder of an encoder now, so that an unwritable place is found before hours of work.

        Raises:
            StoreError: it cannot be created, or would lie in something that is not a store.
        """
        place = self._shelf(make_encoder_folder(self.folder, encoder)).folder
        if not os.access(place, os.W_OK):
            raise StoreError("the token store cannot be written: choose another folder with CHIASM_STORE")

    def put(
        self,
        encoder: str,
        contents: Contents,
        tokens: Sequence[NDArray[np.float32]],
        times: Sequence[NDArray[np.float32]] | None = None,
        *,
        slots: int = 0,
    ) -> None:
        """Append the tokens of sources that are not stored yet, all of them or none.

        Args:
            tokens: `(T_i, D)` finite float32 each, T_i >= 1, equal to `slots` if that is not 0.
            times: `(T_i,)` finite float32 each, hours since the patient's first record.

        Raises:
            StoreError: the input is not as above, or differs in width or slots from what this encoder has stored; the
                disk is full or cannot be written.
        """
        keys = _keys(contents)
        width = _check(contents, tokens, times, slots)
        if not len(keys):
            return
        shelf = self._shelf(make_encoder_folder(self.folder, encoder))
        stored = shelf.fragments()
        if stored and (stored[0].width, stored[0].slots) != (width, slots):
            raise StoreError(
                f"the encoder gave tokens {width:,} wide in {slots:,} slots and has stored {stored[0].width:,} in "
                f"{stored[0].slots:,}: give it a new version or new options, or prune what it stored"
            )
        distinct, first = np.unique(keys, return_index=True)
        fresh = np.sort(first[locate(stored, distinct)[0] < 0])
        if not len(fresh):
            return
        now = np.full(len(fresh), int(time.time()))
        clocks = (None if times is None else times[k] for k in fresh)
        content = batches(width, keys[fresh], now, (tokens[k] for k in fresh), clocks)
        write_fragment(shelf.folder, width, slots, content)
        with contextlib.suppress(StoreError):  # what was put is safe; merging needs room, and may wait
            shelf.merge_alike()

    def open(self, encoder: str, contents: Contents) -> StoredTokens:
        """Open the tokens of these sources, in this order; a content named twice appears twice.

        Raises:
            StoreError: some are not stored; the message says how many.
        """
        return _open(self, encoder, _keys(contents))

    def shows(self) -> list[EncoderEntry]:
        """List what is stored, one entry per encoder, sorted by identity."""
        found = []
        for folder in encoder_folders(self.folder):
            if not listing(folder):
                continue
            fragments = self._shelf(folder).fragments()
            live = first_holders(fragments)
            seconds = max((int(fragment.written.max(initial=0)) for fragment in fragments), default=0)
            entry = EncoderEntry(
                identity(folder) or f"of lost name ({folder.name[:8]})",
                sum(int(mask.sum()) for mask in live),
                sum(int(f.length[mask].sum()) for f, mask in zip(fragments, live, strict=True)),
                fragments[0].width if fragments else 0,
                sum(fragment.size for fragment in fragments),
                len(fragments),
                datetime.fromtimestamp(seconds, UTC) if seconds else None,
            )
            found.append(entry)
        return sorted(found, key=lambda entry: entry.encoder)

    def verify(self) -> list[str]:
        """Read every byte; return a sentence per damaged file, whose sources count as missing once it is pruned."""
        found = []
        for folder in encoder_folders(self.folder):
            if listing(folder) and identity(folder) is None:
                found.append(f"'{folder.name}/{ENCODER}' is missing or damaged: the next put of its encoder mends it")
            damaged = self._shelf(folder).damaged()
            found += [f"fragment '{folder.name}/{name}' {damaged[name]}: prune the store" for name in sorted(damaged)]
        return found

    def prune(
        self,
        *,
        encoder: str | None = None,
        keep_contents: Contents | None = None,
        older_than_days: float | None = None,
    ) -> int:
        """Drop sources that are not needed, and tidy up the rest; return the bytes freed.

        A source is dropped if every condition given holds: it is not among `keep_contents`; it was written more than
        `older_than_days` ago. With neither, no source is dropped. Damaged fragments (every byte is read) and files
        left by dead writers are removed, and small fragments are merged.

        Args:
            encoder: identity of the encoder to prune; None for all.

        Raises:
            StoreError: a content to keep is not a digest; the disk has no room to merge.
        """
        unwanted = _unwanted(keep_contents, older_than_days)
        freed = remove_left_over(self.folder) if is_store(self.folder) else 0
        for folder in encoder_folders(self.folder) if encoder is None else [encoder_folder(self.folder, encoder)]:
            freed += remove_left_over(folder)
            shelf = self._shelf(folder)
            freed += sum(remove(folder / name) for name in shelf.damaged())
            fragments = shelf.fragments()
            freed += shelf.tidy(fragments, [~unwanted(fragment) for fragment in fragments])
        return freed

    def droppable(
        self,
        *,
        encoder: str | None = None,
        keep_contents: Contents | None = None,
        older_than_days: float | None = None,
    ) -> int:
        """Count the sources that `prune` would drop; damaged fragments are not counted."""
        unwanted = _unwanted(keep_contents, older_than_days)
        found = 0
        for folder in encoder_folders(self.folder) if encoder is None else [encoder_folder(self.folder, encoder)]:
            fragments = self._shelf(folder).fragments()
            live = first_holders(fragments)
            found += sum(int((mask & unwanted(own)).sum()) for mask, own in zip(live, fragments, strict=True))
        return found

    def _shelf(self, folder: Path) -> Shelf:
        return self._shelves.setdefault(folder.name, Shelf(folder))


def _open(store: TokenStore, encoder: str, keys: NDArray[Any]) -> StoredTokens:
    distinct, back = np.unique(keys, return_inverse=True)
    fragments = store._shelf(encoder_folder(store.folder, encoder)).fragments()
    holder, row = locate(fragments, distinct)
    if lacking := int((holder < 0).sum()):
        raise StoreError(f"{lacking:,} of {len(distinct):,} sources are not in the token store: encode them first")
    width, slots = (fragments[0].width, fragments[0].slots) if fragments else (0, 0)
    origin = (_reopen, store.folder, encoder)
    return StoredTokens(origin, keys, fragments, holder[back], row[back], width, slots)


def _unwanted(keep_contents: Contents | None, older_than_days: float | None) -> Callable[[Fragment], NDArray[np.bool_]]:
    """Return a function that marks the sources of a fragment that meet every condition given; none without any."""
    keep = None if keep_contents is None else np.unique(_keys(keep_contents))
    before = None if older_than_days is None else time.time() - older_than_days * 86_400

    def unwanted(fragment: Fragment) -> NDArray[np.bool_]:
        drop = np.full(len(fragment.keys), keep is not None or before is not None)
        if before is not None:
            drop &= fragment.written < before
        if keep is not None:
            drop[match(keep, fragment.keys)[1]] = False
        return drop

    return unwanted


def _reopen(folder: Path, encoder: str, keys: bytes) -> StoredTokens:
    return _open(TokenStore(folder), encoder, np.frombuffer(keys, dtype=KEY))


def _keys(contents: Contents) -> NDArray[Any]:
    """Convert content digests to (n,) keys of 16 bytes each."""
    if isinstance(contents, np.ndarray) and contents.dtype == KEY:
        return contents
    if not all(isinstance(content, str) and HEX.fullmatch(content) for content in contents):
        raise StoreError("a source is named by its content digest, 32 hexadecimal digits, and by nothing else")
    return np.frombuffer(bytes.fromhex("".join(contents)), dtype=KEY)


def _check(contents: Contents, tokens: Sequence[Any], times: Sequence[Any] | None, slots: int) -> int:
    """Check what is to be stored and return its width D, 0 for nothing."""
    if len(tokens) != len(contents) or (times is not None and len(times) != len(contents)):
        raise StoreError(f"{len(contents):,} contents need as many arrays of tokens, and of times where there are any")
    width = int(np.shape(tokens[0])[-1]) if len(tokens) and np.ndim(tokens[0]) == 2 else 0
    for k, value in enumerate(tokens):
        if not isinstance(value, np.ndarray) or value.dtype != np.float32 or value.ndim != 2 or 0 in value.shape:
            raise StoreError(f"tokens {k} are no (T, D) array of float32 with at least one token: absent is not stored")
        if value.shape[1] != width or (slots and len(value) != slots):
            wanted = f"{slots or 'any number of'} tokens {width:,} wide"
            raise StoreError(f"tokens {k} are {len(value):,} x {value.shape[1]:,}: all of an encoder are {wanted}")
        if not np.isfinite(value).all():
            raise StoreError(f"tokens {k} hold a value that is not finite: correct the encoder or leave the source out")
        if times is None:
            continue
        clock = times[k]
        if not isinstance(clock, np.ndarray) or clock.dtype != np.float32 or clock.shape != value.shape[:1]:
            raise StoreError(f"times {k} are no (T,) array of float32, one for each token")
        if not np.isfinite(clock).all():
            raise StoreError(f"times {k} hold a value that is not finite: correct them or leave them out")
    return width
