"""Label maps of volumes: how long a training takes, what a step costs beside MONAI's loop, and how much memory.

    python benchmarks/outline_volume.py [--out benchmarks/results/outline_volume.jsonl] [line ...]
    python benchmarks/outline_volume.py --table    writes the part of docs/benchmarks.md

Lines: `training`, `unet` on forty phantoms of 96 x 96 x 96 voxels in two contrasts, tested on five others; `steps`,
seconds of a step by our loop and by a plain loop of MONAI's network, its loss and windows that lie in memory, taken in
turn in one run; `memory`, the largest memory of the process before and after a step, the loss of the held-out and a
drawing of a volume of 300 x 512 x 512 voxels with three labels. Settings were fixed by how long they take; an earlier
run of six epochs drew nothing at all, and twelve are what the limit allows.
Processor seconds are those of one process, wall seconds say how busy the machine was beside it.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")  # before numpy is loaded

import numpy as np  # noqa: E402
import torch  # noqa: E402
from torch import Tensor, nn  # noqa: E402

import chiasm  # noqa: E402
from chiasm.encoders.image.grid import as_rows  # noqa: E402
from chiasm.heads.head import Head  # noqa: E402
from chiasm.metrics.segmentation import dice  # noqa: E402
from chiasm.segmentation.drawing import Drawing, DrawnMaps, drawn_map, numbers_of  # noqa: E402
from chiasm.segmentation.grids import ImageGrids, OnShelf, images_of  # noqa: E402
from chiasm.segmentation.phantoms import CONTRASTS, LABELS, phantom, phantom_cohort  # noqa: E402
from chiasm.segmentation.unet import GatedUNet  # noqa: E402
from chiasm.targets.label_maps import LabelMaps, as_text, map_of, of_text  # noqa: E402
from chiasm.training import Batch, Network, TargetTensors  # noqa: E402
from pages import not_run, part, rows_of, run  # noqa: E402

NAME, SIDE, PATIENTS, TESTED, WINDOW = "outline_volume", 96, 40, 5, 48
SIZES = "width=8,depth=3"
RECIPE = f"unet:{SIZES},window={WINDOW},crops=1,batch=2,learning_rate=0.01"
EPOCHS, STEPS, LIMIT = 12, 5, 1_200
WAYS = ("both", CONTRASTS[0])
LARGE = (300, 512, 512)
LINES = ("training", "steps", "memory")


def main() -> None:
    torch.set_num_threads(1)
    run(__doc__, NAME, LINES, one, write_part)


def one(line: str, data: Path, work: Path) -> dict[str, Any]:
    """A line of the results."""
    work.mkdir(parents=True, exist_ok=True)
    found = {"training": training, "steps": steps, "memory": memory}[line](work)
    return {"cohort": line, **found}


def megabytes() -> int:
    """The largest memory that this process has had so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def training(work: Path) -> dict[str, Any]:
    """Fit `unet` on phantoms, and hold what it draws in others against the truth."""
    made = work / "cohort"
    manifest = made / "cohort.toml"
    if not manifest.exists():
        phantom_cohort(made, PATIENTS + TESTED, (SIDE,) * 3)
    cohort = chiasm.encode(chiasm.open_cohort(manifest), jobs=1).cohort
    seen, unseen = cohort.subset(np.arange(PATIENTS)), cohort.subset(np.arange(PATIENTS, PATIENTS + TESTED))
    chiasm.fit(seen, f"{RECIPE},epochs=1", seed=0)
    after_one = megabytes()
    start, wall = time.process_time(), time.perf_counter()
    model = chiasm.fit(seen, f"{RECIPE},epochs={EPOCHS},patience={EPOCHS}", seed=0)
    spent, passed = time.process_time() - start, time.perf_counter() - wall
    after_all = megabytes()
    row: dict[str, Any] = {
        "patients": PATIENTS, "side": SIDE, "recipe": RECIPE, "epochs": EPOCHS, "best": model.predictor.epochs,
        "parameters": model.trained_parameters, "cpu": round(spent), "wall": round(passed),
        "memory_one": after_one, "memory_all": after_all,
    }  # fmt: skip
    for which in WAYS:
        part_of = unseen if which == "both" else unseen.with_modalities([which])
        said, maps = model.predict(part_of), unseen.outcome.maps
        each = np.full((TESTED, len(LABELS)), np.nan)
        for place, patient in enumerate(unseen.ids):
            drawn, truth = of_text(said.loc[patient, "mask"], LABELS).codes, maps.of(place).codes
            each[place] = [dice(drawn == code, truth == code) for code in range(1, 1 + len(LABELS))]
        row[f"dice_{which}"] = [round(float(own), 3) for own in np.nanmean(each, axis=0)]
    return row


