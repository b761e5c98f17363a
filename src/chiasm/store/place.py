"""Folders of the token store: where it is, the file that marks it, and a folder inside for each encoder."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

from chiasm.store.files import StoreError, fsync_folder, write_whole

SCHEMA = 1
STORE, ENCODER = "store.json", "encoder.json"
MAX_JSON_BYTES = 1 << 20
FOLDER = re.compile(r"[0-9a-f]{32}")
ELSEWHERE = "choose another folder with CHIASM_STORE"


def default_store() -> Path:
    """Return the folder that CHIASM_STORE names, else `chiasm/tokens` in the user's cache folder."""
    if named := os.environ.get("CHIASM_STORE"):
        return Path(named).expanduser()
    if sys.platform == "darwin":
        caches = Path.home() / "Library" / "Caches"
    elif sys.platform == "win32":
        caches = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return caches / "chiasm" / "tokens"


def is_store(root: Path) -> bool:
    """Tell whether the folder is a store; False if nothing is there yet.

    Raises:
        StoreError: the folder holds something else, or a damaged store, or one of a newer chiasm.
    """
    try:
        names = os.listdir(root)  # noqa: PTH208
    except FileNotFoundError:
        return False
    except OSError:
        raise StoreError(f"the token store is not a folder that can be read: {ELSEWHERE}") from None
    if not (root / STORE).exists():  # checked after the listing, because whoever makes a store writes this file first
        if all(name.startswith(".") for name in names):
            return False
        raise StoreError(f"the folder of the token store holds other files: {ELSEWHERE}")
    schema = _read_json(root / STORE).get("schema")
    if not isinstance(schema, int) or schema < 1:
        raise StoreError(f"'{STORE}' of the token store is damaged: move the store away, it is made again")
    if schema > SCHEMA:
        raise StoreError(f"the token store was written by a newer chiasm: update chiasm, or {ELSEWHERE}")
    return True


def encoder_folders(root: Path) -> list[Path]:
    """List the folders of all encoders in a store."""
    if not is_store(root):
        return []
    return sorted(path for path in root.iterdir() if FOLDER.fullmatch(path.name) and path.is_dir())


def encoder_folder(root: Path, encoder: str) -> Path:
    """Return the folder of an encoder's tokens, whether it exists or not."""
    is_store(root)
    return root / _digest(encoder)


def make_encoder_folder(root: Path, encoder: str) -> Path:
    """Create the store and the encoder's folder, each for its owner alone; return the latter."""
    folder = root / _digest(encoder)
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not is_store(root):
            _write_json(root, STORE, {"schema": SCHEMA})
        if not folder.is_dir():
            folder.mkdir(mode=0o700, exist_ok=True)
            fsync_folder(root)
    except OSError as fault:
        what = fault.strerror or "input or output failed"
        raise StoreError(f"the token store cannot be made ({what}): {ELSEWHERE}") from None
    if identity(folder) is None:
        _write_json(folder, ENCODER, {"encoder": encoder})
    return folder


def identity(folder: Path) -> str | None:
    """Read the identity of a folder's encoder; None if it is lost."""
    encoder = _read_json(folder / ENCODER).get("encoder")
    return encoder if isinstance(encoder, str) and _digest(encoder) == folder.name else None


def _digest(encoder: str) -> str:
    return hashlib.sha256(encoder.encode()).hexdigest()[:32]


def _write_json(folder: Path, name: str, document: dict[str, Any]) -> None:
    write_whole(folder, lambda sink: sink.write(json.dumps(document).encode()), lambda _: name)


def _read_json(path: Path) -> dict[str, Any]:
    """Read an object from a small JSON file; empty if it is missing or invalid."""
    with contextlib.suppress(OSError, ValueError, RecursionError):
        if not path.is_symlink() and path.stat().st_size <= MAX_JSON_BYTES:
            document = json.loads(path.read_bytes())
            return document if isinstance(document, dict) else {}
    return {}
