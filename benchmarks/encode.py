"""What encoding costs: each default encoder on real sources, and the second run, which encodes nothing.

    python benchmarks/encode.py [--data ../shared/data] [--jobs 2] [--only image text ...]

For each kind of source, in a process of its own: patients a second of the first run, the most resident memory of that
process and of the largest of its workers, and the seconds of a second run in another process, where every encoder
refuses to be called, and of a third one in that process, which imports nothing any more. `x` is how many times faster
each is. Events and cells are fitted in each fold: they are decoded only, every time. DICOM series, slides, signals, DNA
and cells are made; everything else is what lies in `--data`. The proteins there are 379, encoded in a fraction of the
second that a process takes to import what it needs: `proteins` are 20,000 made ones.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import chiasm
from chiasm.cohort import cohort_from_frames
from chiasm.encoders.catalogue import DEFAULTS, make_encoder

# kind -> cohort, modality, patients at most
REAL = {
    "image": ("chest-xray", "image", 0),
    "volume": ("adrenal-ct", "image", 0),
    "ecg": ("ptbxl-ecg", "ecg", 0),
    "text": ("pubmedqa", "abstract", 200),
    "molecule": ("molecules-bbbp", "molecule", 0),
    "protein": ("davis-affinity", "protein", 0),
    "events": ("eicu-day-one", "events", 0),
}


def dicom(folder: Path) -> dict[str, Path]:
    """60 CT series of 24 slices of 128 x 128."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    rng, found = np.random.default_rng(0), {}
    for patient in range(60):
        found[f"p{patient}"] = folder / f"p{patient}"
        found[f"p{patient}"].mkdir()
        series = generate_uid()
        for place in range(24):
            ds = Dataset()
            ds.file_meta = FileMetaDataset()
            ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = CTImageStorage
            ds.SOPInstanceUID, ds.SeriesInstanceUID, ds.Modality = generate_uid(), series, "CT"
            ds.InstanceNumber, ds.ImagePositionPatient = place + 1, [0, 0, 2.5 * place]
            ds.ImageOrientationPatient, ds.PixelSpacing = [1, 0, 0, 0, 1, 0], [0.8, 0.8]
            ds.Rows = ds.Columns = 128
            ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
            ds.BitsAllocated = ds.BitsStored = 16
            ds.HighBit, ds.PixelRepresentation, ds.RescaleSlope, ds.RescaleIntercept = 15, 1, 1, -1024
            ds.PixelData = rng.integers(0, 2000, (128, 128), dtype=np.int16).tobytes()
            ds.save_as(found[f"p{patient}"] / f"{place}.dcm", enforce_file_format=True)
    return found


def slide(folder: Path) -> dict[str, Path]:
    """8 pyramids of 6,144 x 6,144 pixels at half a micrometre, half of them tissue."""
    import tifffile

    rng, found = np.random.default_rng(0), {}
    for patient in range(8):
        full = np.full((6144, 6144, 3), (243, 242, 244), np.uint8)
        tissue = rng.integers(-40, 40, (6144, 3072, 3)) + np.array((200, 100, 160))
        full[:, :3072] = tissue.astype(np.uint8)
        found[f"p{patient}"] = folder / f"p{patient}.tif"
        with tifffile.TiffWriter(found[f"p{patient}"]) as file:
            for level in (1, 4):
                resolution: dict[str, Any] = {"resolution": (2e4, 2e4), "resolutionunit": "CENTIMETER"}
                file.write(
                    np.ascontiguousarray(full[::level, ::level]), tile=(256, 256), photometric="rgb", metadata=None,
                    compression="zlib", subfiletype=int(level > 1), **(resolution if level == 1 else {}),
                )  # fmt: skip
    return found


def signal(folder: Path) -> dict[str, Path]:
    """300 recordings of two leads, 10 s at 250 Hz, as tables of text."""
    rng, found = np.random.default_rng(0), {}
    for patient in range(300):
        found[f"p{patient}"] = folder / f"p{patient}.csv"
        values = rng.normal(size=(2500, 2)).cumsum(0).round(3)
        frame = pd.DataFrame(values, columns=["one", "two"])
        frame.insert(0, "seconds", np.arange(2500) / 250)
        frame.to_csv(found[f"p{patient}"], index=False)
    return found


def cells(folder: Path) -> dict[str, Path]:
    """40 patients of 500 cells and 1,000 genes."""
    import anndata

    rng, found = np.random.default_rng(0), {}
    genes = pd.DataFrame(index=[f"G{k}" for k in range(1000)])
    for patient in range(40):
        found[f"p{patient}"] = folder / f"p{patient}.h5ad"
        counts = rng.poisson(0.3, (500, 1000)).astype(np.float32)
        anndata.AnnData(counts, var=genes).write_h5ad(found[f"p{patient}"])
    return found


