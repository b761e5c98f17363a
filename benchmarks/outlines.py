"""Label maps of phantoms: contrasts that are missing, whether the second one pays, and weights of another scanner.

    python benchmarks/outlines.py [LINE ...] && python benchmarks/outlines.py --table

A line is a question and a seed. Phantoms of 32 x 32 pixels have an organ with a tumour in it and another organ, in two
contrasts of which one is noisy (`chiasm.segmentation.phantoms`). `missing-60-1`: of 32 phantoms to learn from and 32
others to be judged on, 60 % lack one of the contrasts, and each arm learns and draws with what there is: `ssma-dense`
and `unet`, which know what is absent; both with black pictures in its place, which they take for images; and `unet` on
one contrast alone, which tells who lacks it what training maps have on average. `verdict-useful-1`, `verdict-noise-1`:
a trial of `unet` with both contrasts and with each alone on 36 phantoms, whose noisy contrast shows the tumour, or is
noise alone. `transfer-1`: `stu-net` of width 4 learns 48 phantoms of one scanner, and goes on with 4, 16 or all 48 of
another whose bright is dark, or of the same; beside it the same from nothing, with as many steps. A fifth of the
phantoms is held out and stops a training; of four, one is. Figures are the mean dice of the three labels; intervals are
Student's over seeds. Options are the same for all arms; rate of learning and number of epochs were tried on larger
phantoms of which none is here, with `unet` and `ssma-dense`; the rest stood before a line was run.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")  # before numpy is loaded

import numpy as np  # noqa: E402
import torch  # noqa: E402
from PIL import Image  # noqa: E402
from scipy import stats  # noqa: E402

import chiasm  # noqa: E402
from chiasm.evaluation import Protocol  # noqa: E402
from chiasm.fitting.base import Training  # noqa: E402
from chiasm.metrics.segmentation import dice  # noqa: E402
from chiasm.recipes.registry import make_recipe  # noqa: E402
from chiasm.segmentation.phantoms import CONTRASTS, LABELS, phantom_cohort  # noqa: E402
from chiasm.targets.label_maps import of_numbers, of_text  # noqa: E402
from chiasm.targets.mask import maps_of  # noqa: E402
from pages import not_run, part, rows_of, run  # noqa: E402

NAME = "outlines"
SIDE, LEARNED, JUDGED, TRIED, OTHER = 32, 32, 32, 36, 48
TRAINED = "epochs=20,batch=2,crops=1,learning_rate=0.01"
SIZES = f"width=8,depth=2,{TRAINED}"
PERCENT, SEEDS, FEW = (0, 30, 60), (1, 2, 3, 4, 5), (4, 16, OTHER)
EPOCHS = {4: 160, 16: 48, OTHER: 16}
"""Number of phantoms to tune on, to epochs of about as many steps."""
ARMS = {
    "ssma-dense": (f"ssma-dense:{SIZES}", "files", "`ssma-dense`, what is absent is known"),
    "unet": (f"unet:{SIZES}", "files", "`unet`, what is absent is known"),
    "ssma-dense, black": (f"ssma-dense:modality_dropout=0,{SIZES}", "black", "`ssma-dense`, absent is black"),
    "unet, black": (f"unet:modality_dropout=0,{SIZES}", "black", "`unet`, absent is black"),
    **{name: (f"unet:modality={name},{SIZES}", "files", f"`unet`, {name} alone") for name in CONTRASTS},
}
QUESTIONS = ("missing-60", "verdict-useful", "verdict-noise", "transfer", "missing-0", "missing-30")
LINES = tuple(f"{question}-{seed}" for question in QUESTIONS for seed in SEEDS)
SCANNERS = ("bright", "dark")


def made(folder: Path, patients: int, **given: Any) -> chiasm.Cohort:
    """Encoded phantoms."""
    return chiasm.encode(chiasm.open_cohort(phantom_cohort(folder, patients, (SIDE, SIDE), **given)), jobs=1).cohort


def blackened(folder: Path) -> chiasm.Cohort:
    """The phantoms of a folder once more, each picture that is absent a black one."""
    for own in sorted(folder.glob("*_map.png")):
        for contrast in CONTRASTS:
            place = folder / own.name.replace("_map", f"_{contrast}")
            if not place.exists():
                Image.fromarray(np.zeros((SIDE, SIDE), dtype=np.uint8)).save(place)
    return chiasm.encode(chiasm.open_cohort(folder / "cohort.toml"), jobs=1).cohort


def dices(model: chiasm.Model, cohort: chiasm.Cohort) -> np.ndarray:
    """Dice of each patient and label, `(B, K)`."""
    return agreement([of_text(text, LABELS).codes for text in model.predict(cohort)["mask"]], cohort)


def agreement(said: Sequence[np.ndarray], cohort: chiasm.Cohort) -> np.ndarray:
    """Dice `(B, K)` of codes that were drawn with those that are true."""
    truth = [maps_of(cohort.outcome).of(row).codes for row in range(len(cohort))]
    return np.array(
        [[dice(a == k + 1, b == k + 1) for k in range(len(LABELS))] for a, b in zip(said, truth, strict=True)]
    )


def learned_from(cohort: chiasm.Cohort, recipe: str, seed: int) -> Any:
    """The predictor of a recipe on a cohort of any size: `chiasm.fit` asks for ten patients, and four are asked for."""
    training = Training(cohort, cohort.target.with_horizons(cohort.outcome), cohort.outcome, seed, None, "cpu")
    return make_recipe(recipe).learn(training)[0]


def missing(percent: int, seed: int, folder: Path) -> dict[str, Any]:
    """Teach each arm with contrasts missing, and judge it on phantoms that lack as many."""
    files = {
        part: made(folder / part, many, missing=percent / 100, seed=10_000 * k + seed)
        for k, (part, many) in enumerate((("learned", LEARNED), ("judged", JUDGED)), 1)
    }
    pattern, arms = files["judged"].pattern(), {}
    black: dict[str, chiasm.Cohort] = {}
    for arm, (recipe, kind, _) in ARMS.items():
        if kind == "black" and not percent:
            continue
        if kind == "black" and not black:
            black = {part: blackened(folder / part) for part in files}
        own = black if kind == "black" else files
        model = chiasm.fit(own["learned"], recipe, seed=seed)
        found = dices(model, own["judged"])
        arms[arm] = {"all": rounded(found), **{name: rounded(found[:, k]) for k, name in enumerate(LABELS)}}
        arms[arm] |= {name: rounded(found[pattern == name]) for name in sorted(set(pattern))}
    return {"arms": arms}


def verdict(what: str, seed: int, folder: Path) -> dict[str, Any]:
    """Ask a trial whether the second contrast pays, where it is useful and where it is noise."""
    cohort = made(folder / "made", TRIED, seed=30_000 + seed, useful=what == "useful")
    recipes = [f"unet:{SIZES}", *(f"unet:modality={name},{SIZES}" for name in CONTRASTS)]
    protocol = Protocol(folds=3, repeats=1, inner_folds=2, draws=500)
    found = chiasm.evaluate(cohort, recipes, protocol, seed=seed, jobs=1, out=folder / "run").verdict
    return {
        "outcome": found.outcome, "difference": rounded([found.difference], [found.low], [found.high]),
        "single": found.best_single,
    }  # fmt: skip


def transfer(seed: int, folder: Path) -> dict[str, Any]:
    """Learn phantoms of each scanner, and go on with few of each, beside beginning with nothing."""
    base = f"stu-net:width=4,learning_rate=0.003,batch=4,crops=1,patience={max(EPOCHS.values())}"
    scanned = {
        name: made(folder / f"from-{name}", OTHER, seed=40_000 + seed, inverted=name == "dark") for name in SCANNERS
    }
    tuned = {name: made(folder / f"to-{name}", OTHER, seed=50_000 + seed, inverted=name == "dark") for name in SCANNERS}
    judged = {
        name: made(folder / f"on-{name}", JUDGED, seed=60_000 + seed, inverted=name == "dark") for name in SCANNERS
    }
    weights = {"nothing": ""}
    for name, cohort in scanned.items():
        chiasm.fit(cohort, f"{base},epochs={2 * EPOCHS[OTHER]}", seed=seed).save(folder / f"model-{name}")
        weights[name] = f",weights={folder / f'model-{name}'}"
    found: dict[str, dict[str, float]] = {}
    for begun, own in weights.items():
        for scanner in SCANNERS:
            for many in FEW:
                few = tuned[scanner].subset(np.arange(OTHER) < many)
                predictor = learned_from(few, f"{base},epochs={EPOCHS[many]}{own}", seed)
                codes = [of_numbers(row[len(LABELS) :]).codes for row in predictor.link(judged[scanner])]
                found.setdefault(f"{begun} to {scanner}", {})[str(many)] = rounded(agreement(codes, judged[scanner]))[0]
    return {"dice": found}


def one(line: str, data: Path, work: Path) -> dict[str, Any]:
    """A line of the results."""
    start, (question, *what) = time.process_time(), line.split("-")
    work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=work) as place:
        folder, seed = Path(place), int(what[-1])
        if question == "missing":
            found = missing(int(what[0]), seed, folder)
        else:
            found = verdict(what[0], seed, folder) if question == "verdict" else transfer(seed, folder)
    return {"cohort": line, **found, "cpu": round(time.process_time() - start)}


def rounded(*values: Any) -> list[float]:
    """The means of some arrays to four digits behind the point."""
    return [round(float(np.mean(own)), 4) for own in values]


def interval(values: Sequence[float]) -> str:
    """Mean of several seeds with Student's interval."""
    mean = f"{np.mean(values):.3f}"
    if len(values) < 2:
        return mean
    half = float(stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))
    return f"{mean} ({np.mean(values) - half:.3f} to {np.mean(values) + half:.3f})"


