"""Label maps are read from NIfTI, PNG, arrays and text, alike, and what is wrong is said by its row without a value."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import chiasm
from chiasm import limits
from chiasm.cohort.mask_files import read_masks
from chiasm.models.same_target import stored_columns
from chiasm.readers.image.volume import VolumeReader
from chiasm.targets.channel_cells import Unread
from chiasm.targets.label_maps import LabelMaps, as_text, map_of, of_numbers, of_text, stretched, usual_map
from chiasm.targets.mask_cells import ReadMap

LABELS = ("kidney", "tumour")
CODES = np.array([[0, 1, 1, 0], [0, 1, 2, 2], [0, 0, 0, 2]], dtype=np.uint8)


def frames(cells: list[object], **options: object) -> chiasm.Cohort:
    ids = [f"p{k}" for k in range(len(cells))]
    frame = pd.DataFrame({"map": pd.Series(cells, index=ids, dtype=object)})
    clinical = pd.DataFrame({"age": np.arange(len(ids))}, index=ids)
    target = chiasm.Mask("map", LABELS, **options)
    return chiasm.cohort_from_frames(frame, {"clinical": clinical}, target=target)


def test_texts_numbers_and_codes_come_back() -> None:
    rng = np.random.default_rng(0)
    for shape in ((5, 7), (3, 4, 5), (1, 1)):
        codes = rng.integers(0, 3, shape)
        own = map_of(codes, (0.5,) * len(shape))
        for again in (of_text(as_text(own, LABELS), LABELS), of_numbers(np.r_[own.numbers(), np.nan])):
            np.testing.assert_array_equal(again.codes, codes)
            assert again.shape == shape and again.spacing == (0.5,) * len(shape)
        many = np.bincount(codes.reshape(-1), minlength=3)[1:]
        np.testing.assert_allclose(own.volumes(2), many * 0.5 ** len(shape))
    empty = map_of(np.zeros((2, 2), dtype=int))
    assert of_text(as_text(empty, LABELS), LABELS).codes.sum() == 0 == of_numbers(empty.numbers()).codes.sum()


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{}", '{"shape":[2,2],"spacing":[1,1],"runs":{"lung":[0,1]}}',
        '{"shape":[2,2],"spacing":[1,1],"runs":{"kidney":[3,2]}}',
        '{"shape":[2,2],"spacing":[1,1],"runs":{"kidney":[0]}}',
        '{"shape":[2,2],"spacing":[1,1],"runs":{"kidney":[0,2],"tumour":[1,1]}}',
        '{"shape":[2],"spacing":[1],"runs":{}}', '{"shape":[2,2],"spacing":[1,NaN],"runs":{}}',
        '{"shape":[100000,100000],"spacing":[1,1],"runs":{}}', '{"shape":[2,true],"spacing":[1,1],"runs":{}}',
        '{"shape":[2,2],"spacing":[1,1],"runs":{"kidney":[-1,1]}}',
    ],
)  # fmt: skip
def test_what_is_no_label_map_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a label map is JSON"):
        of_text(text, LABELS)


def test_pictures_arrays_and_text_say_the_same(tmp_path: Path) -> None:
    Image.fromarray(CODES).save(tmp_path / "grey.png")
    palette = Image.fromarray(CODES, mode="P")
    palette.putpalette([0, 0, 0, 250, 10, 10, 10, 250, 10])
    palette.save(tmp_path / "palette.png")
    Image.fromarray(CODES.astype(np.uint16)).save(tmp_path / "deep.png")
    for cell in read_masks(tmp_path, ["grey.png", "palette.png", "deep.png"], (0.5, 2.0)):
        assert isinstance(cell, ReadMap) and cell.runs.spacing == (0.5, 2.0)
        np.testing.assert_array_equal(cell.runs.codes, CODES)
    made = frames([tmp_path / "grey.png", CODES, as_text(map_of(CODES), LABELS)])
    assert made.outcome is not None and made.outcome.maps is not None
    assert len(set(made.outcome.maps.texts.tolist())) == 1
    np.testing.assert_array_equal(made.outcome.value, [[3, 3]] * 3)
    other = frames([CODES * 4] * 2, codes=(8, 4)).outcome
    assert other is not None and other.maps is not None
    np.testing.assert_array_equal(other.maps.of(0).codes, np.array([0, 2, 1])[CODES])


@pytest.mark.parametrize("flips", [(1, 1, 1), (-1, 1, -1)])
def test_a_label_map_lies_as_the_reader_of_volumes_lays_its_image(tmp_path: Path, flips: tuple[int, ...]) -> None:
    nibabel = pytest.importorskip("nibabel")
    rng = np.random.default_rng(1)
    codes = rng.integers(0, 3, (3, 4, 5)).astype(np.uint8)
    affine = np.array([[0, 0, 2.0 * flips[2], 7], [3.0 * flips[0], 0, 0, -2], [0, 0.5 * flips[1], 0, 4], [0, 0, 0, 1]])
    nibabel.save(nibabel.Nifti1Image(codes, affine), tmp_path / "map.nii.gz")
    (found,) = read_masks(tmp_path, ["map.nii.gz"], ())
    volume = VolumeReader().read(tmp_path / "map.nii.gz")
    assert isinstance(found, ReadMap) and found.affine is not None
    np.testing.assert_array_equal(found.runs.codes, volume.values[0])
    np.testing.assert_allclose(found.runs.spacing, volume.spacing, rtol=1e-6)
    place = np.argwhere(codes == 2)[0]  # the same point in the patient by either affine
    here = np.array([affine @ np.r_[own, 1] for own in np.argwhere(codes == 2)])
    there = np.array([found.affine @ np.r_[own, 1] for own in np.argwhere(found.runs.codes == 2)])
    np.testing.assert_allclose(np.sort(here, axis=0), np.sort(there, axis=0), atol=1e-5)
    assert len(place) == 3


def test_files_that_cannot_be_read_are_said(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((3, 3, 3), dtype=np.uint8)).save(tmp_path / "colour.png")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n")
    (tmp_path / "broken.nii.gz").write_bytes(b"\x1f\x8b" + bytes(30))
    (tmp_path / "map.txt").write_text("1")
    names = ["colour.png", "broken.png", "broken.nii.gz", "map.txt", "nowhere.png", "../map.png"]
    words = ["without a palette", "damaged", "damaged", "ends in none", "not there", "of which"]
    nibabel = pytest.importorskip("nibabel")
    for name, value in (("nan", np.nan), ("half", 0.5), ("negative", -1), ("large", 1e30)):
        codes = np.full((2, 2, 2), value, dtype=np.float32)
        nibabel.save(nibabel.Nifti1Image(codes, np.eye(4)), tmp_path / f"{name}.nii.gz")
        names.append(f"{name}.nii.gz")
        words.append("no codes")
    for name, said in zip(names, words, strict=True):
        (found,) = read_masks(tmp_path, [name], ())
        assert isinstance(found, Unread) and said in found.what, name


def test_labels_and_codes_are_no_columns_of_the_outcome() -> None:
    """Else the page of other patients says that the outcome has another name, and a card refuses its own trial."""
    for own in (chiasm.Mask("map", LABELS, (1, 4), (0.5, 0.5)), chiasm.Boxes("map", LABELS)):
        assert stored_columns(own.stored()) == ["map"]


def test_a_png_of_more_pixels_than_pillow_opens_is_said(tmp_path: Path) -> None:
    def chunk(name: bytes, held: bytes) -> bytes:
        return struct.pack(">I", len(held)) + name + held + struct.pack(">I", zlib.crc32(name + held))

    head = struct.pack(">IIBBBBB", 19_000, 19_000, 1, 0, 0, 0, 0)
    parts = (chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(b"")), chunk(b"IEND", b""))
    (tmp_path / "large.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    (found,) = read_masks(tmp_path, ["large.png"], ())
    assert isinstance(found, Unread) and "more pixels" in found.what


def test_a_large_map_that_packs_well_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limits scaled down: a map of few runs packs to a five-hundredth, and is none of nothing."""
    nibabel = pytest.importorskip("nibabel")
    codes = np.zeros((64, 64, 64), dtype=np.uint8)
    codes[20:40, 20:40, 20:40] = 1
    nibabel.save(nibabel.Nifti1Image(codes, np.eye(4)), tmp_path / "map.nii.gz")
    monkeypatch.setattr(limits, "DECODED_BYTES", codes.size)
    (found,) = read_masks(tmp_path, ["map.nii.gz"], ())
    assert isinstance(found, ReadMap) and found.runs.volumes(1) == 8000