def sequences(letters: str, patients: int, length: int) -> Callable[[Path], pd.DataFrame]:
    """Random sequences of one length, one a patient."""

    def make(folder: Path) -> pd.DataFrame:
        texts = ["".join(row) for row in np.random.default_rng(0).choice(list(letters), (patients, length))]
        return pd.DataFrame({"sequence": texts}, index=[f"p{k}" for k in range(patients)])

    return make


# name -> kind, what makes it; of one kind there may be a real cohort too
MADE: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "dicom": ("dicom", dicom),
    "slide": ("slide", slide),
    "signal": ("signal", signal),
    "singlecell": ("singlecell", cells),
    "dna": ("dna", sequences("ACGT", 2_000, 2_000)),
    "proteins": ("protein", sequences("ACDEFGHIKLMNPQRSTVWY", 20_000, 800)),
}


def kind_of(name: str) -> str:
    return MADE[name][0] if name in MADE else name


def cohort_of(chosen: str, data: Path, folder: Path) -> Any:
    """The cohort of one modality, opened afresh; what is made is made once."""
    if chosen in REAL:
        name, modality, most = REAL[chosen]
        cohort = chiasm.open_cohort(data / name / "cohort.toml").with_modalities([modality])
        cohort = cohort.subset(cohort.present[:, 0])
        return cohort.subset(np.arange(min(len(cohort), most))) if most else cohort
    kind, make = MADE[chosen]
    sources = folder / "sources"
    values: Any = {path.stem: path for path in sorted(sources.iterdir())} if sources.exists() else {}
    if not values:
        sources.mkdir(exist_ok=True)
        values = make(sources)
    patients = pd.DataFrame(index=list(values.index if isinstance(values, pd.DataFrame) else values))
    return cohort_from_frames(patients, {kind: values}, kinds={kind: kind})


def run(chosen: str, data: Path, folder: Path, jobs: int, step: str) -> dict[str, float]:
    """`make` the sources, encode a `first` time, or a `second` time without an encoder's work."""
    cohort = cohort_of(chosen, data, folder)
    if step == "make":
        return {}
    kind = kind_of(chosen)
    encoder = make_encoder(DEFAULTS[kind], kind)
    if step == "second" and not encoder.fitted_on_cohort:
        type(encoder).encode = never
    encode = chiasm.encode  # the library is imported before the clock starts, as it is where a manifest was opened
    seconds = []
    for _ in range(1 if step == "first" else 2):
        start = time.perf_counter()
        found = encode(cohort, store=folder / "store", jobs=jobs)
        seconds.append(time.perf_counter() - start)
        (count,) = found.counts.values()
        cohort = cohort_of(chosen, data, folder)
    most = [resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return {
        "patients": len(cohort), "contents": count.encoded + count.stored, "encoded": count.encoded,
        "fitted": encoder.fitted_on_cohort, "seconds": seconds[0], "again": seconds[-1],
        "MB": most[0], "worker MB": most[1],
    }  # fmt: skip


def never(self: Any, raw: Any) -> Any:
    raise RuntimeError("an encoder was called in the second run")


def apart(kind: str, chosen: argparse.Namespace, folder: Path, step: str) -> dict[str, float]:
    """`run` in a process of its own."""
    command = [sys.executable, __file__, "--inside", str(folder), "--only", kind, "--data", str(chosen.data)]
    command += ["--jobs", str(chosen.jobs), "--step", step]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package is compiled
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="What encoding costs.")
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[1] / ".." / "shared" / "data")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", nargs="+", choices=[*REAL, *MADE], default=[*REAL, *MADE])
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--step", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.inside:
        print(json.dumps(run(chosen.only[0], chosen.data, chosen.inside, chosen.jobs, chosen.step)))
        return
    print(
        f"{'kind':12}{'encoder':18}{'patients':>9}{'contents':>9}{'first s':>9}{'pat./s':>8}{'MB':>7}{'worker':>7}"
        f"{'second s':>10}{'x':>6}{'third s':>9}{'x':>6}  (load {os.getloadavg()[0]:.1f})"
    )
    for kind in chosen.only:
        with tempfile.TemporaryDirectory() as scratch:
            if kind in MADE:
                apart(kind, chosen, Path(scratch), "make")
                time.sleep(2)  # files written a moment ago are read again: see docs/store.md
            first, last = (apart(kind, chosen, Path(scratch), step) for step in ("first", "second"))
        line = f"{kind:12}{DEFAULTS[kind_of(kind)]:18}{first['patients']:>9,}{first['contents']:>9,}"
        line += f"{first['seconds']:>9.2f}"
        line += f"{first['patients'] / first['seconds']:>8.1f}{first['MB']:>7.0f}{first['worker MB']:>7.0f}"
        for seconds in (last["seconds"], last["again"]):
            line += f"{seconds:>9.3f}{first['seconds'] / seconds:>6.0f}"
        print(line + ("  decoded only" if first["fitted"] else f"  {last['encoded']} encoded"), flush=True)


if __name__ == "__main__":
    main()
