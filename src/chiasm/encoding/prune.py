"""Pruning of the token store by encoder name, age and cohorts to keep, with an optional dry run."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from chiasm.cohort import Cohort, Unsupported, open_cohort
from chiasm.encoding.source_digests import content_keys
from chiasm.store.token_store import TokenStore, default_store


@dataclass(frozen=True)
class Pruned:
    """Number of dropped sources and bytes freed on disk, negative if merging wrote more than was freed."""

    sources: int = 0
    bytes: int = 0


def open_store(path: Path | str | None = None) -> TokenStore:
    """Open the token store in a folder; None takes `$CHIASM_STORE` or the user's cache folder. Nothing is created."""
    return TokenStore(Path(path) if path is not None else default_store())


def prune_store(
    store: Path | str | None = None,
    *,
    encoder: str | None = None,
    keep: Iterable[Cohort | str | os.PathLike[str]] = (),
    older_than_days: float | None = None,
    dry: bool = False,
) -> Pruned:
    """Drop unneeded tokens, damaged fragments and leftovers of dead writers; merge small fragments.

    A source is dropped if all given conditions hold; without a condition none is. Dropped sources are encoded again
    when needed. An encoder named as the only condition loses all its tokens.

    Args:
        store: its folder, as for `open_store`.
        encoder: drop only tokens of this encoder, by name or full identity; several identities may share a name.
        keep: cohorts or manifests whose contents are kept, whatever encoded them.
        older_than_days: drop only tokens written more than this number of days ago.
        dry: only count the sources.

    Raises:
        Unsupported: the store holds nothing of this encoder.
        ValueError: a negative number of days.
        CohortError: a manifest cannot be opened.
    """
    if older_than_days is not None and not older_than_days >= 0:
        raise ValueError("an age in days is 0 or more")
    cohorts = [cohort if isinstance(cohort, Cohort) else open_cohort(cohort) for cohort in keep]
    opened = open_store(store)
    kept: Any = np.concatenate([content_keys(cohort, opened) for cohort in cohorts]) if cohorts else None
    if encoder is not None and kept is None and older_than_days is None:
        kept = ()  # the encoder is the condition
    sources = freed = 0
    for identity in [None] if encoder is None else identities(opened, encoder):
        chosen: dict[str, Any] = {"encoder": identity, "keep_contents": kept, "older_than_days": older_than_days}
        sources += opened.droppable(**chosen)
        freed += 0 if dry else opened.prune(**chosen)
    return Pruned(sources, freed)


def identities(store: TokenStore, encoder: str) -> list[str]:
    """Return the identities in a store that match an encoder's name or full identity.

    Raises:
        Unsupported: there is none.
    """
    stored = store.shows()
    found = [entry.encoder for entry in stored if encoder in (entry.encoder, entry.name)]
    if not found:
        known = ", ".join(sorted({entry.name for entry in stored})) or "nothing"
        raise Unsupported(f"the token store holds nothing of an encoder '{encoder}': it holds {known}")
    return found