class OfMonai(nn.Module):
    """MONAI's UNet of the sizes of ours, over the contrasts as channels."""

    names: ClassVar[list[str]] = list(CONTRASTS)

    def __init__(self) -> None:
        super().__init__()
        from monai.networks.nets import UNet

        self.network = UNet(3, len(CONTRASTS), 1 + len(LABELS), (8, 16, 32, 64), (2, 2, 2))

    def forward(self, images: dict[str, Tensor], present: Tensor) -> Tensor:
        return self.network(torch.cat([images[own] for own in CONTRASTS], 1))


def in_a_batch(network: nn.Module, volumes: list[tuple[dict[str, Any], Any]], window: int) -> tuple[Network, Batch]:
    """A network, and a batch of these images and codes."""
    shelves = {
        own: OnShelf(
            ImageGrids(1, np.zeros(1), np.ones(1)),
            [as_rows(images[own][None], (2.0, 2.0, 2.0)) for images, _ in volumes],
            np.arange(len(volumes)),
        )
        for own in volumes[0][0]
    }
    texts = np.array([as_text(map_of(codes), LABELS) for _, codes in volumes], dtype=object)
    numbers = numbers_of(LabelMaps(texts, LABELS, 1.0, np.full(len(volumes), None, dtype=object)))
    tokens = {own: shelf.tokens.take(np.arange(len(volumes))) for own, shelf in shelves.items()}
    present = torch.ones(len(volumes), len(shelves), dtype=torch.bool)
    drawing = Drawing(network, shelves, len(LABELS), (window,) * 3)
    target = TargetTensors(torch.zeros(len(volumes), len(LABELS)), numbers)
    return Network(drawing, Head(0, len(LABELS), "mask")), Batch(tokens, present, target)


def steps(work: Path) -> dict[str, Any]:
    """Seconds of a step of two windows, by each loop in turn; the median over steps."""
    from monai.losses import DiceCELoss

    volumes = [phantom((0, k), (SIDE,) * 3) for k in range(2)]
    torch.manual_seed(0)
    ours, batch = in_a_batch(GatedUNet(dict.fromkeys(CONTRASTS, 1), 3, len(LABELS), 8, 3), volumes, WINDOW)
    theirs, _ = in_a_batch(OfMonai(), volumes, WINDOW)
    plain, loss = OfMonai(), DiceCELoss(to_onehot_y=True, softmax=True)
    cut = slice(24, 24 + WINDOW)
    images = {own: torch.from_numpy(np.stack([v[0][own][None, cut, cut, cut] for v in volumes])) for own in CONTRASTS}
    codes = torch.from_numpy(np.stack([v[1][None, cut, cut, cut] for v in volumes]).astype(np.int64))
    ways: dict[str, tuple[nn.Module, Callable[[], Tensor]]] = {
        "our loop, our network": (ours, lambda: DrawnMaps("none", 1)(ours, batch).total),
        "our loop, MONAI's network": (theirs, lambda: DrawnMaps("none", 1)(theirs, batch).total),
        "plain loop, MONAI's network": (plain, lambda: loss(plain(images, batch.present), codes)),
    }
    taken: dict[str, list[float]] = {own: [] for own in ways}
    optimisers = {own: torch.optim.AdamW(network.parameters(), lr=1e-3) for own, (network, _) in ways.items()}
    for _ in range(STEPS + 1):
        for own, (_, computed) in ways.items():
            start = time.process_time()
            optimisers[own].zero_grad()
            computed().backward()
            optimisers[own].step()
            taken[own].append(time.process_time() - start)
    start = time.process_time()
    for row in range(2):
        found, _ = images_of(batch.tokens, batch.present, ours.fusion.grids, row)
        DrawnMaps("none", 1).window(ours.fusion, found, drawn_map(batch.target.event[row], found))
    reading = time.process_time() - start
    medians = {own: round(float(np.median(each[1:])), 3) for own, each in taken.items()}
    weights = {own: sum(p.numel() for p in network.parameters()) for own, (network, _) in ways.items()}
    return {"steps": STEPS, "window": WINDOW, "seconds": medians, "weights": weights, "reading": round(reading, 4)}


