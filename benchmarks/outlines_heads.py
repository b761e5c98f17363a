"""Does what a network of label maps is told, or how its labels hang together, pay? On made images with a known truth.

    python benchmarks/outlines_heads.py [LINE ...] && python benchmarks/outlines_heads.py --table

A line is a question and a seed, `words-1` and so on. Each draws its images anew, trains on some, and is judged by the
dice of others. Options stood before a line was run; they were tried on another seed, 0, with more epochs. Intervals
are those of Student's t over seeds.

words: every second patient has a `ct`, the others an `mr`, which is the first turned dark for bright: two organs of one
shape change their greys, so that no image says which is which. `mulmodseg` is told the contrast, or not (`words=none`);
everything else is the same.

tree: a liver may hold a tumour, bright, and malignant where its core is dark; spots of the same greys outside of it are
none. `unit` follows the tree of labels, or has one softmax of as many parameters (`hierarchy=false`).

grid: an ellipse is seen by 64 x 64 pixels, the mean of what lies in each, under noise, and drawn on 256 x 256: by
`i-medsam`'s field, and by stretching what it and a `unet` draw at 64, linearly: the map (from 0.5 on), or the logits.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image
from scipy import stats
from torch import Tensor
from torch.nn import functional

import chiasm
from chiasm.cohort import Cohort
from chiasm.encoders import pack
from chiasm.segmentation.grids import images_of
from chiasm.segmentation.implicit import Implicit
from chiasm.segmentation.model import Outliner
from chiasm.training.batches import take
from pages import not_run, part, rows_of, run

NAME = "outlines_heads"
SEEDS = range(1, 6)
QUESTIONS = ("words", "tree", "grid")
LINES = tuple(f"{question}-{seed}" for seed in SEEDS for question in QUESTIONS)
TRAINED, JUDGED, SIDE, FINE = 40, 24, 48, 256
SIZE = "width=8,depth=2,batch=4,crops=2"
TREE = "tumour<liver/benign<tumour/malignant<tumour"
ARMS = {
    "words": {"told": f"mulmodseg:{SIZE},epochs=12", "not told": f"mulmodseg:words=none,{SIZE},epochs=12"},
    "tree": {
        "tree": f"unit:tree={TREE},{SIZE},epochs=25",
        "flat": f"unit:tree={TREE},hierarchy=false,{SIZE},epochs=25",
    },
    "grid": {"field": f"i-medsam:hidden=32,{SIZE},epochs=8", "unet": f"unet:{SIZE},epochs=8"},
}
LABELS = {"words": ("kidney", "spleen"), "tree": ("liver", "benign", "malignant"), "grid": ("ellipse",)}


def disc(side: int, middle: np.ndarray, radii: np.ndarray, turn: float = 0.0) -> np.ndarray:
    """Which pixels lie in an ellipse, of coordinates between 0 and 1."""
    at = (np.arange(side) + 0.5) / side
    down, across = at[:, None] - middle[0], at[None] - middle[1]
    one, other = np.cos(turn) * down + np.sin(turn) * across, np.cos(turn) * across - np.sin(turn) * down
    return np.asarray((one / radii[0]) ** 2 + (other / radii[1]) ** 2 <= 1)


def organs(rng: np.random.Generator, contrast: str) -> tuple[np.ndarray, np.ndarray]:
    """Two discs, whose greys a contrast exchanges, and their codes."""
    codes = np.zeros((SIDE, SIDE), dtype=np.uint8)
    places = np.array([[0.27, 0.27], [0.73, 0.73]]) + rng.uniform(-0.06, 0.06, (2, 2))
    if rng.random() < 0.5:
        places[:, 1] = 1 - places[:, 1]
    for code, middle in zip(rng.permutation(2) + 1, places, strict=True):
        codes[disc(SIDE, middle, np.full(2, rng.uniform(0.12, 0.2)))] = code
    grey = np.array({"ct": (128, 220, 40), "mr": (128, 40, 220)}[contrast], dtype=float)[codes]
    return grey + rng.normal(0, 15, codes.shape), codes


def liver(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A liver with a tumour of one kind or none, and spots of the same greys outside of it, and the codes."""
    middle = rng.uniform(0.4, 0.6, 2)
    inside = disc(SIDE, middle, rng.uniform(0.22, 0.3, 2), rng.uniform(0, np.pi))
    codes, grey = inside.astype(np.uint8), np.where(inside, 130.0, 80.0)
    spots = [(middle + rng.uniform(-0.1, 0.1, 2), int(rng.integers(0, 3)))]  # a kind of 0: none
    around = rng.uniform(0, 2 * np.pi, 2)
    spots += [(middle + 0.4 * np.array([np.sin(a), np.cos(a)]), int(rng.integers(1, 3))) for a in around]
    for place, (at, kind) in enumerate(spots):
        spot = disc(SIDE, at, np.full(2, rng.uniform(0.08, 0.12)))
        if kind:
            grey[spot] = 200
            core = disc(SIDE, at, np.full(2, 0.05))
            grey[core & spot] = 110 if kind == 2 else 200
        if not place and kind:
            codes[spot & inside] = 1 + kind
    return grey + rng.normal(0, 25, codes.shape), codes


