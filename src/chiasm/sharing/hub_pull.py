"""A model from the Hugging Face Hub: one revision by its full hash, looked at before anything of it is opened."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chiasm.artifact import DESCRIPTION, FILES, WEIGHTS
from chiasm.limits import MODEL_JSON_BYTES, WEIGHTS_BYTES
from chiasm.sharing.hub_place import FULL_HASH, HubError, HubPlace, hub_place
from chiasm.shown import visible

OF_THE_HUB = ("README.md", ".gitattributes")
SMALL_BYTES = 1 << 20  # of a card or a signature
LIMITS = {DESCRIPTION: MODEL_JSON_BYTES, WEIGHTS: WEIGHTS_BYTES}


@dataclass(frozen=True)
class Listed:
    """A file of a revision: its name, size and the hash by which its content is known."""

    name: str
    size: int
    sha256: str = ""
    blob: str = ""


def named_revision(text: str) -> tuple[HubPlace, str]:
    """Take `owner/name@revision` apart, where the revision is a full hash.

    A branch or a tag may stand for another model tomorrow, so it is refused with the hash for which it stands now.

    Raises:
        HubError: no repository, or no full hash.
    """
    repository, _, revision = text.partition("@")
    place = hub_place(repository)
    if FULL_HASH.fullmatch(revision):
        return place, revision
    asked = revision or "main"
    now = place.listing(asked)["sha"]
    what = (
        f"'{visible(asked)}' is a name that may stand for another model tomorrow"
        if revision
        else "no revision is named"
    )
    raise HubError(f"{what}: {visible(asked)} is {now} now, so pull {repository}@{now}")


def listed(found: Mapping[str, Any], revision: str) -> list[Listed]:
    """Check what a revision holds, before a byte of it is fetched.

    Raises:
        HubError: it is another revision, holds a file that no model has or lacks one, or one is over its limit.
    """
    if found["sha"] != revision:
        raise HubError("the Hub answers with another revision than was asked for: ask again later")
    rows = found.get("siblings")
    files = [listed_file(row) for row in rows] if isinstance(rows, list) else []
    names = [file.name for file in files]
    strange = [name for name in names if name not in (*FILES, *OF_THE_HUB)]
    if strange:
        raise HubError(
            f"the revision holds a file that no model of chiasm has, '{visible(strange[0])[:80]}': nothing was fetched"
        )
    if len(set(names)) < len(names) or not {DESCRIPTION, WEIGHTS} <= set(names):
        raise HubError(f"the revision holds no model of chiasm: it needs {DESCRIPTION} and {WEIGHTS}, each once")
    for file in files:
        if file.name in FILES and not 0 < file.size <= (most := LIMITS.get(file.name, SMALL_BYTES)):
            raise HubError(f"'{file.name}' has {file.size:,} bytes there, where up to {most:,} are taken")
    return [file for file in files if file.name in FILES]


def listed_file(row: Any) -> Listed:
    """Read one file of a listing."""
    large = row.get("lfs") if isinstance(row, dict) else None
    if not isinstance(row, dict) or not isinstance(row.get("rfilename"), str):
        raise HubError("the Hub's list of files is not one: ask again later")
    size, blob = row.get("size"), row.get("blobId")
    sha256 = large.get("sha256") if isinstance(large, dict) else ""
    size = large.get("size", size) if isinstance(large, dict) else size
    known = isinstance(size, int) and not isinstance(size, bool) and isinstance(sha256, str) and (sha256 or blob)
    if not known and row["rfilename"] in FILES:
        raise HubError(f"the Hub gives no size and hash of '{row['rfilename']}': ask again later")
    return Listed(row["rfilename"], size if isinstance(size, int) else 0, sha256 or "", str(blob or ""))


def fetch(place: HubPlace, revision: str, files: list[Listed], folder: Path) -> None:
    """Fetch files into a folder that nobody else reads, each with the size and the hash that were listed.

    Raises:
        HubError: a file is shorter, longer or other than was listed.
        OSError: the disk is full.
    """
    if sum(file.size for file in files) > shutil.disk_usage(folder).free:
        raise OSError(28, os.strerror(28), str(folder))
    for file in files:
        sha256, blob = hashlib.sha256(), hashlib.sha1(b"blob %d\0" % file.size, usedforsecurity=False)
        got = 0
        new = os.O_CREAT | os.O_EXCL | os.O_WRONLY  # nothing is there, no link either
        with os.fdopen(os.open(folder / file.name, new, 0o600), "wb") as out:
            for part in place.file(revision, file.name, file.size):
                out.write(part)
                got += len(part)
                sha256.update(part)
                blob.update(part)
        if got != file.size:
            raise HubError(f"'{file.name}' came with {got:,} of {file.size:,} bytes: pull again")
        whole = sha256.hexdigest() == file.sha256 if file.sha256 else blob.hexdigest() == file.blob
        if not whole:
            raise HubError(f"'{file.name}' came with another content than the revision lists: nothing of it was kept")
