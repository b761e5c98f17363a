"""What is fuzzed: for each kind of file a few sound ones, small, and how chiasm reads one."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[2] / "benchmarks"), str(Path(__file__).parents[1])]

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from fuzz_mutations import png_checked  # noqa: E402

from archived import ARCHIVE  # noqa: E402
from chiasm import artifact, check_cohort  # noqa: E402
from chiasm.artifact.files import digest, sha256  # noqa: E402
from chiasm.cohort import Unsupported  # noqa: E402
from chiasm.cohort.manifest import read_manifest  # noqa: E402
from chiasm.errors import CohortError  # noqa: E402
from chiasm.limits import LimitError  # noqa: E402
from chiasm.readers import ReadError, reader_for  # noqa: E402
from chiasm.recipes.registry import bring  # noqa: E402
from references import dicoms, pictures, recordings, records, volumes  # noqa: E402

REFUSALS = (ReadError, CohortError, LimitError, Unsupported, artifact.ArtifactError)
LARGEST_SEED = 20_000  # bytes: the law is of the parser, and small files are mangled where it matters
MANIFEST = b"""\
name = "x"
[patients]
table = "p.csv"
id = "id"
[target]
kind = "survival"
time = "t"
event = "e"
times = [2.0, 4.0]
[modalities.labs]
kind = "table"
table = "a.csv"
columns = ["u", "v"]
[modalities.bag]
kind = "bag"
path = "b/{id}.npy"
[accept]
"constant-columns" = "known"
"""


@dataclass(frozen=True)
class Target:
    """A kind of file: `seeds` makes sound ones in a folder, `attempt` reads one that lies at a path of `suffix`."""

    suffix: str
    seeds: Callable[[Path], list[bytes]]
    attempt: Callable[[Path], object]
    mend: Callable[[bytes], bytes] = bytes


def read(kind: str, path: Path) -> None:
    """As `check` and `encode` do."""
    reader = reader_for(kind)
    reader.inspect(path)
    reader.read(path)


def cell(kind: str, path: Path) -> None:
    read(kind, path.read_bytes().decode("utf-8", errors="replace"))  # type: ignore[arg-type]


def of_cases(made: Callable[[Path], Any], suffix: str, folder: Path, every: int = 7) -> list[bytes]:
    """Files of the benchmark of readers."""
    found = [case.item for case in islice(made(folder), 0, None, every)]
    files = [file for item in found for file in ([item] if item.is_file() else [])]
    return [file.read_bytes() for file in files if file.name.endswith(suffix) and file.stat().st_size < LARGEST_SEED][
        :30
    ]


def cases(family: Callable[..., Any], suffix: str, every: int = 7) -> Callable[[Path], list[bytes]]:
    return partial(of_cases, partial(family, []), suffix, every=every)


def written(family: Callable[[Path], Any], suffix: str, every: int = 7) -> Callable[[Path], list[bytes]]:
    return partial(of_cases, family, suffix, every=every)


def texts(*found: bytes) -> Callable[[Path], list[bytes]]:
    return lambda folder: list(found)


def record(path: Path) -> None:
    """A header, beside signals of 4,000 bytes."""
    path.with_name("x.dat").write_bytes(bytes(range(250)) * 16)
    read("signal", path.with_suffix(""))


def headers(folder: Path) -> list[bytes]:
    list(islice(recordings.wfdb_cases([], folder), 70))
    found = [file.read_text() for file in sorted(folder.glob("*.hea"))]
    return [text.replace(f"{text.split()[0]}.dat", "x.dat").encode() for text in found]


def cohort(name: str, path: Path) -> None:
    """A cohort of which one file is the mangled one."""
    folder = path.parent / "cohort"
    (folder / "b").mkdir(parents=True, exist_ok=True)
    rows = range(24)
    (folder / "cohort.toml").write_bytes(
        MANIFEST.replace(b"a.csv", name.encode() if name.startswith("a.") else b"a.csv")
    )
    (folder / "p.csv").write_text("id,t,e\n" + "".join(f"p{k},{k + 1}.5,{k % 2}\n" for k in rows))
    (folder / "a.csv").write_bytes(table(folder)[0])
    for k in rows:
        np.save(folder / "b" / f"p{k}.npy", np.full((2, 3), k, np.float32))
    shutil.copyfile(path, folder / name)
    opened, problems = read_manifest(folder)
    if opened is not None:
        problems = [*problems, *check_cohort(opened)]
    if not all(problem.what and problem.fix for problem in problems) or (opened is None and not problems):
        raise AssertionError("a problem without words")


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


def table(folder: Path) -> list[bytes]:
    rows = range(24)
    plain = "id,u,v\n" + "".join(f"p{k},{k * 0.37:.2f},{'ab'[k % 2]}\n" for k in rows)
    return [
        plain.encode(),
        plain.replace(",", ";").replace(".", ",").encode(),
        plain.encode("utf-16"),
        plain.replace("\n", "\r\n").encode(),
    ]


def parquet(folder: Path) -> list[bytes]:
    found = []
    for packed in ("snappy", "zstd", None):
        frame = pd.DataFrame({"id": [f"p{k}" for k in range(24)], "u": np.arange(24) / 3, "v": ["a", "b"] * 12})
        frame.to_parquet(folder / "a.parquet", compression=packed)
        found.append((folder / "a.parquet").read_bytes())
    return found


def model(name: str, file: str, path: Path) -> None:
    """A model folder of which one file is mangled, with the hashes that an attacker would give it."""
    folder = path.parent / "model"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ARCHIVE / "0.1.0" / "models" / name, folder)
    shutil.copyfile(path, folder / file)
    try:
        document = json.loads((folder / "model.json").read_bytes())
        document["weights_sha256"] = sha256(folder / "weights.safetensors")
        document["sha256"] = digest(document)
        (folder / "model.json").write_text(json.dumps(document))
    except (ValueError, TypeError, RecursionError):
        pass  # what cannot be signed is refused for its hash
    artifact.load(folder, bring=bring)


def models(name: str, file: str) -> Target:
    sound = texts((ARCHIVE / "0.1.0" / "models" / name / file).read_bytes())
    return Target(Path(file).suffix, sound, partial(model, name, file))


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
TARGETS: dict[str, Target] = {
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
    "manifest": Target(".toml", texts(MANIFEST), partial(cohort, "cohort.toml")),
    "csv": Target(".csv", table, partial(cohort, "a.csv")),
    "parquet": Target(".parquet", parquet, partial(cohort, "a.parquet")),
    "model": models("03-single-survival", "model.json"),
    "weights": models("27-healnet-classification", "weights.safetensors"),
    "network": models("27-healnet-classification", "model.json"),
}
