"""What the sources of a cohort hold: a digest of each one's content, read once and known to the store."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from chiasm.cohort import Cohort, Items
from chiasm.cohort.digests import DIGEST, Digests, as_hex, digest_of
from chiasm.cohort.file_digests import header_lines, header_of
from chiasm.cohort.sources import FILE_KINDS, HASHED_ROWS
from chiasm.encoding.findings import IN_MEMORY
from chiasm.store.known_digests import read_digests
from chiasm.store.token_store import TokenStore

QUIET_SECONDS = 1.0  # reading content is reported as progress only after this time

Progress = Callable[[str, int, int], None]


def unseen(modality: str, finished: int, everything: int) -> None:
    """No-op progress callback."""


def know_digests(cohort: Cohort, store: TokenStore, progress: Progress = unseen) -> None:
    """Compute and cache content digests of a cohort's files and molecules, except those that the store already knows.

    The sources keep the digests, so that later steps (the check for duplicates, the encoding) do not wait for them.
    """
    for modality in cohort.modalities:
        source = cohort.sources[modality]
        in_memory = cohort.kinds[modality] == "bag" and source.path is None
        if source.known is not None and not in_memory:
            source_digests(cohort, modality, store, progress)


def source_digests(cohort: Cohort, modality: str, store: TokenStore, progress: Progress = unseen) -> Digests:
    """Compute the content digest of each source, `(n,)`; unchanged sources that the store knows are not read again."""
    source = cohort.sources[modality]
    rows = cohort.source_rows[modality][cohort.rows_of(modality)]
    if source.known is not None and not source.known:
        source.known.update(read_digests(store.folder))
    step = 1 if cohort.kinds[modality] in FILE_KINDS else HASHED_ROWS
    found, start = [], time.monotonic()
    for at in range(0, len(rows), step):
        found.append(source.digests(rows[at : at + step]))
        if time.monotonic() - start > QUIET_SECONDS:
            progress(f"{modality}, content", min(at + step, len(rows)), len(rows))
    return np.concatenate(found) if found else np.zeros(0, dtype=DIGEST)


def waits_for_encoding(cohort: Cohort, modality: str) -> bool:
    return modality not in cohort.encodings and cohort.kinds[modality] not in IN_MEMORY


def content_keys(cohort: Cohort, store: TokenStore) -> Digests:
    """Return the distinct content keys of a cohort's files, cells and events, which do not depend on the encoder."""
    waiting = [name for name in cohort.modalities if waits_for_encoding(cohort, name)]
    found = [store_keys(cohort.raw(name), source_digests(cohort, name, store)) for name in waiting]
    return np.unique(np.concatenate(found)) if found else np.zeros(0, dtype=DIGEST)


def store_keys(items: Items, digests: Digests) -> Digests:
    """Compute the store keys of sources, `(n,)`: the content digest, combined with anything else its reader uses.

    This is the header of a record, and the file names in the folder of a volume's contrasts.
    """
    if items.kind not in ("ecg", "signal", "volume"):
        return digests
    keys = digests.copy()
    for number in range(len(items)):
        path = items[number]
        if not isinstance(path, Path):
            continue
        more = b""
        header = header_of(path)
        if items.kind == "volume" and path.is_dir():
            more = "\0".join(sorted(file.name for file in path.rglob("*"))).encode()
        elif items.kind != "volume" and header is not None:
            # the names of a record's files may start with its own name, which is irrelevant
            more = b"\n".join(line.removeprefix(header.stem.encode()) for line in header_lines(header))
        if more:
            keys[number] = digest_of(as_hex(digests[number : number + 1])[0].encode() + more)
    return keys
