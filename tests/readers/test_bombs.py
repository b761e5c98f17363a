"""Small files that announce, or unpack to, gigabytes: each is refused, and none takes the memory that it asks for."""

from __future__ import annotations

import gzip
import json
import os
import resource
import struct
import sys
import zlib
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

for package in ("pydicom", "nibabel", "tifffile", "imagecodecs", "wfdb", "anndata", "rdkit", "h5py", "PIL"):
    pytest.importorskip(package)

import anndata  # noqa: E402
import h5py  # noqa: E402
import nibabel  # noqa: E402
import tifffile  # noqa: E402
from refusals import written  # noqa: E402

from chiasm.cohort import table_bytes  # noqa: E402
from chiasm.cohort.tables import Table  # noqa: E402
from chiasm.errors import CohortError  # noqa: E402
from chiasm.limits import MEGABYTE, is_packed_nothing  # noqa: E402
from chiasm.readers import ReadError, reader_for  # noqa: E402
from young_process import run_young  # noqa: E402

MOST_MEGABYTES = 1000


def volume(shape: tuple[int, ...], kind: str = "u1") -> bytes:
    """A header that announces so many voxels, and a gzip of almost none."""
    header = nibabel.Nifti1Header()
    header.set_data_shape(shape)
    header.set_data_dtype(kind)
    header["vox_offset"], header["magic"] = 352, b"n+1"
    header.set_sform(np.eye(4), code=1)
    return gzip.compress(header.binaryblock + bytes(10**6))


def png(side: int) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(10**6)))
        + chunk(b"IEND", b"")
    )


def tiff(path: Path) -> Path:
    tifffile.imwrite(path, np.zeros((7000, 7000), np.uint8), compression="deflate", photometric="minisblack")
    return path


def dicom(path: Path, rows: int, syntax: str, stream: bytes) -> Path:
    from pydicom import Dataset, FileMetaDataset
    from pydicom.encaps import encapsulate

    data, data.file_meta = Dataset(), FileMetaDataset()
    data.file_meta.TransferSyntaxUID = syntax
    data.file_meta.MediaStorageSOPClassUID, data.file_meta.MediaStorageSOPInstanceUID = (
        "1.2.840.10008.5.1.4.1.1.7",
        "1.2",
    )
    data.SOPClassUID, data.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", "1.2"
    data.Rows = data.Columns = rows
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = 8
    data.HighBit, data.PixelRepresentation = 7, 0
    data.PixelData = encapsulate([stream])
    data["PixelData"].is_undefined_length, data["PixelData"].VR = True, "OB"
    data.save_as(path, enforce_file_format=True)
    return path


def cells(path: Path, spoil: Callable[[h5py.File], None]) -> Path:
    anndata.AnnData(np.ones((5, 4), np.float32)).write_h5ad(path)
    with h5py.File(path, "r+") as file:
        kept = dict(file["X"].attrs)
        del file["X"]
        spoil(file)
        for name, value in kept.items():
            file["X"].attrs[name] = value
    return path


def nothing(file: h5py.File) -> None:
    file.create_dataset("X", shape=(25_000, 2_000), dtype="f4", chunks=(1000, 2000), compression="gzip")


def inflating(file: h5py.File) -> None:
    machine = zlib.compressobj(1)
    packed = b"".join(machine.compress(bytes(1 << 24)) for _ in range(20)) + machine.flush()
    dataset = file.create_dataset("X", shape=(5, 4), dtype="f4", chunks=(5, 4), compression="gzip")
    dataset.id.write_direct_chunk((0, 0), packed)


def loop(file: h5py.File) -> None:
    group = file.create_group("X")
    group["loop"] = group


def flac(path: Path) -> Path:
    path.mkdir()
    (path / "r.dat").write_bytes(b"fLaC" + bytes(1000))
    (path / "r.hea").write_text("r 1 250 400000000\nr.dat 516 200 16 0 0 0 0 II\n")
    return path / "r"


def net(path: Path, atoms: int) -> Path:
    """A molecule in which every atom is bound to every other: the search for its rings ends the process."""
    bonds = list(combinations(range(1, atoms + 1), 2))
    lines = ["", "", "", "  0  0  0     0  0            999 V3000", "M  V30 BEGIN CTAB"]
    lines += [f"M  V30 COUNTS -\nM  V30 {atoms} {len(bonds)} 0 0 0", "M  V30 BEGIN ATOM"]
    lines += [f"M  V30 {k} * 0 0 0 0" for k in range(1, atoms + 1)] + ["M  V30 END ATOM", "M  V30 BEGIN BOND"]
    lines += [f"M  V30 {k} 1 {a} {b}" for k, (a, b) in enumerate(bonds, 1)] + ["M  V30 END BOND", "M  V30 END CTAB"]
    path.write_text("\n".join([*lines, "M  END", ""]))
    return path


def segments(path: Path) -> Path:
    """4,000 segments that are one, whose header is as long as it may be."""
    path.mkdir()
    leads = "".join(f"x.dat 16 200 16 0 0 0 0 l{k}\n" for k in range(20_000))
    (path / "s.hea").write_text("s 20000 250 1\n" + leads)
    (path / "r.hea").write_text("r/4000 20000 250 4000\n" + "s 1\n" * 4000)
    return path / "r"


