"""Targets that are read by a reader: pictures, volumes, signals, records, sequences, bags."""

from __future__ import annotations

from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import fuzz_paths  # noqa: F401
import numpy as np
from fuzz_mutations import png_checked
from fuzz_target import Target, cases, cell, read, texts, written

from chiasm.readers import reader_for
from references import dicoms, pictures, recordings, records, volumes


def record(path: Path) -> None:
    """A header, beside signals of 4,000 bytes."""
    path.with_name("x.dat").write_bytes(bytes(range(250)) * 16)
    read("signal", path.with_suffix(""))


def headers(folder: Path) -> list[bytes]:
    list(islice(recordings.wfdb_cases([], folder), 70))
    found = [file.read_text() for file in sorted(folder.glob("*.hea"))]
    return [text.replace(f"{text.split()[0]}.dat", "x.dat").encode() for text in found]


def slides(folder: Path) -> list[bytes]:
    """Slides of one tile and a little, at one micrometre a pixel."""
    import tifffile

    rng, found = np.random.default_rng(0), []
    for number, packed in enumerate(("deflate", "jpeg", "lzw")):
        pixels = np.full((272, 272, 3), 240, np.uint8)
        pixels[20:200, 20:200] = rng.integers(60, 70, (180, 180, 1)) + np.array([90, 0, 60])
        options: dict[str, Any] = {"photometric": "rgb", "compression": packed, "tile": (272, 272), "metadata": None}
        tifffile.imwrite(
            folder / f"{number}.svs", pixels, resolution=(10_000, 10_000), resolutionunit="CENTIMETER", **options
        )
        found.append((folder / f"{number}.svs").read_bytes())
    return found


def slide(path: Path) -> None:
    """Header and tiles."""
    reader = reader_for("slide")
    for _ in reader.read(path).tiles():
        pass


MOLECULES = (
    b"CC(=O)Oc1ccccc1C(=O)O",
    b"C[C@H](N)C(=O)O.[Na+].[Cl-]",
    b"InChI=1S/C2H6O/c1-2-3/h3H,2H2,1H3",
    b"*CC%10CCC%10",
)
MOL = (
    b"x\n\n\n  3  2  0  0  0  0  0  0  0  0999 V2000\n"
    + b"".join(b"    0.0000    0.0000    0.0000 %s   0  0\n" % atom for atom in (b"C", b"O", b"N"))
    + b"  1  2  1  0\n  2  3  1  0\nM  END\n$$$$\n"
)
V3000 = (
    b"x\n\n\n  0  0  0     0  0            999 V3000\nM  V30 BEGIN CTAB\nM  V30 COUNTS 2 1 0 0 0\nM  V30 BEGIN ATOM\n"
    b"M  V30 1 C 0 0 0 0\nM  V30 2 O 0 0 0 0\nM  V30 END ATOM\nM  V30 BEGIN BOND\nM  V30 1 1 1 2\nM  V30 END BOND\n"
    b"M  V30 END CTAB\nM  END\n"
)
LEADS = b"time,I [mV],II [mV]\n" + b"".join(b"%.3f,%.2f,0.1\n" % (k / 100, k % 7) for k in range(300))
FILES: dict[str, Target] = {
    "npy": Target(".npy", written(records.bag_cases, ".npy"), partial(read, "bag")),
    "safetensors": Target(".safetensors", written(records.bag_cases, ".safetensors", 1), partial(read, "bag")),
    "h5": Target(".h5", written(records.bag_cases, ".h5", 3), partial(read, "bag")),
    "png": Target(".png", cases(pictures.picture_cases, ".png", 11), partial(read, "image"), png_checked),
    "jpeg": Target(".jpg", cases(pictures.picture_cases, ".jpg", 11), partial(read, "image")),
    "bmp": Target(".bmp", cases(pictures.picture_cases, ".bmp", 3), partial(read, "image")),
    "jp2": Target(".jp2", cases(pictures.picture_cases, ".jp2", 3), partial(read, "image")),
    "tiff": Target(".tif", cases(pictures.tiff_cases, ".tif", 3), partial(read, "image")),
    "slide": Target(".svs", slides, slide),
    "dicom": Target(".dcm", written(dicoms.written_cases, ".dcm", 3), partial(read, "dicom")),
    "nifti": Target(".nii", cases(volumes.volume_cases, ".nii"), partial(read, "volume")),
    "nifti.gz": Target(".nii.gz", cases(volumes.volume_cases, ".nii.gz"), partial(read, "volume")),
    "mgh": Target(".mgh", cases(volumes.volume_cases, ".mgh", 1), partial(read, "volume")),
    "edf": Target(".edf", cases(recordings.edf_cases, ".edf", 5), partial(read, "signal")),
    "ecg": Target(".edf", cases(recordings.edf_cases, ".edf", 1), partial(read, "ecg")),
    "wfdb": Target(".hea", headers, record),
    "leads": Target(".csv", texts(LEADS, LEADS.replace(b"time", b"time_ms")), partial(read, "ecg")),
    "fhir": Target(".json", written(records.fhir_cases, ".json", 3), partial(read, "events")),
    "ndjson": Target(".ndjson", written(records.fhir_cases, ".ndjson", 3), partial(read, "events")),
    "meds": Target(".parquet", written(records.meds_cases, ".parquet", 3), partial(read, "events")),
    "molecule": Target(".smi", texts(*MOLECULES), partial(cell, "molecule")),
    "mol": Target(".mol", texts(MOL, V3000), partial(read, "molecule")),
    "protein": Target(".fa", texts(b">a\nMKVLAA\n", b"mkv l\r\n"), partial(read, "protein")),
    "dna": Target(".fa", texts(b">a\nACGTN\nACGU\n"), partial(cell, "dna")),
    "note": Target(".txt", texts("ünïcode".encode(), b"a\r\nb"), partial(read, "text")),
    "h5ad": Target(".h5ad", cases(records.cell_cases, ".h5ad", 9), partial(read, "singlecell")),
}
