"""Does a click pay, and an adapter? Dice by the number of clicks on phantoms and on organs of real slices.

    python benchmarks/outlines_clicks.py [LINE ...] && python benchmarks/outlines_clicks.py --table

A small SAM (64 pixels a side, patches of 8) is trained once on made ellipses and nothing else, then frozen. It is asked
as it is (`frozen`), with its prompt encoder and decoder tuned (`off`: `sam-med2d:adapter=false`), and with an adapter
after each block beside (`on`: `sam-med2d`). First it draws by itself, each label by a box of the whole image; then a
person is simulated who clicks in the middle of the largest error of each label, and again after each answer, beside
which all clicks so far and the map before are given. Dice is that of each label that is there, the mean over labels,
then over patients.

A line `phantoms-1` and so on is a seed: 24 phantoms with three labels, in two contrasts, are learned from, and 10
others asked. The line `ct-slices-organs` is CT slices with masks of organs: each organ lies in the middle of a square
of twice its length, resized to 64 pixels, and is the one label; in a fold a slice, its organs are asked of a model that
learned those of the others. A first look at `phantoms-1`, in which only the newest clicks were told, led to telling all
of them and to `clicks=3` in training; nothing else was tried. Intervals are Student's, over seeds, and over slices.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import stats

import chiasm
from chiasm.cohort import Cohort
from chiasm.metrics.segmentation import dice
from chiasm.segmentation.clicked import Click
from chiasm.segmentation.clicks import corrected_by
from chiasm.segmentation.prompted_model import PromptedOutliner
from chiasm.segmentation.small_sam import train_small_sam
from chiasm.targets.label_maps import of_text
from pages import not_run, part, rows_of, run

NAME = "outlines_clicks"
SLICES = "ct-slices-organs"
LINES = ("phantoms-1", SLICES, "phantoms-2", "phantoms-3")
ASKED = (0, 1, 2, 3, 5)
STEPS, SIDE, LEARNED, TESTED = 900, 64, 24, 10
TRAINING = "clicks=3,epochs=12,patience=12,batch=4,learning_rate=0.001"
ARMS = {
    "frozen": ("SAM as it is", f"sam-med2d:adapter=false,{TRAINING.replace('epochs=12', 'epochs=0')}"),
    "off": ("tuned, without adapters", f"sam-med2d:adapter=false,{TRAINING}"),
    "on": ("tuned, with adapters", f"sam-med2d:{TRAINING}"),
}
Codes = NDArray[np.uint8]
Case = tuple[dict[str, NDArray[np.uint8]], Codes]


def written(folder: Path, cases: list[Case], labels: tuple[str, ...]) -> Cohort:
    """The encoded cohort of pictures by contrast and their label maps, in the order of `cases`."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = ["id,map"]
    for k, (images, codes) in enumerate(cases):
        for name, values in images.items():
            Image.fromarray(values).save(folder / f"p{k:03d}_{name}.png")
        Image.fromarray(codes).save(folder / f"p{k:03d}_map.png")
        rows.append(f"p{k:03d},p{k:03d}_map.png")
    (folder / "patients.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    modalities = "".join(
        f'[modalities.{name}]\nkind = "image"\npath = "{{id}}_{name}.png"\nencoder = "grid:normalise=own"\n'
        for name in cases[0][0]
    )
    (folder / "cohort.toml").write_text(
        'name = "clicks"\n[patients]\ntable = "patients.csv"\nid = "id"\n[target]\nkind = "mask"\ncolumn = "map"\n'
        f"labels = {json.dumps(list(labels))}\n{modalities}",
        encoding="utf-8",
    )
    return chiasm.encode(chiasm.open_cohort(folder / "cohort.toml")).cohort


def phantoms(seed: int, many: int) -> tuple[list[Case], tuple[str, ...]]:
    """Phantoms of a seed, and their labels."""
    from chiasm.segmentation.phantoms import LABELS, phantom

    cases = []
    for k in range(many):
        images, codes = phantom((seed, k), (SIDE, SIDE))
        cases.append(({name: np.round(255 * own).astype(np.uint8) for name, own in images.items()}, codes))
    return cases, LABELS


def organs(data: Path) -> tuple[list[Case], list[str]]:
    """Each organ of the slices in a square about it, and the slice of each."""
    cases, of = [], []
    folder = data / "wings" / SLICES
    for place in sorted((folder / "images").glob("*.png")):
        picture = Image.open(place).convert("L")
        for file in sorted((folder / "masks").glob(f"{place.stem}_*.png")):
            mask = np.asarray(Image.open(file).convert("L")) > 0
            rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            half = max(int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1, 8)
            y, x = int(rows.mean()), int(columns.mean())
            square = (x - half, y - half, x + half, y + half)
            image = picture.crop(square).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
            cut = Image.fromarray(mask.astype(np.uint8)).crop(square).resize((SIDE, SIDE), Image.Resampling.NEAREST)
            cases.append(({"ct": np.asarray(image)}, np.asarray(cut)))
            of.append(place.stem)
    return cases, of


