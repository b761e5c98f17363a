"""A file that says that it was generated says so under any name, in any of the places where that is said."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from chiasm.api.editing import _read
from chiasm.api.enhancing import enhance
from chiasm.cohort import Unsupported
from chiasm.generation.marks import mark_in, mark_nifti, mark_of, png_mark
from chiasm.readers.image.generated import KEY
from chiasm.readers.image.image import ImageReader
from chiasm.readers.image.volume import VolumeReader
from chiasm.readers.reading import ReadError

MARK = mark_of("field", 3)
PIXELS = np.arange(64, dtype=np.uint8).reshape(8, 8)


def late(path: Path) -> None:
    """Bring the texts of a PNG behind its pixels."""
    whole, at, parts = path.read_bytes(), 8, []
    while at < len(whole):
        end = at + 12 + struct.unpack(">I", whole[at : at + 4])[0]
        parts.append(whole[at:end])
        at = end
    texts = [part for part in parts if part[4:8] == b"tEXt"]
    rest = [part for part in parts if part not in texts]
    path.write_bytes(whole[:8] + b"".join([*rest[:-1], *texts, rest[-1]]))


@pytest.mark.parametrize("how", ["plain", "renamed", "late", "no JSON"])
def test_a_marked_picture_is_known_by_readers_and_refused(tmp_path: Path, how: str) -> None:
    text = png_mark(MARK)
    if how == "no JSON":
        text = PngInfo()
        text.add_text(KEY, "yes")
    Image.fromarray(PIXELS).save(tmp_path / "own.png", pnginfo=text)
    path = tmp_path / ("own.jpg" if how == "renamed" else "own.png")
    if how == "renamed":
        shutil.move(tmp_path / "own.png", path)
    if how == "late":
        late(path)
    assert "its pixels were generated" in ImageReader().inspect(path)[0]
    assert mark_in(path) == ({} if how == "no JSON" else MARK)
    for refused in (lambda: enhance(path, steps=1), lambda: _read(path, "picture")):
        with pytest.raises(Unsupported, match="says that it was generated"):
            refused()


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
@pytest.mark.parametrize("lacks", ["nothing", "extension", "description"])
def test_a_marked_volume_is_known_by_readers_and_refused(tmp_path: Path, kind: type, ending: str, lacks: str) -> None:
    made = kind(np.arange(64, dtype=np.int16).reshape(4, 4, 4), np.eye(4))
    mark_nifti(made, MARK)
    if lacks == "extension":
        made.header.extensions.clear()
    if lacks == "description":
        made.header["descrip"] = b"another program"
    path = tmp_path / f"own{ending}"
    nibabel.save(made, path)
    assert any("its voxels were generated" in note for note in VolumeReader().inspect(path))
    assert mark_in(path) == ({} if lacks == "extension" else MARK)
    with pytest.raises(Unsupported, match="says that it was generated"):
        enhance(path, steps=1)


def test_a_damaged_picture_is_told_as_one_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no picture")
    with pytest.raises(ReadError, match="neither a PNG") as told:
        _read(tmp_path / "bad.png", "picture")
    assert str(tmp_path) not in str(told.value)
