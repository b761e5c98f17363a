"""The mark in a file's header which says that its pixels were generated, and by what."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from chiasm.readers.image.generated import KEY, SHORT, mark_text

COMMENT = 6  # code of a NIfTI extension that is text
DESCRIPTION = 79  # letters of a description in NIfTI


def mark_of(generator: str, seed: int, **facts: Any) -> dict[str, Any]:
    """What a mark says: the generator, its seed, this version, and facts; no word of the patient."""
    return {"generator": generator, "seed": seed, "version": version("chiasm"), **facts}


def mark_nifti(image: Any, mark: Mapping[str, Any]) -> None:
    """Put a mark into the header of an image of nibabel: a description, and an extension with all of it."""
    from nibabel.nifti1 import Nifti1Extension

    image.header["descrip"] = f"{SHORT} ({mark['generator']})"[:DESCRIPTION].encode("ascii", "replace")
    text = json.dumps({KEY: dict(mark)}, sort_keys=True)
    image.header.extensions.append(Nifti1Extension(COMMENT, text.encode()))


def png_mark(mark: Mapping[str, Any]) -> Any:
    """The text of a PNG with the mark, for Pillow's `pnginfo`."""
    from PIL.PngImagePlugin import PngInfo

    text = PngInfo()
    text.add_text(KEY, json.dumps(dict(mark), sort_keys=True))
    return text


def mark_in(path: Path) -> dict[str, Any] | None:
    """The mark of a PNG or NIfTI file, whatever its name: None where it has none, empty where it says no more."""
    text = mark_text(path)
    if text is None:
        return None
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    own = told.get(KEY, told) if isinstance(told, dict) else None
    return own if isinstance(own, dict) else {}
