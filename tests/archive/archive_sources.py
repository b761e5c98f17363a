"""Writes the cohorts that models of the newer recipes read; networks of an earlier archive are read where they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

import detection_cohorts
import mask_cohorts
from chiasm.language.question_sets.planted import QUESTIONS, picture
from molecule_cohorts import CHAINS, GROUPS, triples
from record_cohorts import records

N = 24
EARLIER = "../0.1.0"
TABLE = '[modalities.clinical]\nkind = "table"\ncolumns = ["a", "b"]\n'
LABS = '[modalities.labs]\nkind = "table"\ncolumns = ["c", "d"]\n'
PICTURE = '[modalities.picture]\nkind = "image"\npath = "pictures/{id}.png"\nencoder = "%s"\n'
LABEL = 'kind = "classification"\ncolumn = "label"\n'
RASTER = "raster:network=conv,size=16,patch=4,dim=8,depth=1"
NOTE = f'[modalities.note]\nkind = "text"\ncolumn = "note"\nencoder = "hf:{EARLIER}/networks/bert,length=24"\n'
KNOWN = '[knowledge]\ntriples = "triples.csv"\ncolumn = "compound"\n'
OPTIONS = 'kind = "choice"\ncolumn = "answer"\noptions = ["first", "second", "third"]\nanswers = "text"\n'
# name -> lines of the target, and what follows
COHORTS = {
    "competing": ('kind = "competing"\ntime = "months"\ncause = "ending"\nmain = "death"\n', TABLE + LABS),
    "texts": ('kind = "text"\ncolumn = "said"\n', TABLE + LABS),
    "tables": (LABEL, TABLE + LABS),
    "lender": (LABEL, TABLE + LABS),
    "pictures": (LABEL, TABLE + PICTURE % RASTER),
    "patches": (LABEL, TABLE + PICTURE % "patches:size=16,patch=4,channels=1"),
    "questions": (
        OPTIONS,
        PICTURE % "patches:size=16,patch=4,channels=1" + '[modalities.question]\nkind = "text"\ncolumn = "asked"\n',
    ),
    "notes": (LABEL, TABLE + NOTE + LABS),
    "molecules": (
        LABEL, TABLE + NOTE + '[modalities.drug]\nkind = "molecule"\ncolumn = "smiles"\nencoder = "bonds"\n' + KNOWN
    ),
    "described": (
        LABEL, TABLE + PICTURE % "patches:size=16,patch=4,channels=1"
        + '[knowledge]\nprompts = "prompts.csv"\nlineages = "lineages.csv"\n'
    ),
    "records": (LABEL, TABLE + '[modalities.events]\nkind = "events"\ntable = "events.csv"\n'),
    "recordings": (
        'kind = "response"\ncolumn = "next"\n', '[modalities.spikes]\nkind = "bag"\npath = "spikes/{id}.npy"\n'
    ),
}  # fmt: skip


def write_sources(folder: Path) -> None:
    """Write `<name>.toml` of `COHORTS` with the files they name, and folders of drawn shapes, things and volumes."""
    rng = np.random.default_rng(0)
    ids = [f"p{row:02d}" for row in range(N)]
    for name in ("pictures", "spikes"):
        (folder / name).mkdir()
    rows = [_patient(folder, own, row, rng) for row, own in enumerate(ids)]
    patients = pd.DataFrame(rows, index=pd.Index(ids, name="id"))
    patients.loc[patients.index[::5], ["c", "d"]] = np.nan  # a patient with empty cells lacks the table
    patients.to_csv(folder / "people.csv")
    patients.rename(lambda own: f"lent-{own}").to_csv(folder / "lent.csv")
    events = records(patients.index[::2], rng).reset_index()
    events.to_csv(folder / "events.csv", index=False)
    triples().to_csv(folder / "triples.csv", index=False)
    prompts = [(own, f"what is called {own}") for own in ("no", "yes")]
    pd.DataFrame(prompts, columns=["label", "sentence"]).to_csv(folder / "prompts.csv", index=False)
    kinds = [("no", "Parus", "major"), ("yes", "Sitta", "europaea")]
    pd.DataFrame(kinds, columns=["label", "genus", "species"]).to_csv(folder / "lineages.csv", index=False)
    for name, (target, lines) in COHORTS.items():
        table = "lent" if name == "lender" else "people"
        head = (
            f'name = "{name}"\n[patients]\ntable = "{table}.csv"\nid = "id"\nsubgroups = ["shape"]\n[target]\n{target}'
        )
        (folder / f"{name}.toml").write_text(head + lines, encoding="utf-8")
    mask_cohorts.made_cohort(folder / "shapes", 14, absent=0.2)
    detection_cohorts.made_cohort(folder / "things", 10)
    mask_cohorts.volume_cohort(folder / "balls", [_ball(rng) for _ in range(10)])


def _patient(folder: Path, own: str, row: int, rng: np.random.Generator) -> dict[str, object]:
    """One row of the table, and the picture and the recording beside it."""
    ill, shape = bool(rng.random() < 0.5), int(rng.integers(3))
    shown = picture(shape, int(ill), row % 2, rng)
    Image.fromarray(np.clip(shown * 180 + 40, 0, 255).astype(np.uint8)).save(folder / "pictures" / f"{own}.png")
    counts = rng.poisson(1.5 if ill else 0.3, size=(8 + row % 5, 2)).astype(np.float32)
    np.save(folder / "spikes" / f"{own}.npy", counts[:-2])
    np.save(folder / "spikes" / f"next-{own}.npy", counts[-2:].ravel())
    asked = list(QUESTIONS)[row % 3]
    right = QUESTIONS[asked][(shape, int(ill), row % 2)[row % 3]]
    options = sorted(QUESTIONS[asked], reverse=bool(row % 4))
    group = list(GROUPS)[int(rng.integers(len(GROUPS)))]
    values = (rng.normal(size=4) + ill).round(3)
    return {
        "label": "yes" if ill else "no", "shape": ("square", "cross", "ring")[shape],
        "months": round(float(rng.exponential(12)) + 0.5, 2), "ending": ("", "death", "other")[int(rng.integers(3))],
        "said": f"a {'fever' if ill else 'cough'} and {'no ' if shape else ''}fever",
        "note": "fever and a cough" if ill else "no cough", "asked": asked, "answer": right,
        **dict(zip(("first", "second", "third"), [*options, ""][:3], strict=True)),
        "compound": group, "smiles": str(rng.choice(CHAINS)) + GROUPS[group], "next": f"spikes/next-{own}.npy",
        **dict(zip("abcd", values, strict=True)),
    }  # fmt: skip


def _ball(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A volume with a bright ball, its map, and their affine."""
    at = np.mgrid[:6, :12, :10]
    middle = rng.uniform(2, 4), *rng.uniform(4, 7, 2)
    codes = sum((own - m) ** 2 for own, m in zip(at, middle, strict=True)) < rng.uniform(4, 9)
    return codes * 80 + rng.normal(0, 8, codes.shape).round(), codes, np.eye(4)
