"""Do sentences of experts find classes that no training image had? On made images whose attributes are planted.

    python benchmarks/knowledge.py [LINE ...] && python benchmarks/knowledge.py --table

A line is a seed, `seed-1` and so on. An image of 28 x 28 grey pixels shows a spot of one of three shapes, with one of
three textures, at one of three places, among noise: 27 classes of 16 images. Nine of them, drawn so that each attribute
is among the others too, are seen by no training. Classes have made-up names, as diseases and species have names that
say nothing of what is seen. The same network, `flair` or `unicl` with the same budget, learns the 18 others from names,
from two sentences that name the attributes, or from those sentences dealt out to other classes, and is asked which of
the nine an image shows. Few-shot: a logistic regression on the vectors of 1 or 4 images of each of the nine, judged on
the others, beside one on the pixels. Species: a genus is a shape; an image of an unseen species is asked for among the
captions of the 18, and what counts is whether the answer is of its genus. Options stood before a line was run; they
were tried on another seed, 0. Intervals are those of Student's t over seeds.

The line `lung-ultrasound` is of films that physicians wrote of: in five folds that split no patient, `unicl` learns
films, texts and whether the lung is regular; it is asked for each tested film's text among those of its fold, where an
equal text counts as its own, and by two sentences whether the lung is regular. There are too few to claim anything.
"""

from __future__ import annotations

import tempfile
import time
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold
from sklearn.preprocessing import StandardScaler

import chiasm
from chiasm.cohort import Cohort, cohort_from_frames
from chiasm.fitting.space import Space, space_of
from pages import not_run, part, rows_of, run

NAME = "knowledge"
LUNGS = "lung-ultrasound"
LINES = (*(f"seed-{seed}" for seed in range(1, 6)), LUNGS)
OPTIONS = "epochs=40,share=0.9,depth=2,latent_width=32"
SHAPES = {"disc": "round", "square": "square with corners", "cross": "like a cross with four arms"}
TEXTURES = {"plain": "filled evenly", "striped": "striped", "dotted": "dotted"}
PLACES = {"left": "on the left side", "middle": "in the middle", "right": "on the right side"}
CLASSES = tuple(product(SHAPES, TEXTURES, PLACES))
ATTRIBUTES = ("shape", "texture", "place")
PARTS = ("bra", "lok", "mi", "ven", "tor", "sha", "pel", "nu", "gar", "fi", "dro", "ka")
IMAGES, SIDE, SHOTS = 16, 28, (1, 4)
ARMS = {
    "names": ("unicl", "names of classes"), "experts": ("flair", "sentences of experts"),
    "dealt": ("flair", "sentences of other classes"), "devide": ("devide", "sentences of experts, patch by patch"),
}  # fmt: skip
CAPTIONS = ("common", "taxonomic")


