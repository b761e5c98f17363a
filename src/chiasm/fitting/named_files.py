"""Files that a recipe's options name, such as a plan or weights: what they hold, by which fits are told apart."""

from __future__ import annotations

from pathlib import Path

from chiasm.encoders.weights import hash_of
from chiasm.protocols import NamesFiles

READ = (".json", ".safetensors")
"""Ends of the files of a folder that a fit may read."""


def files_of(recipe: object) -> tuple[str, ...]:
    """Return the files and folders that a recipe's options name, sorted."""
    return tuple(sorted(recipe.named_files)) if isinstance(recipe, NamesFiles) else ()


def contents_of(recipe: object) -> dict[str, str]:
    """Return a hash of what each of these files holds, "" where there is nothing, by words that name it."""
    return {f"content of {place}": content_of(Path(place)) for place in files_of(recipe)}


def content_of(place: Path) -> str:
    """Return a hash of what a file, or what is read of a folder, holds; "" where there is nothing."""
    found = sorted(place.iterdir()) if place.is_dir() else [place]
    files = [own for own in found if own.is_file() and (own == place or own.suffix in READ)]
    return hash_of(tuple(files)) if files else ""
