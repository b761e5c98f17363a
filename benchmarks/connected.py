"""Does a language model that was connected to pictures or molecules answer from them? On questions with known answers.

    python benchmarks/connected.py [LINE ...] && python benchmarks/connected.py --table

A line is a question and a seed, `shapes-1` and so on. The language model is the tiny one that is made of training words
within each fit, so that nothing is said of the skill of a method with a large one.

`shapes`: pictures of 16 x 16 with a square, a cross or a ring, dark or bright, left or right among noise, each asked
for one of the three; 300 are learned by `llava-med` and 300 others asked: with their own picture, with another's, and
without any. The control is the same recipe learned with pictures exchanged among training patients.

`order`: the same pictures by `llava-med` with its stages turned around (all, then the connector), and with all at once
for as many epochs, beside the line of shapes of that seed; a rate belongs to its stage.

`molecules`: of `molecules-bbbp`, 300 drawn molecules are learned by `biomedgpt` from the graph of their atoms, and 300
others asked how many rings, nitrogen or oxygen atoms they have, by RDKit's count: few, some or many, by thirds of the
learned ones. The control is the same recipe learned with the molecules exchanged; beside it stands the most frequent
training answer to each question.

All options are the recipes' own. A third of their epochs, tried first, did not teach shapes in one of two seeds.
Intervals are Student's t over seeds.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

import chiasm
from chiasm.cohort import Cohort, cohort_from_frames
from chiasm.language.curriculum import Stage
from chiasm.language.language_model import LanguageModel
from chiasm.language.question_sets.planted import QUESTIONS, patches, picture
from chiasm.recipes.language.biomedgpt import BioMedGpt
from chiasm.recipes.language.connected import Questions
from chiasm.recipes.language.llava_med import LlavaMed
from pages import not_run, part, rows_of, run

NAME = "connected"
SEEDS = range(1, 6)
SHAPES, MOLECULES, ORDER = "shapes", "molecules", "order"
LINES = tuple(f"{what}-{seed}" for seed in SEEDS for what in (SHAPES, MOLECULES, ORDER))
LEARNED, ASKED = 300, 300
OPTIONS: dict[str, Any] = {"control": "none"}
COUNTS = {"how many rings does it have?": "ring", "how many nitrogen atoms?": "N", "how many oxygen atoms?": "O"}
THIRDS = ("few", "some", "many")
ORDERS = {"own": "in their order", "turned": "turned around", "at-once": "all at once"}


@dataclass(frozen=True)
class Turned(LlavaMed):
    """The same stages, the last first."""

    def stages(self, asked: Questions, language: LanguageModel, soft: int) -> list[Stage]:
        return super().stages(asked, language, soft)[::-1]


@dataclass(frozen=True)
class AtOnce(LlavaMed):
    """What the stages train, all at once, for as many epochs as both have, at the rate of the last."""

    def stages(self, asked: Questions, language: LanguageModel, soft: int) -> list[Stage]:
        both = super().stages(asked, language, soft)
        epochs = sum(own.options.epochs for own in both)
        return [replace(both[-1], options=replace(both[-1].options, epochs=epochs, patience=epochs))]


def asked_of(questions: list[str], answers: list[str], among: list[Sequence[str]], name: str, things: Any) -> Cohort:
    """A cohort of things with a question each, and its answers in an order of their own."""
    rng, rows = np.random.default_rng(len(questions)), list[list[str | None]]()
    for right, own in zip(answers, among, strict=True):
        order = [own[int(k)] for k in rng.permutation(len(own))]
        rows.append([right, *order, *[None] * (3 - len(order))])
    ids = [f"q{k:05d}" for k in range(len(questions))]
    table = pd.DataFrame(rows, index=ids, columns=["answer", "a", "b", "c"])
    given = things if isinstance(things, pd.DataFrame) else dict(zip(ids, things, strict=True))
    kinds = {"question": "text"} | ({name: "molecule"} if isinstance(things, pd.DataFrame) else {})
    values = {name: given.set_axis(ids) if isinstance(given, pd.DataFrame) else given}
    said = {"question": pd.DataFrame({"question": questions}, index=ids)}
    return cohort_from_frames(table, {**values, **said}, chiasm.Choice("answer", ("a", "b", "c"), "text"), kinds=kinds)


def shapes(n: int, seed: int) -> tuple[Cohort, Cohort, float]:
    """Pictures with questions, the same with another's picture, and the share that is right by chance."""
    rng = np.random.default_rng(seed)
    facts = np.stack([rng.integers(3, size=n), rng.integers(2, size=n), rng.integers(2, size=n)], 1)
    kind, names = rng.integers(3, size=n), list(QUESTIONS)
    pictures = [patches(picture(*own, rng)) for own in facts]
    questions, among = [names[k] for k in kind], [QUESTIONS[names[k]] for k in kind]
    answers = [own[int(facts[row, kind[row]])] for row, own in enumerate(among)]
    others = [pictures[int(k)] for k in exchanged(n, rng)]
    made = [asked_of(questions, answers, among, "image", own) for own in (pictures, others)]
    return made[0], made[1], float(np.mean([1 / len(own) for own in among]))