def drawn(shape: str, texture: str, place: str, rng: np.random.Generator) -> np.ndarray:
    """An image `(28, 28)` of 8 bits."""
    rows, columns = np.mgrid[:SIDE, :SIDE].astype(float)
    size = rng.uniform(4.2, 5.6)
    down = rows - (14 + rng.uniform(-5, 5))
    across = columns - ({"left": 7, "middle": 14, "right": 21}[place] + rng.uniform(-1.5, 1.5))
    arms = (abs(across) <= size * 0.4) & (abs(down) <= size * 1.15)
    spot = {
        "disc": down**2 + across**2 <= size**2,
        "square": (abs(across) <= size * 0.88) & (abs(down) <= size * 0.88),
        "cross": arms | ((abs(down) <= size * 0.4) & (abs(across) <= size * 1.15)),
    }[shape]
    start = int(rng.integers(0, 4))
    inside = {
        "plain": np.full_like(rows, 0.75),
        "striped": np.where(((rows + start) // 2) % 2 == 0, 1.0, 0.35),
        "dotted": np.where((((columns + start) % 3) < 1.5) & (((rows + start) % 3) < 1.5), 1.0, 0.3),
    }[texture]
    pixels = np.where(spot, inside, 0.08) + rng.normal(scale=0.06, size=rows.shape)
    return np.asarray(np.clip(pixels, 0, 1) * 255).astype(np.uint8)


def made_up(count: int, rng: np.random.Generator, end: str = "") -> list[str]:
    """So many different words that mean nothing."""
    found: list[str] = []
    while len(found) < count:
        word = "".join(rng.choice(PARTS, 3)) + end
        if word not in found:
            found.append(word)
    return found


class Made:
    """The classes of a seed: names, which are unseen, sentences, lineages, and the files of their images."""

    def __init__(self, seed: int, folder: Path) -> None:
        rng = np.random.default_rng(seed)
        self.seed, self.names = seed, made_up(len(CLASSES), rng)
        levels = [list(own) for own in (SHAPES, TEXTURES, PLACES)]
        self.places = np.array([[own.index(value) for own, value in zip(levels, one, strict=True)] for one in CLASSES])
        unseen = self.places.sum(1) % 3 == rng.integers(0, 3)  # each attribute is among the others, too
        self.unseen = [name for name, own in zip(self.names, unseen, strict=True) if own]
        self.seen = [name for name in self.names if name not in self.unseen]
        self.sentences = {
            name: [f"a {SHAPES[a]} spot that is {TEXTURES[b]} {PLACES[c]}", f"{TEXTURES[b]}, {SHAPES[a]}, {PLACES[c]}"]
            for name, (a, b, c) in zip(self.names, CLASSES, strict=True)
        }
        others = rng.permutation(len(self.seen))
        self.dealt = {name: self.sentences[self.seen[k]] for name, k in zip(self.seen, others, strict=True)}
        self.dealt |= {name: self.sentences[name] for name in self.unseen}
        genera, epithets, commons = made_up(3, rng, "us"), made_up(27, rng, "a"), made_up(27, rng)
        self.lineages = {
            name: {"kingdom": "Figurae", "family": "Maculidae", "genus": genera[self.places[k, 0]],
                   "species": epithets[k], "common": commons[k]}
            for k, name in enumerate(self.names)
        }  # fmt: skip
        self.files: dict[str, Path] = {}
        self.labels: dict[str, str] = {}
        for number, (name, attributes) in enumerate(zip(self.names, CLASSES, strict=True)):
            for copy in range(IMAGES):
                patient = f"c{number:02d}-{copy:02d}"
                self.files[patient], self.labels[patient] = folder / f"{patient}.png", name
                Image.fromarray(drawn(*attributes, rng)).save(self.files[patient])

    def cohort(self, classes: list[str], **written: Any) -> Cohort:
        """The encoded images of some classes, with what is written of these."""
        own = {patient: name for patient, name in self.labels.items() if name in classes}
        given = {key: {name: texts[name] for name in classes} for key, texts in written.items()}
        files = {"picture": {patient: self.files[patient] for patient in own}}
        target, kinds = chiasm.Classification("class"), {"picture": "image"}
        cohort = cohort_from_frames(pd.DataFrame({"class": own}), files, target, kinds=kinds, **given)
        return chiasm.encode(cohort, {"picture": "patches:size=28,patch=7"}, jobs=1).cohort


def answered(told: pd.DataFrame) -> list[str]:
    """The class that each patient's largest probability is of."""
    columns = [name for name in told.columns if name.startswith("p_")]
    return [columns[k].removeprefix("p_") for k in told[columns].to_numpy().argmax(1)]


def few_shot(values: np.ndarray, labels: np.ndarray, shots: int, rng: np.random.Generator) -> float:
    """Mean accuracy over ten draws of so many images a class, of a logistic regression judged on the others."""
    found = []
    for _ in range(10):
        taken = np.concatenate([rng.permutation(np.flatnonzero(labels == own))[:shots] for own in np.unique(labels)])
        rest = np.setdiff1d(np.arange(len(labels)), taken)
        scaler = StandardScaler().fit(values[taken])
        model = LogisticRegression(max_iter=1000).fit(scaler.transform(values[taken]), labels[taken])
        found.append(float((model.predict(scaler.transform(values[rest])) == labels[rest]).mean()))
    return float(np.mean(found))


def space(model: Any) -> Space:
    """The space that a model's pictures lie in."""
    own = space_of(model.predictor)
    assert own is not None
    return own


def lungs(data: Path) -> dict[str, Any]:
    """Learn films of lungs with what physicians wrote of them, and ask in each fold for what was not learned."""
    start, folder = time.perf_counter(), data / "wings" / LUNGS
    table = pd.read_csv(folder / "metadata.csv", dtype=str, keep_default_na=False)
    table = table[table["Type"] == "video"]
    table.index = pd.Index([f"f{k:02d}" for k in range(len(table))])
    columns = ["Comments first medical doctor (MD1)", "MD2", "MD3"]
    texts = table[columns].agg(lambda own: ". ".join(part.strip() for part in own if part.strip()), axis=1)
    person = [own or patient for own, patient in zip(table["Patient ID / Name"], table.index, strict=True)]
    regular = np.where(table["Label"] == "regular", "regular", "ill")
    cohort = cohort_from_frames(
        pd.DataFrame({"lung": regular, "person": person}, index=table.index),
        {"film": {key: folder / name for key, name in table["file"].items()}, "words": texts[texts != ""].to_frame()},
        chiasm.Classification("lung"), group="person", kinds={"film": "video", "words": "text"},
    )  # fmt: skip
    cohort = chiasm.encode(cohort, jobs=1).cohort
    people = np.array([dict(zip(table.index, person, strict=True))[own] for own in cohort.ids])
    prompts = {"regular": "normal lung", "ill": "B-lines, consolidation, pleural irregularities"}
    ranks, among, scores, truth = [], [], [], []
    for train, test in GroupKFold(5).split(people, groups=people):
        model = chiasm.fit(cohort.subset(train), f"unicl:{OPTIONS}", seed=0)
        new = cohort.subset(test)
        new = new.subset(new.present[:, new.modalities.index("film")])
        told = new.subset(new.present[:, new.modalities.index("words")])
        if len(told):
            found = model.retrieve(told, query="film", among="words", k=len(told))
            for patient, own in found.groupby("patient"):
                equal = texts[own["found"]].to_numpy() == texts[patient]
                ranks.append(int(own["rank"].to_numpy()[equal].min()))
                among.append((len(own), int(equal.sum())))
        shares = model.classify(new, prompts)
        scores += shares["p_regular"].tolist()
        truth += [bool(table.loc[patient, "Label"] == "regular") for patient in shares.index]
    chance = float(np.mean([equal / number for number, equal in among]))
    first = float(np.mean(np.array(ranks) == 1))
    return {
        "cohort": LUNGS, "films": len(cohort), "people": len(set(person)), "with_text": len(ranks), "first": first,
        "chance": chance, "auroc": float(roc_auc_score(truth, scores)), "regular": int(np.sum(truth)),
        "asked": len(truth), "seconds": round(time.perf_counter() - start, 1),
    }  # fmt: skip


def said_of_lungs(row: dict[str, Any]) -> str:
    """What came of the films, in a sentence that claims nothing."""
    return (
        f"On {row['films']} films of lungs of {row['people']} people (`{LUNGS}`), of which physicians wrote, a film's "
        f"text came first among those of its fold in {row['first']:.2f} of {row['with_text']}, {row['chance']:.2f} by "
        f"chance, and two sentences told {row['regular']} regular ones from the others of {row['asked']} with an AUROC "
        f"of {row['auroc']:.2f}. These are too few, of too few people, to claim anything."
    )


def one(line: str, data: Path, work: Path) -> dict[str, Any]:
    """Teach the network by each arm, and ask it for what it has not seen."""
    if line == LUNGS:
        return lungs(data)
    seed, start = int(line.rpartition("-")[2]), time.perf_counter()
    work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=work) as folder:
        made = Made(seed, Path(folder))
        new = made.cohort(made.unseen)
        truth = np.array([made.labels[patient] for patient in new.ids])
        arms: dict[str, dict[str, float]] = {}
        for arm, (recipe, _) in ARMS.items():
            texts = {"names": {name: [name] for name in made.names}, "dealt": made.dealt}.get(arm, made.sentences)
            written = {} if arm == "names" else {"prompts": texts}
            model = chiasm.fit(made.cohort(made.seen, **written), f"{recipe}:{OPTIONS}", seed=seed)
            best = answered(model.classify(new, {name: texts[name] for name in made.unseen}).loc[list(new.ids)])
            own = {"zero": float((np.array(best) == truth).mean())}
            for k, attribute in enumerate(ATTRIBUTES):
                same = [made.places[made.names.index(a), k] == made.places[made.names.index(b), k]
                        for a, b in zip(best, truth, strict=True)]  # fmt: skip
                own[attribute] = float(np.mean(same))
            _, vectors = space(model).vectors(new, "picture")
            for shots in SHOTS:
                own[f"{shots}-shot"] = few_shot(vectors, truth, shots, np.random.default_rng(seed))
            arms[arm] = own
        pixels = np.stack([np.asarray(Image.open(made.files[patient]), float).ravel() for patient in new.ids])
        arms["pixels"] = {
            f"{shots}-shot": few_shot(pixels, truth, shots, np.random.default_rng(seed)) for shots in SHOTS
        }
        for mode in CAPTIONS:
            taught = made.cohort(made.seen, lineages=made.lineages)
            model = chiasm.fit(taught, f"bioclip:captions={mode},{OPTIONS}", seed=seed)
            asked = {name: chiasm.taxonomy_caption(made.lineages[name], mode) for name in made.seen}
            best = answered(model.classify(new, asked).loc[list(new.ids)])
            genus = [made.lineages[a]["genus"] == made.lineages[b]["genus"] for a, b in zip(best, truth, strict=True)]
            arms[mode] = {"genus": float(np.mean(genus))}
    seconds = round(time.perf_counter() - start, 1)
    return {"cohort": line, "images": IMAGES, "unseen": len(made.unseen), "arms": arms, "seconds": seconds}


def ends(values: list[float]) -> tuple[float, float]:
    """Student's interval of the mean of two seeds or more."""
    mean = float(np.mean(values))
    half = float(stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))
    return mean - half, mean + half


