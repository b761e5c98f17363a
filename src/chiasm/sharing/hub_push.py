"""A model to the Hugging Face Hub: the files of its folder and no other, in one commit."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from chiasm.artifact import FILES
from chiasm.sharing.hub_place import HubError, HubPlace, told_plainly
from chiasm.sharing.hub_pull import LIMITS, OF_THE_HUB, SMALL_BYTES

README = "README.md"
QUIET = {"HF_HUB_DISABLE_TELEMETRY": "1"}


def files_of(folder: Path) -> list[Path]:
    """List the files of a model folder that are sent.

    Raises:
        HubError: one is a link, or larger than what `pull` takes.
    """
    files = [folder / name for name in FILES if (folder / name).exists() or (folder / name).is_symlink()]
    for file in files:
        if file.is_symlink() or not file.is_file():
            raise HubError(f"'{file.name}' is a link or no file: copy the model folder as it is")
        if file.stat().st_size > LIMITS.get(file.name, SMALL_BYTES):
            raise HubError(f"'{file.name}' is larger than any that is pulled: leave out what is not the model's")
    return files


def sent(place: HubPlace, files: list[Path], card: str, *, public: bool) -> tuple[str, bool]:
    """Send files and card in one commit, and return its hash and whether the repository is private.

    Other files of a model that are there, as an older signature, are removed: the revision holds what was listed.

    Raises:
        HubError: the repository is public and `public` is False, it holds other files, or the Hub refuses.
    """
    os.environ.update(QUIET)
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
    from huggingface_hub.utils import disable_progress_bars

    disable_progress_bars()
    api = HfApi(endpoint=place.endpoint, library_name="chiasm")
    with told_plainly(f"'{place.repository}'"):
        api.create_repo(place.repository, private=not public, exist_ok=True)
        found: Any = api.model_info(place.repository, timeout=30)
        if not found.private and not public:
            raise HubError(f"'{place.repository}' is public: make it private there, or add --public if all may read it")
        there = {row.rfilename for row in found.siblings or ()}
        strange = sorted(there - {*FILES, *OF_THE_HUB})
        if strange:
            raise HubError(
                f"'{place.repository}' holds files of something else: push to a repository of the model's own"
            )
        added = [CommitOperationAdd(file.name, str(file)) for file in files]
        added.append(CommitOperationAdd(README, card.encode()))
        gone = sorted((there & {*FILES}) - {file.name for file in files})
        removed = [CommitOperationDelete(name) for name in gone]
        done = api.create_commit(
            place.repository, [*added, *removed], commit_message="A model of chiasm", parent_commit=found.sha
        )
    return str(done.oid), bool(found.private)