def ellipse(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """An ellipse as 64 x 64 pixels see it, its codes there, and its codes on the fine grid."""
    middle, radii, turn = rng.uniform(0.35, 0.65, 2), rng.uniform(0.12, 0.3, 2), rng.uniform(0, np.pi)
    fine = disc(FINE, middle, radii, turn)
    seen = fine.reshape(64, FINE // 64, 64, FINE // 64).mean((1, 3))
    return 70 + 110 * seen + rng.normal(0, 15, seen.shape), disc(64, middle, radii, turn).astype(np.uint8), fine


def cohort_of(folder: Path, question: str, many: int, rng: np.random.Generator) -> tuple[Cohort, np.ndarray]:
    """The encoded cohort of a question, and of ellipses the codes on the fine grid, `(many, 256, 256)`."""
    folder.mkdir(parents=True)
    contrasts, fine, rows = ("ct", "mr") if question == "words" else ("image",), [], []
    for k in range(many):
        contrast = contrasts[k % len(contrasts)]
        if question == "grid":
            grey, codes, own = ellipse(rng)
            fine.append(own)
        else:
            grey, codes = organs(rng, contrast) if question == "words" else liver(rng)
        Image.fromarray(np.clip(grey, 0, 255).astype(np.uint8)).save(folder / f"p{k:03d}_{contrast}.png")
        Image.fromarray(codes).save(folder / f"p{k:03d}_map.png")
        rows.append({"id": f"p{k:03d}", "map": f"p{k:03d}_map.png"})
    pd.DataFrame(rows).to_csv(folder / "patients.csv", index=False)
    named = ", ".join(f'"{own}"' for own in LABELS[question])
    modalities = "".join(
        f'[modalities.{own}]\nkind = "image"\npath = "{{id}}_{own}.png"\nencoder = "grid"\n' for own in contrasts
    )
    (folder / "cohort.toml").write_text(
        f'name = "made"\n[patients]\ntable = "patients.csv"\nid = "id"\n[target]\nkind = "mask"\ncolumn = "map"\n'
        f"labels = [{named}]\n{modalities}",
        encoding="utf-8",
    )
    return chiasm.encode(chiasm.open_cohort(folder / "cohort.toml"), jobs=1).cohort, np.array(fine)


def dice(one: Tensor, other: Tensor) -> float:
    """That of two maps of one label."""
    return float(2 * (one & other).sum() / (one.sum() + other.sum()))


def on_fine_grid(predictor: Outliner, new: Cohort, fine: np.ndarray) -> dict[str, float]:
    """Mean dice on the fine grid: of the map and of the logits stretched, and of a field that is asked there."""
    drawing, tokens = predictor.drawing().eval(), pack(new, predictor.grids)
    found: dict[str, list[float]] = {}
    here = torch.ones(1, 1, dtype=torch.bool)
    for row, truth in enumerate(torch.from_numpy(fine)):
        images, _ = images_of(take(tokens, np.array([row])), here, predictor.grids, 0)
        seen = {name: own[None] for name, own in images.items()}
        with torch.inference_mode():
            logits = drawing.network(seen, here)
            maps = {"logits": functional.interpolate(logits, size=(FINE, FINE), mode="bilinear").argmax(1)[0] > 0}
            own_map = logits.argmax(1, keepdim=True).float()
            maps["map"] = functional.interpolate(own_map, size=(FINE, FINE), mode="bilinear")[0, 0] >= 0.5
            if isinstance(drawing.network, Implicit):
                maps["asked"] = drawing.network.both(seen, here, (FINE, FINE))[0].argmax(1)[0] > 0
        for way, own in maps.items():
            found.setdefault(way, []).append(dice(own, truth))
    return {way: float(np.mean(own)) for way, own in found.items()}


def one(line: str, data: Path, work: Path) -> dict[str, Any]:
    """Train each arm of a question on images of a seed, and judge it by others."""
    question, _, seed = line.partition("-")
    start, rng = time.process_time(), np.random.default_rng([QUESTIONS.index(question), int(seed)])
    work.mkdir(parents=True, exist_ok=True)
    arms: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory(dir=work) as folder:
        train, _ = cohort_of(Path(folder) / "train", question, TRAINED, rng)
        new, fine = cohort_of(Path(folder) / "new", question, JUDGED, rng)
        for arm, recipe in ARMS[question].items():
            model = chiasm.fit(train, recipe, seed=int(seed))
            assert isinstance(model.predictor, Outliner)  # as all recipes of label maps give
            own = {"parameters": float(model.predictor.trained_parameters)}
            if question == "grid":
                arms[arm] = own | on_fine_grid(model.predictor, new, fine)
                continue
            model.save(Path(folder) / arm)
            table = chiasm.validate(Path(folder) / arm, new).table().set_index("metric")
            arms[arm] = own | {"dice": float(table.loc["dice", "mean"])}
    return {"cohort": line, "arms": arms, "cpu": round(time.process_time() - start, 1)}


def interval(values: list[float]) -> str:
    """Mean of several seeds with Student's interval."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return f"{mean:.3f} (one seed)"
    half = float(stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))
    return f"{mean:.3f} ({mean - half:.3f} to {mean + half:.3f})"


def less(rows: list[dict[str, Any]], one_way: tuple[str, str], other: tuple[str, str]) -> list[float]:
    """The dice of one arm's way less that of another, of each seed."""
    return [row["arms"][one_way[0]][one_way[1]] - row["arms"][other[0]][other[1]] for row in rows]


COMPARED = {
    "words": [("told the contrast", ("told", "dice"), ("not told", "dice"), "`mulmodseg:words=none`, not told")],
    "tree": [("the tree of labels", ("tree", "dice"), ("flat", "dice"), "`unit:hierarchy=false`, one softmax")],
    "grid": [
        ("the field asked at 256", ("field", "asked"), ("field", "map"), "its own map of 64, stretched"),
        ("the field asked at 256", ("field", "asked"), ("field", "logits"), "its own logits of 64, stretched"),
        ("the field asked at 256", ("field", "asked"), ("unet", "map"), "the map of a `unet`, stretched"),
        ("the field asked at 256", ("field", "asked"), ("unet", "logits"), "the logits of a `unet`, stretched"),
    ],
}
"""Of each question what is compared: in words, arm and key, those of the other, and that in words."""


def write_part(results: Path, page: Path) -> str:
    """Write the table between the marks of the page, and return it."""
    every = {line: row for line, row in rows_of(results).items() if line in LINES}
    lines = [
        "## Heads of networks that draw label maps",
        "",
        f"`python benchmarks/{NAME}.py`, its results in `benchmarks/results/{NAME}.jsonl`; this part of the page is",
        f"written by `--table`. Made images with a known truth, {TRAINED} to train on and {JUDGED} others to judge by;",
        "mean dice, and Student's interval over seeds. Each pair has as many parameters, but for a field beside a",
        "`unet`. What is drawn, and why, stands at the head of the script.",
        "",
        "| question | seeds | what | dice | beside it | dice | difference |",
        "|---|---|---|---|---|---|---|",
    ]
    for question, pairs in COMPARED.items():
        rows = [row for line, row in every.items() if line.startswith(question)]
        for words, own, other, others in pairs if rows else []:
            cells = [interval([row["arms"][arm][key] for row in rows]) for arm, key in (own, other)]
            apart = interval(less(rows, own, other))
            lines.append(f"| {question} | {len(rows)} | {words} | {cells[0]} | {others} | {cells[1]} | {apart} |")
    return part(page, NAME, "\n".join([*lines, *not_run(LINES, every)]) + "\n")


if __name__ == "__main__":
    run(__doc__, NAME, LINES, one, write_part)