RUNS = struct.pack("<16I", 1, 64, *[0] * 14) + b"\x81\0" * 100_000  # of RLE: 128 zeros in two bytes
BOMBS: dict[str, tuple[str, Callable[[Path], Path], str]] = {
    "NIfTI": ("volume", lambda path: written(path / "x.nii.gz", volume((800, 780, 800))), "500 times"),
    "PNG": ("image", lambda path: written(path / "x.png", png(22_000)), "500 times"),
    "TIFF": ("image", lambda path: tiff(path / "x.tif"), "500 times"),
    "DICOM of runs": ("dicom", lambda path: dicom(path / "x.dcm", 20_000, "1.2.840.10008.1.2.5", RUNS), "500 times"),
    "DICOM runs on": ("dicom", lambda path: dicom(path / "x.dcm", 16, "1.2.840.10008.1.2.5", RUNS), "longer than"),
    "H5AD of zeros": ("singlecell", lambda path: cells(path / "x.h5ad", nothing), "far more than"),
    "H5AD inflating": ("singlecell", lambda path: cells(path / "x.h5ad", inflating), "than its shape"),
    "H5AD in a circle": ("singlecell", lambda path: cells(path / "x.h5ad", loop), "damaged"),
    "WFDB of FLAC": ("signal", lambda path: flac(path / "w"), "500 times"),
    "WFDB segments": ("signal", lambda path: segments(path / "w"), "more than 1,000 leads"),
    "molecule": ("molecule", lambda path: net(path / "x.mol", 150), "2,500 atoms or 500 rings"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_what_would_unpack_without_end_is_refused(name: str, tmp_path: Path) -> None:
    kind, make, words = BOMBS[name]
    with pytest.raises(ReadError, match=words):
        reader_for(kind).read(make(tmp_path))


@pytest.mark.skipif(os.name != "posix", reason="the peak of memory is asked of POSIX")
def test_no_bomb_takes_a_gigabyte(tmp_path: Path) -> None:
    """All in one process, which imports what reads them."""
    items = []
    for number, (kind, make, _) in enumerate(BOMBS.values()):
        (tmp_path / str(number)).mkdir()
        items.append([kind, str(make(tmp_path / str(number)))])
    lines = (
        "import json, resource, sys, warnings",
        "warnings.simplefilter('ignore')",
        "from pathlib import Path",
        "from chiasm.readers import ReadError, reader_for",
        "for kind, path in json.loads(sys.argv[1]):",
        "    for act in (reader_for(kind).inspect, reader_for(kind).read):",
        "        try: act(Path(path))",
        "        except ReadError: pass",
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)",
    )
    found = run_young("\n".join(lines), json.dumps(items))
    assert found.returncode == 0, found.stderr
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    peak = int(found.stdout.split()[-1]) / unit
    # a child's peak begins with that of the process that forked it
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    assert peak < max(MOST_MEGABYTES, own + 100)


def test_what_is_large_and_packs_as_scans_do_is_read(tmp_path: Path) -> None:
    """The mask of a small lesion, held against the limit of a smaller one."""
    mask = np.zeros((256, 256, 100), np.uint8)
    mask[100:120, 90:130, 40:60] = 1
    nibabel.save(nibabel.Nifti1Image(mask, np.eye(4)), tmp_path / "m.nii.gz")
    stored = (tmp_path / "m.nii.gz").stat().st_size
    assert not is_packed_nothing(mask.size, 1, stored, most=1000)
    assert is_packed_nothing(mask.size * 1032, 1, stored, most=1000)
    assert reader_for("volume").read(tmp_path / "m.nii.gz").values.sum() == mask.sum()


def test_one_long_text_for_many_rows_of_a_parquet_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow as pa  # type: ignore[import-untyped]
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    monkeypatch.setattr(table_bytes, "PARQUET_BYTES", MEGABYTE)
    monkeypatch.setattr(table_bytes, "BOMB_RATIO", 20)
    rows = np.zeros(2_000, np.int32)
    long = pa.DictionaryArray.from_arrays(pa.array(rows), pa.array(["x" * 20_000]))
    words = pa.DictionaryArray.from_arrays(pa.array(np.arange(2_000, dtype=np.int32) % 7), pa.array([*"abcdefg"]))
    ids = pa.array([f"p{k}" for k in range(len(rows))])
    for name, column in (("long", long), ("words", words)):
        pq.write_table(pa.table({"id": ids, "u": column}), tmp_path / f"{name}.parquet", compression="zstd")
    with pytest.raises(CohortError, match="one long text for many rows"):
        Table(tmp_path / "long.parquet", "long.parquet").inspect()
    Table(tmp_path / "words.parquet", "words.parquet").inspect()
    pq.write_table(
        pa.table({"id": ["a"], "u": pa.array([bytes(3_000_000)])}), tmp_path / "b.parquet", compression="zstd"
    )
    with pytest.raises(CohortError, match="20 times its size"):
        Table(tmp_path / "b.parquet", "b.parquet").inspect()


def test_damaged_notes_of_pandas_in_a_parquet_file_are_refused(tmp_path: Path) -> None:
    import pyarrow as pa  # type: ignore[import-untyped]
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    table = pa.table({"id": ["a"], "u": [1]}).replace_schema_metadata({b"pandas": b"{no json"})
    pq.write_table(table, tmp_path / "x.parquet")
    with pytest.raises(CohortError, match="is not a Parquet file"):
        Table(tmp_path / "x.parquet", "x.parquet").inspect()


def test_a_parquet_file_whose_texts_are_none_is_refused(tmp_path: Path) -> None:
    """pyarrow says so by an error that is none of Python's, and quotes the cell."""
    import pyarrow as pa  # type: ignore[import-untyped]
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    raw = pa.array([b"a", b"Quartermain\xf0\xff"], pa.binary())
    texts = pa.Array.from_buffers(pa.string(), len(raw), raw.buffers())
    pq.write_table(pa.table({"id": texts, "u": [1, 2]}), tmp_path / "x.parquet")
    table = Table(tmp_path / "x.parquet", "x.parquet")
    table.inspect()
    with pytest.raises(CohortError, match="Parquet file is damaged") as caught:
        table.texts("id")
    assert "Quartermain" not in str(caught.value)
