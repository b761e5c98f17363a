"""Whether a scan on a finer grid comes nearer to the truth than interpolation, and whether a static scan helps frames.

`finer/...`: a volume is averaged to voxels twice and 3.5 times as long, and told on its own grid again, by linear and
cubic interpolation, cubic with three rounds of back-projection, the field of `chiasm enhance`, and the field of places
alone as its paper has it. `doubt` is the rank correlation of the doubt that the page shows with the absolute error.
`frames/...`: of frames with a sixteenth of k-space, by a network of other subjects, tuned on a static scan of the
subject, and on another: of phantoms another's, of the functional series, which is of one subject, its own deformed.
A line that is there is not run again; `--table` writes the part of docs/generation.md.

    python benchmarks/enhanced.py [--data ../shared/data] [--out benchmarks/results/enhanced.jsonl] [case ...]
    python benchmarks/enhanced.py --table
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")  # before numpy is loaded

import nibabel  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from scipy.stats import spearmanr, wilcoxon  # type: ignore[import-untyped]  # noqa: E402

from chiasm.compute.isolation import own_randomness  # noqa: E402
from chiasm.generation.coarser import averaged, interpolated, psnr, returned  # noqa: E402
from chiasm.generation.dynamic import FrameNet, FrameOptions, followed_frames, learnt, moved  # noqa: E402
from chiasm.generation.finer import ROUNDS, made_finer  # noqa: E402
from chiasm.generation.kspace import cropped, kept_places  # noqa: E402
from chiasm.generation.scan_field import FieldOptions, fit_field  # noqa: E402
from chiasm.segmentation.phantoms import phantom  # noqa: E402
from pages import ROOT, not_run, part, rows_of, run  # noqa: E402

NAME = "enhanced"
PAGE = ROOT / "docs" / "generation.md"
SCALES = (2, 3.5)
SIDE = 42  # voxels of a volume's side: both scales divide it
VOLUMES = ("phantom 1", "phantom 2", "spinal T1", "spinal T2")
FINER = tuple(f"finer/{volume}, x{scale:g}" for volume in VOLUMES for scale in SCALES)
FRAMES = ("frames/phantoms", "frames/spinal functional series")
CASES = (*FINER, *FRAMES)
ALONE = FieldOptions(base=False, density=True, hidden=96, layers=4, bands=5, learning_rate=3e-3)
METHODS = ("linear", "cubic", "cubic, returned", "field", "field of places alone")
SHARE, SUBJECTS, TUNING = 0.0625, 12, FrameOptions(steps=100, learning_rate=1e-3)
KINDS = ("as measured", "other subjects", "tuned on the right scan", "tuned on another")


def measured(case: str, data: Path, work: Path) -> dict[str, Any]:
    """One line of the results."""
    start = time.process_time()
    spinal = data / "wings" / "spinal-multicontrast"
    if case in FINER:
        name, _, scale = case.removeprefix("finer/").rpartition(", x")
        told = finer(volume(name, spinal), float(scale))
    elif case == FRAMES[0]:
        told = frames([series_of_phantom(k) for k in range(SUBJECTS)], [static(50 + k) for k in range(SUBJECTS)])
    else:
        told = frames(*functional(spinal))
    return {"cohort": case, **told, "seconds": round(time.process_time() - start)}


def volume(name: str, spinal: Path) -> np.ndarray:
    """The middle of a volume, of sides that both scales divide."""
    kind, _, which = name.partition(" ")
    if kind == "phantom":
        return phantom(int(which), (SIDE,) * 3, noise=(0, 0))[0]["clear"].astype(np.float64)
    file = spinal / which.lower() / {"T1": "t1w.nii.gz", "T2": "t2.nii.gz"}[which]
    stored: Any = nibabel.load(file)
    values = np.asarray(stored.dataobj, np.float64)
    return values[tuple(slice((side - SIDE) // 2, (side + SIDE) // 2) for side in values.shape)]


def finer(truth: np.ndarray, scale: float) -> dict[str, Any]:
    """Decibels of each method, and what the doubt is worth."""
    coarse = averaged(truth, [round(side / scale) for side in truth.shape])
    cubic = interpolated(coarse, truth.shape)
    own = made_finer(coarse, truth.shape)
    alone = fit_field(coarse, ALONE).told(truth.shape)
    linear = interpolated(coarse, truth.shape, 1)
    made: list[np.ndarray] = [linear, cubic, returned(cubic, coarse, ROUNDS), own.values, alone]
    doubt = spearmanr(own.doubt.ravel(), np.abs(own.values - truth).ravel()).statistic
    return {
        "shape": list(coarse.shape),
        "psnr": {name: round(psnr(values, truth), 3) for name, values in zip(METHODS, made, strict=True)},
        "doubt": round(float(doubt), 3),
    }


def static(seed: int) -> torch.Tensor:
    """The static scan of a made subject."""
    return torch.from_numpy(phantom(seed, (40, 40), noise=(0, 0))[0]["clear"])


def series_of_phantom(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A made subject's static scan, and eight frames in which it has moved."""
    own = static(seed)
    return own, moved(own.expand(8, -1, -1), 0.03, torch.Generator().manual_seed(seed))