def interval(values: list[float]) -> str:
    """Mean of several seeds with Student's interval."""
    mean = f"{np.mean(values):.3f}"
    return mean if len(values) < 2 else "{} ({:.3f} to {:.3f})".format(mean, *ends(values))


def compared(rows: list[dict[str, Any]], key: str, one_arm: str, other: str, words: str) -> str:
    """A sentence on the difference of two arms over seeds."""
    apart = [row["arms"][one_arm][key] - row["arms"][other][key] for row in rows]
    told = interval(apart)
    if len(apart) < 2:
        return f"{words}: {told}, of one seed."
    low, high = ends(apart)
    said = "more" if low > 0 else "less" if high < 0 else "not told apart"
    return f"{words}: {told}, {said}."


def write_part(results: Path, page: Path) -> str:
    """Write the tables between the marks of the page, and return them."""
    every = {line: row for line, row in rows_of(results).items() if line in LINES}
    rows = [row for line, row in every.items() if line != LUNGS]
    chance, seen = 1 / rows[0]["unseen"], len(CLASSES) - rows[0]["unseen"]
    keys = ["zero", *ATTRIBUTES, *(f"{shots}-shot" for shots in SHOTS)]
    words = {**{arm: said for arm, (_, said) in ARMS.items()}, "pixels": "no network, the pixels"}
    text = "\n".join(
        [
            "## What is written of classes, and what no training image showed",
            "",
            f"`python benchmarks/knowledge.py`, its results in `benchmarks/results/{NAME}.jsonl`; this part",
            f"of the page is written by `--table`. Made images of planted shape, texture and place: {seen} classes of",
            f"{rows[0]['images']} images are learned, and {rows[0]['unseen']} others asked for; {len(rows)} seeds,",
            "Student's interval over them. By chance an answer is right in",
            f"{chance:.3f}, and each of its attributes in a third.",
            "Few-shot: a logistic regression on the network's vectors.",
            "",
            "| taught by | zero-shot | shape | texture | place | " + " | ".join(keys[4:]) + " |",
            "|---|" + "---|" * len(keys),
        ]
    )
    for arm, said in words.items():
        cells = [
            interval([row["arms"][arm][key] for row in rows]) if key in rows[0]["arms"][arm] else "-" for key in keys
        ]
        text += f"\n| {said} | " + " | ".join(cells) + " |"
    genus = [f"{interval([row['arms'][mode]['genus'] for row in rows])} under {mode} captions" for mode in CAPTIONS]
    sentences = [
        compared(rows, "zero", "experts", "names", "Sentences of experts less names, unseen classes"),
        compared(rows, "zero", "experts", "dealt", "Sentences of experts less those of other classes"),
        compared(rows, "zero", "devide", "experts", "Patch by patch less whole images"),
        compared(
            rows, "1-shot", "experts", "names", "One image of each class, vectors taught by experts less by names"
        ),
        f"An image of an unseen species is given the caption of one of its genus in {genus[0]} and {genus[1]};",
        "by chance in a third.",
        compared(rows, "genus", "taxonomic", "common", "Taxonomic less common"),
    ]
    films = ["", said_of_lungs(every[LUNGS])] if LUNGS in every else []
    return part(page, NAME, "\n".join([text, "", *sentences, *films, *not_run(LINES, every)]) + "\n")


if __name__ == "__main__":
    run(__doc__, NAME, LINES, one, write_part)
