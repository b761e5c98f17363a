"""The keys under which what is made of sources is stored: their contents, and whatever else their readers use."""

from __future__ import annotations

from pathlib import Path

from chiasm.cohort import Items
from chiasm.cohort.digests import Digests, as_hex, digest_of
from chiasm.cohort.file_digests import header_lines, header_of


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