def apart(values: Sequence[float]) -> str:
    """A mean difference over seeds, and what it says."""
    if len(values) < 2:
        return f"{interval(values)}, of one seed"
    half = float(stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))
    mean = float(np.mean(values))
    return f"{interval(values)}, {'more' if mean > half else 'less' if mean < -half else 'not told apart'}"


def write_part(results: Path, page: Path) -> str:
    """Write the tables between the marks of the page, and return them."""
    rows = {line: row for line, row in rows_of(results).items() if line in LINES}
    text = [
        "## Label maps of phantoms", "",
        f"`python benchmarks/outlines.py`, its results in `benchmarks/results/{NAME}.jsonl`; this part of the page is",
        f"written by `--table`. Phantoms of {SIDE} x {SIDE} pixels in two contrasts, one of them noisy; mean dice of",
        "an organ, a tumour in it and another organ on phantoms that were not learned, mean over seeds with Student's",
        "interval. Options are the same for all arms, and none was chosen by a figure here; trainings are short.",
    ]  # fmt: skip
    text += [*missing_lines(rows), *verdict_lines(rows), *transfer_lines(rows), *not_run(LINES, rows)]
    return part(page, NAME, "\n".join(text) + "\n")


def seeds(rows: Sequence[Any]) -> str:
    """How many seeds, in words."""
    return "1 seed" if len(rows) == 1 else f"{len(rows)} seeds"