def functional(spinal: Path) -> tuple[list[tuple[torch.Tensor, torch.Tensor]], list[torch.Tensor]]:
    """Each slice of the functional series as a subject: its mean over the first half, frames of the second."""
    stored: Any = nibabel.load(spinal / "fmri" / "fmri.nii.gz")
    values = np.asarray(stored.dataobj, np.float32)[14:54, 14:54]
    slices = torch.from_numpy(values / np.quantile(values, 0.999)).permute(2, 3, 0, 1).contiguous()  # (6, 30, 40, 40)
    first, rest = slices[:, :15].mean(1), slices[:, 15:23]
    wrong = moved(first, 0.2, torch.Generator().manual_seed(0))
    return list(zip(first, rest, strict=True)), list(wrong)


def frames(subjects: list[tuple[torch.Tensor, torch.Tensor]], others: list[torch.Tensor]) -> dict[str, Any]:
    """Decibels of the frames of each subject, and the paired test of the right static scan against the other."""
    kept = kept_places(subjects[0][0].shape, SHARE)
    with own_randomness(0):
        net = FrameNet(2)
    generic = learnt(net, torch.stack([static(100 + k) for k in range(24)]), kept, FrameOptions())
    found = []
    for k, ((own, series), other) in enumerate(zip(subjects, others, strict=True)):
        low = cropped(series, kept)
        nets = (generic, learnt(generic, own[None], kept, TUNING, k), learnt(generic, other[None], kept, TUNING, k))
        told = (low, *(followed_frames(one, low, kept) for one in nets))
        found.append([psnr(one.numpy(), series.numpy()) for one in told])
    each = np.array(found)
    return {
        "subjects": len(each),
        "psnr": {kind: round(float(own), 3) for kind, own in zip(KINDS, each.mean(0), strict=True)},
        "p": float(wilcoxon(each[:, 2], each[:, 3], alternative="greater").pvalue),
    }


def text_of(rows: dict[str, dict[str, Any]]) -> str:
    """Tables of all cases that have run."""
    lines = []
    if there := [case for case in FINER if case in rows]:
        lines += [
            f"| volume | of voxels | {' | '.join(f'{name}, dB' for name in METHODS)} | field less cubic | "
            "doubt and error | s |",
            "|---" * (len(METHODS) + 5) + "|",
        ]
        for case in there:
            own = rows[case]
            known = [f"{own['psnr'][name]:.2f}" for name in METHODS]
            more = f"{own['psnr']['field'] - own['psnr']['cubic']:+.2f}"
            sides = " x ".join(map(str, own["shape"]))
            told = (case.removeprefix("finer/"), sides, *known, more, f"{own['doubt']:.2f}", str(own["seconds"]))
            lines.append(f"| {' | '.join(told)} |")
        lines.append("")
    if there := [case for case in FRAMES if case in rows]:
        lines += [
            f"| frames of | subjects | {' | '.join(f'{kind}, dB' for kind in KINDS)} | p of right over another | s |",
            "|---" * (len(KINDS) + 4) + "|",
        ]
        for case in there:
            own = rows[case]
            known = [f"{own['psnr'][kind]:.2f}" for kind in KINDS]
            told = (case.removeprefix("frames/"), str(own["subjects"]), *known, f"{own['p']:.4f}", str(own["seconds"]))
            lines.append(f"| {' | '.join(told)} |")
        lines.append("")
    return "\n".join([*lines, *not_run(CASES, rows)]).rstrip() + "\n"


def write_part(results: Path, page: Path) -> str:
    """Write the tables to docs/generation.md, and return them."""
    return part(PAGE, NAME, text_of(rows_of(results)))


if __name__ == "__main__":
    run(__doc__, NAME, CASES, measured, write_part)