def test_findings_name_rows_and_no_value() -> None:
    deep = np.zeros((1, 3, 4), dtype=np.int64)
    cells = [CODES, CODES, CODES * 0, None, CODES + 5, deep, "{}", np.array([[-1]]), '{"runs":{"lung":[]}}']
    made = frames(cells)
    told = {own.what.partition("column 'map' ")[2]: (own.row, own.severity) for own in made.findings}
    assert told["names a label map without a label"] == (4, "warning") and told["is missing"] == (5, "warning")
    assert told["names a label map with a code that [target] does not declare"] == (6, "error")
    assert told["names a label map of another number of axes than most"] == (7, "error")
    assert told["holds a label that [target] does not declare"] == (10, "error")
    assert any("other than a path" in what and where == (8, "error") for what, where in told.items())
    assert "lung" not in str(made.findings) and "p4" not in str(made.findings)
    assert made.outcome is not None and made.outcome.known.tolist() == [True] * 3 + [False] * 6
    slices = frames([deep + 1, deep]).findings
    assert any("one slice" in own.what for own in slices)
    long = frames([as_text(map_of(deep[0] + 1, (9.0, 1.0)), LABELS)] * 2).findings
    assert any("over 5 times longer" in own.what for own in long)


def test_one_label_may_be_a_word_and_is_not_its_letters() -> None:
    assert [own("map", "lung").labels for own in (chiasm.Mask, chiasm.Boxes)] == [("lung",)] * 2  # type: ignore[arg-type]


