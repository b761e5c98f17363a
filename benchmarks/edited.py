"""Whether a picture edited towards a class looks more like it to a judge who has seen no edit, and what else changes.

A model of pictures as `chiasm edit` learns it, but narrower and trained for fewer steps, is fitted to half of the
training patients of chest-xray; a logistic regression on the pixels, fitted to the other half, judges. Pictures of the
prescribed test patients are edited towards the class that they are not of, and as a control towards their own. Told are
the judge's AUROC on real test pictures, and by rounds the share of pictures that it finds likelier of the class that
was asked for than before, the mean change of its log odds towards it, and of the brightness. The judge reads pixels
alone: it says whether an edit is like the class to it, not to a radiologist. A line that is there is not run again;
`--table` writes the part of docs/generation.md.

    python benchmarks/edited.py [--data ../shared/data] [--out benchmarks/results/edited.jsonl] [case ...]
    python benchmarks/edited.py --table
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")  # before numpy is loaded

import numpy as np  # noqa: E402
from scipy.stats import binomtest  # type: ignore[import-untyped]  # noqa: E402
from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]  # noqa: E402

import chiasm  # noqa: E402
from chiasm import artifact  # noqa: E402
from chiasm.generation.picture_diffusion import PictureDiffusion  # noqa: E402
from chiasm.generation.picture_editor import fit_editor  # noqa: E402
from chiasm.generation.pictures import pictures_of  # noqa: E402
from chiasm.generation.progressive import Rounds  # noqa: E402
from chiasm.metrics.classification import auroc  # noqa: E402
from chiasm.shown import interval  # noqa: E402
from pages import ROOT, not_run, part, rows_of, run  # noqa: E402

NAME = "edited"
CASES = ("chest-xray, towards the other class", "chest-xray, towards its own")
HOW = PictureDiffusion(width=16, steps=1000)
ROUNDS = Rounds(rounds=5, strength=0.5)
EACH, GUIDANCE, SIZE = 20, 2.0, 28  # pictures of each class
PAGE = ROOT / "docs" / "generation.md"


def measured(case: str, data: Path, work: Path) -> dict[str, Any]:
    """One line of the results."""
    start = time.process_time()
    cohort = chiasm.open_cohort(data / "chest-xray" / "cohort.toml")
    assert cohort.fold is not None and cohort.outcome is not None and cohort.target is not None
    train = np.flatnonzero(cohort.fold == "train")
    rng = np.random.default_rng(0)
    learns, judges = (np.sort(half) for half in np.array_split(rng.permutation(train), 2))
    pictures = pictures_of(cohort, "image")
    values = pictures.scale.values(pictures.values)  # (n, 1, 28, 28)
    classes = cohort.outcome.value.astype(int)
    flat = values.reshape(len(values), -1) / 255
    judge = LogisticRegression(C=0.01, max_iter=2000).fit(flat[judges], classes[judges])
    tested = np.flatnonzero(cohort.fold != "train")
    area = auroc(judge.predict_proba(flat[tested]), classes[tested])
    kept = work.parent / "editor"  # one for all cases
    if not artifact.holds_model(kept):
        artifact.save(kept, fit_editor(cohort.subset(np.isin(np.arange(len(cohort)), learns)), "image", HOW, size=SIZE))
    editor = artifact.load(kept)
    chosen = np.concatenate([rng.permutation(tested[classes[tested] == own])[:EACH] for own in (0, 1)])
    asked = 1 - classes[chosen] if "other" in case else classes[chosen]
    odds, changed = [], []
    for row, towards in zip(chosen, asked, strict=True):
        found = editor.edited(values[row], cohort.target.names[towards], ROUNDS, guidance=GUIDANCE, seed=int(row))
        odds.append(judge.decision_function(found.reshape(len(found), -1) / 255) * (1 if towards else -1))
        changed.append(np.abs(found - found[0]).mean((1, 2, 3)) / 255)
    moved = np.array(odds) - np.array(odds)[:, :1]  # (pictures, N + 1)
    likelier = [int(own) for own in (moved > 0).sum(0)]
    return {
        "cohort": case, "pictures": len(chosen), "learnt_from": len(learns), "judge_auroc": float(np.squeeze(area)),
        "likelier": likelier, "log_odds": moved.mean(0).tolist(), "changed": np.mean(changed, 0).tolist(),
        "on_the_other_side": [int(own) for own in (np.array(odds) > 0).sum(0)],
        "seconds": round(time.process_time() - start),
    }  # fmt: skip


def text_of(rows: dict[str, dict[str, Any]]) -> str:
    """A table of all cases that have run."""
    lines = [
        "`python benchmarks/edited.py`: pictures of test patients, edited by a model that is narrower and trained for",
        "fewer steps than that of `chiasm edit`. The judge is a logistic regression on the pixels of training patients",
        "whom the model has not seen, fitted before anything is edited; it says what is like a class to it, and",
        "nothing of what a radiologist would see. Log odds are the mean change towards the class that was asked for,",
        "brightness is the mean change as a share of the range.",
        "",
        "| edited | pictures | judge's AUROC | round | likelier of the class to the judge (95 %) | log odds | "
        "brightness |",
        "|---|---|---|---|---|---|---|",
    ]
    for case in (case for case in CASES if case in rows):
        own = rows[case]
        for n in range(1, len(own["likelier"])):
            share = binomtest(own["likelier"][n], own["pictures"]).proportion_ci(method="wilson")
            told = (
                case, f"{own['pictures']:,}", f"{own['judge_auroc']:.3f}", str(n),
                interval(own["likelier"][n] / own["pictures"], share.low, share.high, digits=2),
                f"{own['log_odds'][n]:+.2f}", f"{own['changed'][n]:.1%}",
            )  # fmt: skip
            lines.append(f"| {' | '.join(told)} |")
    return "\n".join([*lines, *not_run(CASES, rows)]).rstrip() + "\n"


def write_part(results: Path, page: Path) -> str:
    """Write the table to docs/generation.md, and return it."""
    return part(PAGE, NAME, text_of(rows_of(results)))


if __name__ == "__main__":
    run(__doc__, NAME, CASES, measured, write_part)
