"""What a person means by pruning the token store: encoders by their name, a count before anything goes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from chiasm.cohort import Unsupported
from chiasm.encoders.store import TokenStore


@dataclass(frozen=True)
class Pruned:
    """Sources that were dropped, and bytes freed on disk; less than nothing where merging wrote more than it freed."""

    sources: int = 0
    bytes: int = 0


def prune(
    store: TokenStore,
    *,
    encoder: str | None = None,
    keep: Collection[str] | None = None,
    older_than_days: float | None = None,
    dry: bool = False,
) -> Pruned:
    """Drop the sources for which each condition given holds, and tidy; without a condition only tidy.

    Args:
        encoder: what this one gave, by its name or its whole identity; several identities may share a name.
        keep: content keys; a source is dropped when its own is none of them.
        older_than_days: it was written more than so many days ago.
        dry: only count the sources.

    Raises:
        Unsupported: the store holds nothing of such an encoder.
        ValueError: days below zero.
    """
    if older_than_days is not None and not older_than_days >= 0:
        raise ValueError("an age in days is 0 or more")
    if encoder is not None and keep is None and older_than_days is None:
        keep = ()  # the encoder is the condition
    sources = freed = 0
    for identity in [None] if encoder is None else identities(store, encoder):
        chosen: dict[str, Any] = {"encoder": identity, "keep_contents": keep, "older_than_days": older_than_days}
        sources += store.droppable(**chosen)
        freed += 0 if dry else store.prune(**chosen)
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