def asked(model: Any, cohort: Cohort, cases: list[Case], labels: tuple[str, ...]) -> NDArray[np.float64]:
    """Dice of each case after each of `ASKED` clicks a label, the mean over its labels, `(n, len(ASKED))`."""
    predictor = model.predictor
    assert isinstance(predictor, PromptedOutliner)
    said, ids = model.predict(cohort), list(cohort.ids)
    found = np.zeros((len(cases), len(ASKED)))
    for k, (_, truth) in enumerate(cases):
        row = ids.index(f"p{k:03d}")
        alone = cohort.subset(np.arange(len(ids)) == row)
        own = of_text(said.loc[f"p{k:03d}", "mask"], labels)
        clicks: list[Click] = []
        for number in range(max(ASKED) + 1):
            codes = own.codes
            each = [dice(codes == c, truth == c) for c in range(1, len(labels) + 1) if (truth == c).any()]
            found[k, [at for at, asked_for in enumerate(ASKED) if asked_for >= number]] = np.mean(each)
            more = corrected_by(truth.astype(np.int64), codes, labels)
            if not more or number == max(ASKED):
                break
            clicks += more
            own = predictor.outlined(alone, clicks, labels, own)
    return found


def one(line: str, data: Path, work: Path) -> dict[str, Any]:
    """Learn and ask on one line, by each arm."""
    start, clock = time.perf_counter(), time.process_time()
    sam = work.parent / "small_sam"
    if not (sam / "model.safetensors").exists():
        train_small_sam(sam, steps=STEPS, size=SIDE)
    arms: dict[str, list[list[float]]] = {}
    if line == SLICES:
        cases, of = organs(data)
        labels: tuple[str, ...] = ("organ",)
        folds = [[k for k, own in enumerate(of) if own == name] for name in sorted(set(of))]
    else:
        seed = int(line.rpartition("-")[2])
        cases, labels = phantoms(seed, LEARNED + TESTED)
        folds = [list(range(LEARNED, LEARNED + TESTED))]
    counts = []
    for number, tested in enumerate(folds):
        learned = [own for k, own in enumerate(cases) if k not in tested]
        new = [cases[k] for k in tested]
        train = written(work / f"train-{number}", learned, labels)
        test = written(work / f"test-{number}", new, labels)
        counts.append([len(learned), len(new)])
        for arm, (_, recipe) in ARMS.items():
            model = chiasm.fit(train, f"{recipe},weights={sam}", seed=number)
            arms.setdefault(arm, []).append(asked(model, test, new, labels).mean(0).tolist())
            print(line, number, arm, [round(own, 3) for own in arms[arm][-1]], flush=True)
    return {
        "cohort": line, "folds": counts, "arms": arms,
        "seconds": time.perf_counter() - start, "cpu": time.process_time() - clock,
    }  # fmt: skip


def interval(values: list[float]) -> str:
    """The mean of several values with Student's interval."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return f"{mean:.3f}"
    half = float(stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))
    return f"{mean:.3f} ({mean - half:.3f} to {mean + half:.3f})"


def table(rows: list[dict[str, Any]]) -> str:
    """Dice by clicks of each arm, over the seeds or the slices of some lines."""
    text = "| | " + " | ".join("by itself" if not n else f"{n} click{'s' * (n > 1)}" for n in ASKED) + " |"
    text += "\n|---|" + "---|" * len(ASKED)
    for arm, (words, _) in ARMS.items():
        each = [fold for row in rows for fold in row["arms"][arm]]
        text += f"\n| {words} | " + " | ".join(interval([own[k] for own in each]) for k in range(len(ASKED))) + " |"
    return text


def differences(rows: list[dict[str, Any]]) -> str:
    """What the last click and the adapters bring, over seeds or slices."""
    both = {arm: [fold for row in rows for fold in row["arms"][arm]] for arm in ARMS}
    paid = interval([own[-1] - own[0] for own in both["on"]])
    apart = [
        interval([one[k] - other[k] for one, other in zip(both["on"], both["off"], strict=True)]) for k in (0, 1, -1)
    ]
    return (
        f"{ASKED[-1]} clicks a label beside none, with adapters: {paid}. Adapters beside none: {apart[0]} by itself, "
        f"{apart[1]} after one click, {apart[2]} after {ASKED[-1]}."
    )


def write_part(results: Path, page: Path) -> str:
    """Write the tables between the marks of the page, and return them."""
    every = {line: row for line, row in rows_of(results).items() if line in LINES}
    made = [row for line, row in every.items() if line != SLICES]
    text = [
        "## Dice by the number of clicks",
        "",
        f"`python benchmarks/outlines_clicks.py`, its results in `benchmarks/results/{NAME}.jsonl`; this part",
        "of the page is written by `--table`. A small SAM, trained on made ellipses and then frozen, draws by itself,",
        "and again after each click in the middle of each label's largest error.",
    ]
    if made:
        (learned, new), *_ = made[0]["folds"]
        seeds = f"{len(made)} seed{'s' * (len(made) > 1)}"
        text += [
            "",
            f"Phantoms of three labels, {learned} learned from and {new} asked, {seeds}:",
            "",
            table(made),
            "",
            differences(made),
        ]
    if SLICES in every:
        many = sum(new for _, new in every[SLICES]["folds"])
        text += [
            "",
            f"{many} organs of {len(every[SLICES]['folds'])} CT slices, each in a square about it, those of a slice",
            "asked of a model of the other slices. They are too few to claim anything of other images:",
            "",
            table([every[SLICES]]),
            "",
            differences([every[SLICES]]),
        ]
    return part(page, NAME, "\n".join([*text, *not_run(LINES, every)]) + "\n")


if __name__ == "__main__":
    run(__doc__, NAME, LINES, one, write_part)