def of_question(rows: dict[str, Any], question: str) -> list[dict[str, Any]]:
    """The finished lines of a question, by seed."""
    return [row for line, row in rows.items() if line.startswith(f"{question}-")]


def missing_lines(rows: dict[str, Any]) -> list[str]:
    """The table of what is reached with contrasts missing, and differences."""
    lines = [
        "",
        f"{LEARNED} phantoms to learn from, {JUDGED} to be judged on; so many in a hundred lack one contrast:",
        "",
    ]
    asked = {percent: own for percent in PERCENT if (own := of_question(rows, f"missing-{percent}"))}
    heads = [f"{percent} % missing, {seeds(own)}" for percent, own in asked.items()]
    lines += [f"| drawn by | {' | '.join(heads)} |", "|---" * (1 + len(heads)) + "|"]
    for arm, (_, _, said) in ARMS.items():
        cells = [
            interval([row["arms"][arm]["all"][0] for row in own]) if arm in own[0]["arms"] else "-"
            for own in asked.values()
        ]
        lines.append(f"| {said} | {' | '.join(cells)} |")
    lines.append("")
    for percent, own in asked.items():
        for arm, other in (("ssma-dense", "ssma-dense, black"), ("unet", "unet, black"), ("ssma-dense", "unet")):
            if other in own[0]["arms"]:
                gaps = [row["arms"][arm]["all"][0] - row["arms"][other]["all"][0] for row in own]
                lines.append(f"- {percent} % missing, {ARMS[arm][2]}, less {ARMS[other][2]}: {apart(gaps)}.")
    return lines


def verdict_lines(rows: dict[str, Any]) -> list[str]:
    """What trials said of the second contrast."""
    if not of_question(rows, "verdict"):
        return []
    lines = [
        "",
        f"Does the second contrast pay? Trials of `unet` on {TRIED} phantoms,",
        "three folds, one for each seed:",
        "",
    ]
    for what, said in (("useful", "shows the tumour"), ("noise", "is noise alone")):
        own = of_question(rows, f"verdict-{what}")
        outcomes = [row["outcome"] for row in own]
        told = ", ".join(f'"{outcome}" {outcomes.count(outcome)}' for outcome in sorted(set(outcomes)))
        if own:
            gain = interval([row["difference"][0] for row in own])
            lines.append(f"- where the noisy contrast {said}: {told} of {len(own)}; both less the better one {gain}.")
    return lines


def transfer_lines(rows: dict[str, Any]) -> list[str]:
    """The matrix of transfer, and what weights of the other scanner are worth."""
    own = of_question(rows, "transfer")
    if not own:
        return []
    lines = [
        "",
        f"`stu-net` of width 4, learned on {OTHER} phantoms of one scanner, tuned on so many of",
    ]
    lines += [f"another whose bright is dark, or of the same; {seeds(own)}:", ""]
    lines += [f"| begun with, tuned to | {' | '.join(map(str, FEW))} |", "|---" * (1 + len(FEW)) + "|"]
    for key in own[0]["dice"]:
        cells = [interval([row["dice"][key][str(many)] for row in own]) for many in FEW]
        lines.append(f"| {key} | {' | '.join(cells)} |")
    lines.append("")
    for many in FEW:
        gaps = [
            float(np.mean([row["dice"][f"{a} to {b}"][str(many)] - row["dice"][f"nothing to {b}"][str(many)]
                           for a, b in (SCANNERS, SCANNERS[::-1])]))
            for row in own
        ]  # fmt: skip
        lines.append(f"- {many} phantoms, begun with the other scanner's weights less with nothing: {apart(gaps)}.")
    return lines


if __name__ == "__main__":
    torch.set_num_threads(1)
    run(__doc__, NAME, LINES, one, write_part)
