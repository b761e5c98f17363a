"""What the sources of a cohort hold: a digest of each one's content, read once and known to the store."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from chiasm.cohort import Cohort
from chiasm.cohort.digests import DIGEST, Digests
from chiasm.cohort.kinds import FILES, has_form
from chiasm.cohort.sources import HASHED_ROWS
from chiasm.encoding.findings import IN_MEMORY
from chiasm.encoding.store_keys import store_keys
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
    step = 1 if has_form(cohort.kinds[modality], FILES) else HASHED_ROWS
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