def test_a_target_of_wrong_keys_is_refused(tmp_path: Path) -> None:
    for options, said in (
        ({"labels": ()}, "no labels"), ({"labels": ("a", "a")}, "one twice"), ({"codes": (1,)}, "no number for each"),
        ({"codes": (0, 1)}, "no number for each"), ({"spacing": (1.0,)}, "rows and columns"),
        ({"tolerance": -1.0}, "distance"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=said):
            chiasm.Mask("map", **{"labels": LABELS, **options})
    with pytest.raises(chiasm.CohortError, match="no label map has a label"):
        chiasm.evaluate(frames([CODES * 0] * 30), ["single:clinical"], out=None)
    (found,) = [own for own in chiasm.check_cohort(frames([CODES % 2] * 12)) if "in no label map" in own.what]
    assert found.severity == "warning" and "tumour" in found.what


def test_what_label_maps_have_on_average_is_by_hand() -> None:
    """At each share of the sides the code of most: two of three have `kidney` at the left, two `tumour` right."""
    maps = [np.array([[1, 2]]), np.array([[1, 1, 0, 0]] * 2), np.array([[0, 2]])]
    texts = np.array([as_text(map_of(own), LABELS) for own in maps] + [""], dtype=object)
    usual = usual_map(LabelMaps(texts, LABELS, 1.0, np.full(4, None, dtype=object)))
    np.testing.assert_array_equal(usual.codes, [[1, 2]])
    np.testing.assert_array_equal(stretched(usual.codes, (2, 4)), [[1, 1, 2, 2]] * 2)