def exchanged(n: int, rng: np.random.Generator) -> np.ndarray:
    """Of each row another one, all in one ring."""
    order, found = rng.permutation(n), np.empty(n, int)
    found[order] = np.roll(order, 1)
    return found


def counted(smiles: Sequence[str], what: str) -> np.ndarray:
    """RDKit's number of rings, or of atoms of an element, of each molecule."""
    from rdkit import Chem

    found = []
    for own in smiles:
        molecule = Chem.MolFromSmiles(own)
        rings = molecule.GetRingInfo().NumRings()
        found.append(rings if what == "ring" else sum(atom.GetSymbol() == what for atom in molecule.GetAtoms()))
    return np.array(found)


def molecules(data: Path, seed: int) -> tuple[Cohort, Cohort, Cohort, dict[str, float]]:
    """Molecules to learn, to ask for, and with another's graph; and what the most frequent training answers reach."""
    from rdkit import Chem, RDLogger

    RDLogger.DisableLog("rdApp.*")
    rng = np.random.default_rng(seed)
    every = pd.read_csv(data / "molecules-bbbp" / "patients.csv")["smiles"]
    every = every[[Chem.MolFromSmiles(own) is not None for own in every]]
    drawn = every.to_numpy()[rng.permutation(len(every))[: LEARNED + ASKED]]
    kind, names = rng.integers(3, size=len(drawn)), list(COUNTS)
    number = np.stack([counted(drawn, what) for what in COUNTS.values()], 1)
    edges = [np.quantile(number[:LEARNED, k], [1 / 3, 2 / 3]) for k in range(3)]
    level = np.stack([np.searchsorted(edges[k], number[:, k], side="left") for k in range(3)], 1)
    answers = [THIRDS[level[row, own]] for row, own in enumerate(kind)]
    questions = [names[own] for own in kind]
    learned, asked = slice(None, LEARNED), slice(LEARNED, None)
    usual = {
        name: Counter(a for a, q in zip(answers[learned], questions[learned], strict=True) if q == name).most_common(1)
        for name in names
    }
    right = [usual[q][0][0] == a for a, q in zip(answers[asked], questions[asked], strict=True)]
    of_others = drawn[asked][exchanged(ASKED, rng)]
    made = [
        asked_of(
            questions[rows], answers[rows], [THIRDS] * len(own), "molecule",
            pd.DataFrame({"smiles": own}),
        )
        for rows, own in ((learned, drawn[learned]), (asked, drawn[asked]), (asked, of_others))
    ]  # fmt: skip
    ready = [chiasm.encode(own, {"molecule": "graph"}, jobs=1).cohort for own in made]
    return ready[0], ready[1], ready[2], {"usual": float(np.mean(right))}


def right(model: Any, cohort: Cohort) -> float:
    """Share of the answers that are right."""
    assert cohort.outcome is not None
    said = model.predict(cohort)["choice"].to_numpy()
    return float((said == cohort.outcome.value[cohort.order].astype(int) + 1).mean())


