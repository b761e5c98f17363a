"""What a person means by pruning the token store: encoders by their name, a count before anything goes."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from chiasm.cohort import Cohort, Unsupported, open_cohort
from chiasm.encoding.encode import contents
from chiasm.store.token_store import TokenStore, default_store


@dataclass(frozen=True)
class Pruned:
    """Sources that were dropped, and bytes freed on disk; less than nothing where merging wrote more than it freed."""

    sources: int = 0
    bytes: int = 0


def open_store(path: Path | str | None = None) -> TokenStore:
    """The token store in a folder; None takes `$CHIASM_STORE`, or the user's cache folder. Nothing is created."""
    return TokenStore(Path(path) if path is not None else default_store())


def prune_store(
    store: Path | str | None = None,
    *,
    encoder: str | None = None,
    keep: Iterable[Cohort | str | os.PathLike[str]] = (),
    older_than_days: float | None = None,
    dry: bool = False,
) -> Pruned:
    """Drop tokens that are not needed, damaged fragments and what dead writers left; merge small fragments.

    A source is dropped when each condition given holds; without one no source is. What is dropped is encoded again when
    it is needed. An encoder named without another condition loses all it gave.

    Args:
        store: its folder, as for `open_store`.
        encoder: what this one gave, by its name or its whole identity; several identities may share a name.
        keep: cohorts or manifests; what any of them holds stays, whatever encoded it.
        older_than_days: it was written more than so many days ago.
        dry: only count the sources.

    Raises:
        Unsupported: the store holds nothing of such an encoder.
        ValueError: days below zero.
        CohortError: a manifest cannot be opened.
    """
    if older_than_days is not None and not older_than_days >= 0:
        raise ValueError("an age in days is 0 or more")
    cohorts = [cohort if isinstance(cohort, Cohort) else open_cohort(cohort) for cohort in keep]
    opened = open_store(store)
    kept: Any = np.concatenate([contents(cohort, opened) for cohort in cohorts]) if cohorts else None
    if encoder is not None and kept is None and older_than_days is None:
        kept = ()  # the encoder is the condition
    sources = freed = 0
    for identity in [None] if encoder is None else identities(opened, encoder):
        chosen: dict[str, Any] = {"encoder": identity, "keep_contents": kept, "older_than_days": older_than_days}
        sources += opened.droppable(**chosen)
        freed += 0 if dry else opened.prune(**chosen)
    return Pruned(sources, freed)


def identities(store: TokenStore, encoder: str) -> list[str]:
    """The identities in a store that an encoder's name, or one whole identity, stands for.

    Raises:
        Unsupported: there is none.
    """
    stored = store.shows()
    found = [entry.encoder for entry in stored if encoder in (entry.encoder, entry.name)]
    if not found:
        known = ", ".join(sorted({entry.name for entry in stored})) or "nothing"
        raise Unsupported(f"the token store holds nothing of an encoder '{encoder}': it holds {known}")
    return found
