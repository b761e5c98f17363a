"""Little that would become much in memory: refused, or read with little beside what is returned."""

from __future__ import annotations

import struct
from collections.abc import Callable
from itertools import permutations, product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import ward_files
from refusals import bounded, refused
from test_bombs import dicom
from test_recordings_of_wards import discontinuous, interleaved

from chiasm.limits import DECODED_BYTES, MEGABYTE, is_swollen
from chiasm.readers import ReadError, reader_for
from chiasm.readers.image import voxels
from chiasm.readers.image.voxels import blocks, fill, in_file_axes
from chiasm.readers.signal import dicom_waveform, edf, pieces, recording
from chiasm.readers.signal.recording import check_spread, distinct

nibabel = pytest.importorskip("nibabel")
pyedflib = pytest.importorskip("pyedflib")
tifffile = pytest.importorskip("tifffile")
RLE = "1.2.840.10008.1.2.5"
SIGNAL = reader_for("signal")


def runs(size: int) -> bytes:
    """A frame of so many bytes as RLE packs nothing: two bytes for 128."""
    return struct.pack("<16I", 1, 64, *[0] * 14) + b"\x81\0" * (size // 128)


def test_a_series_of_runs_that_is_a_64th_of_its_pixels_is_refused(tmp_path: Path) -> None:
    path = dicom(tmp_path / "x.dcm", 20_000, RLE, runs(20_000**2))
    assert path.stat().st_size * 64 > 20_000**2
    refused(reader_for("dicom"), path, "over 200 times its size", megabytes=60)
    path = dicom(tmp_path / "y.dcm", 12_000, RLE, runs(12_000**2) + bytes(2_000_000))
    refused(reader_for("dicom"), path, "over 512 MB of memory and over 100 times its size", megabytes=60)
    assert not is_swollen(DECODED_BYTES // 4, 1) and is_swollen(DECODED_BYTES // 4 + 1, DECODED_BYTES // 200)
    assert not is_swollen(DECODED_BYTES // 4 + 1, DECODED_BYTES // 200 + 1)


def test_a_frame_is_brought_to_its_units_by_parts(tmp_path: Path) -> None:
    """Beside the array that is returned lie a few times the stored pixels, and not 16 bytes for each."""
    path = dicom(tmp_path / "x.dcm", 2048, RLE, runs(2048**2))
    with bounded((4 + 4) * 4 + 20):
        volume = reader_for("dicom").read(path)
    assert volume.values.shape == (1, 1, 2048, 2048) and not volume.values.any()


@pytest.mark.parametrize("pages", [1, 4])
@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_a_tiff_lies_in_memory_once(tmp_path: Path, kind: type, pages: int) -> None:
    """In single precision, with a page as it is stored beside it, and no second copy."""
    pixels = np.random.default_rng(0).integers(0, 255, (pages, 2048, 2048)).astype(kind)
    tifffile.imwrite(tmp_path / "x.tif", pixels, photometric="minisblack", metadata=None)
    page, whole = pixels[0].nbytes / MEGABYTE, 4 * pixels.size / MEGABYTE
    reader_for("image").inspect(tmp_path / "x.tif")
    with bounded(whole + page + (whole / pages if pages > 1 else 0) + 6):
        found = reader_for("image").read(tmp_path / "x.tif").values
    assert np.array_equal(found, pixels)


@pytest.mark.parametrize("shape", [(200, 200, 100), (30_000, 130, 1), (1, 130, 30_000)], ids=str)
def test_a_volume_is_unpacked_by_parts(tmp_path: Path, shape: tuple[int, int, int]) -> None:
    image = nibabel.Nifti1Image(np.zeros(shape, np.float64), np.eye(4))
    image.to_filename(tmp_path / "x.nii.gz")
    values = int(np.prod(shape))
    reader_for("volume").inspect(tmp_path / "x.nii.gz")
    with bounded((4 * values >> 20) + 28):
        assert reader_for("volume").read(tmp_path / "x.nii.gz").values.size == values


@pytest.mark.parametrize("block", [1, 5, 6, 40, 10_000])
def test_blocks_are_the_whole_in_its_order(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voxels, "BLOCK", block)
    for shape in ((3, 4, 5), (1, 1, 17), (17, 1, 1), (2, 9, 1)):
        whole = np.arange(int(np.prod(shape))).reshape(shape)
        found = [whole[part].ravel() for part in blocks(shape)]
        np.testing.assert_array_equal(np.concatenate(found), whole.ravel())
        assert max(map(len, found)) <= block


def test_the_axes_of_a_file_are_those_that_nibabel_turns() -> None:
    rng = np.random.default_rng(0)
    for axes, signs in product(permutations(range(3)), product((1, -1), repeat=3)):
        stored = rng.normal(size=(2, 3, 4)).astype(np.float32)
        orientation = np.column_stack([axes, signs]).astype(float)
        right = nibabel.orientations.apply_orientation(stored, orientation)[::-1, ::-1].transpose(2, 1, 0)
        values = np.empty(right.shape, np.float32)
        in_file_axes(values, orientation)[...] = stored
        np.testing.assert_array_equal(values, right)


def test_the_smallest_number_fills_what_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voxels, "BLOCK", 4)
    values = np.arange(24, dtype=np.float32).reshape(2, 3, 4) - 7
    values[0, 0, :] = values[1, 2, 3] = np.nan
    fill(values)
    assert values[0, 0].tolist() == [-3.0] * 4 and values[1, 2, 3] == -3.0
    for wrong in (np.full((1, 2, 3), np.nan, np.float32), np.array([[[1.0, np.inf]]], np.float32)):
        with pytest.raises(ReadError, match="infinite, or none"):
            fill(wrong)


def days_apart(folder: Path) -> Path:
    few = ward_files.stored(1, 60)
    sets = (ward_files.sequence_set(few, ["I"], head=f"200201{day}000000.000") for day in ("01", "11"))
    return ward_files.aecg(folder / "x.xml", *sets)


def repeated(folder: Path) -> Path:
    interleaved(folder, "s")
    (folder / "r.hea").write_text("r/4096 2 125 4096000\n" + "s 1000\n" * 4096)
    return folder / "r"


def of_two_rates(folder: Path) -> Path:
    """A fast lead beside so many slow ones that together they are 60 times what is stored."""
    leads = 60
    with pyedflib.EdfWriter(str(folder / "x.edf"), leads, pyedflib.FILETYPE_EDF) as writer:
        for k in range(leads):
            head = {"label": f"l{k}", "dimension": "uV", "sample_frequency": 400_000 if k == 0 else 1,
                    "physical_max": 1, "physical_min": -1, "digital_max": 9, "digital_min": -9}  # fmt: skip
            writer.setSignalHeader(k, head)
        writer.writeSamples([np.zeros(400_000), *[np.zeros(1)] * (leads - 1)])
    return folder / "x.edf"


SPREAD: dict[str, Callable[[Path], Path]] = {
    "aECG": days_apart,
    "EDF": lambda folder: discontinuous(folder / "x.edf", [*map(float, range(9)), 1e6]),
    "WFDB": repeated,
    "rates": of_two_rates,
}


@pytest.mark.parametrize("name", SPREAD)
def test_a_recording_of_nearly_nothing_but_gaps_is_refused(name: str, tmp_path: Path) -> None:
    path = SPREAD[name](tmp_path)
    refused(SIGNAL, path, "over 40 times the samples", megabytes=60)
    check_spread(19_000_000, 1)
    check_spread(90_000_000, 90_000_000 // 40)


def test_a_header_of_scp_that_lies_about_its_samples_is_refused(tmp_path: Path) -> None:
    path = ward_files.scp(tmp_path / "x.scp", values=ward_files.stored(8, 60), leads=ward_files.TWELVE[:8])
    content = bytearray(path.read_bytes())
    place = content.find(struct.pack("<IIB", 1, 60, 1))
    content[place + 4 : place + 8] = struct.pack("<I", 60_000_000)
    path.write_bytes(ward_files.checked_scp(bytes(content)))
    with bounded(20), pytest.raises(ReadError, match="cut off or damaged"):
        SIGNAL.inspect(path)


def test_a_waveform_that_inflates_beyond_a_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dicom_waveform, "MOST_INFLATED", 100_000)

    def deflated(whole: Any) -> None:
        whole.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1.99"

    sound = ward_files.dicom(tmp_path / "a.dcm", ward_files.stored(12, 1000), change=deflated)
    assert SIGNAL.read(sound).values.shape == (12, 1000)
    path = ward_files.dicom(tmp_path / "x.dcm", np.zeros((12, 9000), np.int16), change=deflated)
    assert path.stat().st_size < 10_000
    refused(SIGNAL, path, "inflates to over 0 MB", megabytes=5)


def test_thousands_of_leads_and_of_stretches_at_one_time_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = "".join(
        ward_files.sequence_set(ward_files.stored(1, 5), ["I"]).replace('MDC_ECG_LEAD_I"', f'X{k}"')
        for k in range(1001)
    )
    refused(SIGNAL, ward_files.aecg(tmp_path / "names.xml", named), "more than 1,000 leads")
    monkeypatch.setattr(pieces, "MOST_TRIES", 20)
    whole = ward_files.aecg(tmp_path / "x.xml").read_text()
    apart = "".join(
        f"<component><series>{ward_files.sequence_set(np.full((1, 5), 9 * k), ['I'])}</series></component>"
        for k in range(30)
    )
    (tmp_path / "x.xml").write_text(whole[: whole.index("<component><series>")] + apart + "</AnnotatedECG>")
    refused(SIGNAL, tmp_path / "x.xml", "too many stretches")


def test_names_are_made_distinct_however_many_are_alike() -> None:
    assert distinct(["a", "a", "a 2", "", "a"]) == ("a", "a 2", "a 2 2", "lead 4", "a 3")
    found = distinct(["ECG"] * 20_000)  # in the cube of them before
    assert found[-1] == "ECG 20000" and len(set(found)) == 20_000


def test_the_header_of_a_discontinuous_recording_is_read_without_its_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = discontinuous(tmp_path / "x.edf", [*map(float, range(300))])
    opened = []

    def reader(copy: str, **options: Any) -> Any:
        opened.append(Path(copy).stat())
        return pyedflib.EdfReader(copy, **options)

    monkeypatch.setattr(edf, "_pyedflib", lambda: SimpleNamespace(**{**vars(pyedflib), "EdfReader": reader}))
    assert SIGNAL.inspect(path) is not None and SIGNAL.read(path).values.shape == (1, 300 * 250)
    header, whole = opened
    assert header.st_size == whole.st_size == path.stat().st_size
    assert header.st_blocks * 512 < 20_000 < whole.st_blocks * 512


def test_a_gap_is_left_out_by_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    row = np.sin(np.arange(5000) / 7)
    row[1000:3000] = np.nan
    whole = [recording.without_gaps(row, 250, hz) for hz in (250, 100, 360)]
    monkeypatch.setattr(recording, "BLOCK", 7)
    for hz, right in zip((250, 100, 360), whole, strict=True):
        np.testing.assert_array_equal(recording.without_gaps(row, 250, hz), right)
        assert np.isnan(right).sum() == pytest.approx(2000 * hz / 250, abs=3)