def one(line: str, data: Path, work: Path) -> dict[str, Any]:
    """Learn and ask; each figure is a share of right answers."""
    what, seed, start = line.rpartition("-")[0], int(line.rpartition("-")[2]), time.process_time()
    found: dict[str, float] = {}
    if what == MOLECULES:
        learned, asked, others, found = molecules(data, seed)
        recipe: Any = BioMedGpt(**OPTIONS)
    else:
        learned, (asked, others, chance) = shapes(LEARNED, 2 * seed)[0], shapes(ASKED, 2 * seed + 1)
        recipe, found = LlavaMed(**OPTIONS), {"chance": chance}
    if what == ORDER:
        orders = {"turned": Turned(**OPTIONS), "at-once": AtOnce(**OPTIONS)}
        found |= {name: right(own.fit(learned, seed=seed), asked) for name, own in orders.items()}
    else:
        model = recipe.fit(learned, seed=seed)
        control = replace(recipe, images="shuffled").fit(learned, seed=seed)
        found |= {
            "own": right(model, asked), "exchanged": right(model, others),
            "blind": right(model, asked.with_modalities(["question"])), "control": right(control, asked),
        }  # fmt: skip
    return {"cohort": line, "learned": len(learned), "asked": len(asked), **found,
            "seconds": round(time.process_time() - start, 1)}  # fmt: skip


def ends(values: Sequence[float]) -> tuple[float, float]:
    """Student's interval of the mean of two seeds or more."""
    half = float(stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))
    return float(np.mean(values)) - half, float(np.mean(values)) + half


def interval(values: Sequence[float]) -> str:
    """Mean over seeds with Student's interval, or the one value."""
    mean = f"{np.mean(values):.3f}"
    return mean if len(values) < 2 else "{} ({:.3f} to {:.3f})".format(mean, *ends(values))


def apart(rows: list[dict[str, Any]], key: str, other: str, words: str) -> str:
    """A sentence on a difference over seeds."""
    found = [row[key] - row[other] for row in rows]
    if len(found) < 2:
        return f"{words}: {interval(found)}, of one seed."
    low, high = ends(found)
    said = "more" if low > 0 else "less" if high < 0 else "not told apart"
    return f"{words}: {interval(found)}, {said}."


def write_part(results: Path, page: Path) -> str:
    """Write the tables between the marks of the page, and return them."""
    every = {line: row for line, row in rows_of(results).items() if line in LINES}
    of = {what: [row for line, row in every.items() if line.startswith(what)] for what in (SHAPES, MOLECULES)}
    beside_shapes = [
        {**every[f"{SHAPES}-{seed}"], **every[f"{ORDER}-{seed}"]}
        for seed in SEEDS
        if f"{SHAPES}-{seed}" in every and f"{ORDER}-{seed}" in every
    ]
    text = [
        "## A language model that sees: does it answer from what is connected?",
        "",
        f"`python benchmarks/connected.py`, its results in `benchmarks/results/{NAME}.jsonl`; this part of the page",
        "is written by `--table`. The language model is the tiny one of training words: that what is connected",
        f"reaches the answers is shown, and no skill. {LEARNED} questions are learned and {ASKED} asked in each seed;",
        "shares of right answers with Student's interval over seeds.",
        "",
        "| asked | seeds | its own | another's | none | learned with others' | by chance, or usual |",
        "|---|---|---|---|---|---|---|",
    ]
    words = {SHAPES: ("pictures of planted shapes", "chance"), MOLECULES: ("molecules: rings and atoms", "usual")}
    for what, (said, beside) in words.items():
        if rows := of[what]:
            cells = [interval([row[key] for row in rows]) for key in ("own", "exchanged", "blind", "control", beside)]
            text.append(f"| {said} | {len(rows)} | " + " | ".join(cells) + " |")
    text.append("")
    for what, (said, beside) in words.items():
        if rows := of[what]:
            text += [
                apart(rows, "own", "control", f"Of {said}, learned with its own less with others'"),
                apart(rows, "exchanged", beside, "With another's less what stands in the last column"),
            ]
    if rows := beside_shapes:
        told = "; ".join(f"{said} {interval([row[key] for row in rows])}" for key, said in ORDERS.items())
        text += [
            "", f"The stages of `llava-med` on shapes, {len(rows)} seeds: {told}.",
            apart(rows, "own", "turned", "In their order less turned around"),
            apart(rows, "own", "at-once", "In their order less all at once"),
        ]  # fmt: skip
    return part(page, NAME, "\n".join([*text, *not_run(LINES, every)]) + "\n")


if __name__ == "__main__":
    run(__doc__, NAME, LINES, one, write_part)