def memory(work: Path) -> dict[str, Any]:
    """The largest memory after each stage of a large volume, whose pixels stay on disk."""
    place = work / "volume.npy"
    if not place.exists():
        values = np.random.default_rng(0).normal(size=(1, *LARGE)).astype(np.float32)
        np.save(place, as_rows(values, (1.0, 0.7, 0.7)))
        raise SystemExit("the volume is written: run the line again, in a process that never held it")
    codes = np.zeros(LARGE, dtype=np.uint8)
    codes[50:200, 100:300, 100:300], codes[100:150, 200:350, 150:280], codes[10:20] = 1, 2, 3
    drawn = map_of(codes)
    del codes
    raw = [np.load(place, mmap_mode="r")]
    shelf = OnShelf(ImageGrids(1, np.zeros(1), np.ones(1)).fit(raw), raw, np.zeros(1, np.int64))
    texts = np.array([as_text(drawn, LABELS)], dtype=object)
    numbers = numbers_of(LabelMaps(texts, LABELS, 1.0, np.full(1, None, dtype=object)))
    network = nn.Conv3d(1, 1 + len(LABELS), 1)
    drawing = Drawing(OneContrast(network), {"a": shelf}, len(LABELS), (64, 64, 64))
    both = Network(drawing, Head(0, len(LABELS), "mask"))
    tokens = {"a": shelf.tokens.take(np.zeros(1, np.int64))}
    batch = Batch(tokens, torch.ones(1, 1, dtype=torch.bool), TargetTensors(torch.zeros(1, len(LABELS)), numbers))
    found = {"before": megabytes()}
    DrawnMaps("none", 2)(both, batch).total.backward()
    found["step"] = megabytes()
    with torch.inference_mode():
        DrawnMaps("none", 1).validation(both, [batch])
        found["held_out"] = megabytes()
        drawing.codes(batch.tokens, batch.present, 0)
        found["drawing"] = megabytes()
    logits = 4 * (1 + len(LABELS)) * int(np.prod(LARGE)) // 2**20
    return {"shape": list(LARGE), "labels": len(LABELS), "image_mb": place.stat().st_size >> 20, "logits_mb": logits,
            "memory": found}  # fmt: skip


class OneContrast(nn.Module):
    """One convolution that reads a pixel: what is held beside a network, and none of what a network holds."""

    names: ClassVar[list[str]] = ["a"]

    def __init__(self, own: nn.Module) -> None:
        super().__init__()
        self.own = own

    def forward(self, images: dict[str, Tensor], present: Tensor) -> Tensor:
        return self.own(images["a"])


def write_part(results: Path, page: Path) -> str:
    """Write the part of the page between its marks, and return it; what was not run is named."""
    rows = rows_of(results)
    lines = [
        "## Label maps of volumes", "",
        "`python benchmarks/outline_volume.py`, its results in `benchmarks/results/outline_volume.jsonl`; this part of "
        "the page is written by `--table`. Processor seconds are of one thread.",
    ]  # fmt: skip
    if own := rows.get("training"):
        grown = own["memory_all"] - own["memory_one"]
        within = "within" if own["cpu"] < LIMIT else "NOT within"
        lines += [
            "", f"`{own['recipe']}`, {own['parameters']:,} weights, on {own['patients']} phantoms of {own['side']} "
            f"voxels a side in two contrasts: {own['epochs']} epochs took {own['cpu']:,} s of one processor "
            f"({own['wall']:,} s on the clock of a busy machine), {within} twenty minutes. The largest memory was "
            f"{own['memory_one']:,} MB after one epoch and {own['memory_all']:,} MB after all, {grown:+,} MB. Dice on "
            f"{TESTED} other phantoms, n small:",
            "", f"| contrasts | {' | '.join(LABELS)} |", "|---" * (1 + len(LABELS)) + "|",
            *(f"| {which} | {' | '.join(f'{d:.3f}' for d in own[f'dice_{which}'])} |" for which in WAYS),
        ]  # fmt: skip
    if own := rows.get("steps"):
        lines += [
            "", f"A step of two windows of {own['window']} voxels a side, in turn in one run, median of "
            f"{own['steps']}; cutting them out of stored images and runs takes {own['reading']:.3f} s of it. The first "
            "convolution of MONAI's UNet halves the sides; ours keeps them in its first and last blocks:",
            "", "| loop | weights | seconds |", "|---|---|---|",
            *(f"| {which} | {own['weights'][which]:,} | {s:.2f} |" for which, s in own["seconds"].items()),
        ]  # fmt: skip
    if own := rows.get("memory"):
        held, first = own["memory"], own["memory"]["before"]
        lines += [
            "", f"A volume of {' x '.join(map(str, own['shape']))} voxels ({own['image_mb']:,} MB on disk; logits "
            f"of {own['labels']} labels would take {own['logits_mb']:,} MB), drawn in by one convolution of a voxel, "
            "so that no network's own memory counts; pages of the file that the system keeps are counted: "
            f"{held['step'] - first:+,} MB in a step, {held['held_out'] - held['step']:+,} MB more in the loss of the "
            f"held-out, {held['drawing'] - held['held_out']:+,} MB more in drawing.",
        ]  # fmt: skip
    return part(page, NAME, "\n".join([*lines, *not_run(LINES, rows)]) + "\n")


if __name__ == "__main__":
    main()
