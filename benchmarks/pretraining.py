"""What pretraining within each fold is worth beside the same network untrained, and beside linear baselines.

    python benchmarks/pretraining.py [LINE ...] [--data ../shared/data] && python benchmarks/pretraining.py --table

A line is `cohort/method`, as `carcinogens/causal`; cohorts are those of `sequence_cohorts.py`. Every encoder reads the
same sequences in the same folds, five drawn ones that split no pair of strands (twice for the 280 molecules) or the
given split, and is judged by `single:..,models=linear`, a ridge or an elastic net that inner folds choose. `pretrained`
sees the sequences of a fold's training patients alone. `untrained` is that network, of the same shape and with the same
initial weights. All options stood before anything was tested: a GRU of width 32 and one layer, and of the encoder's
options those that end in minutes on one core.
"""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import chiasm
from chiasm.compute.isolation import seeded
from pages import ROOT, not_run, part, rows_of, run
from sequence_cohorts import write
from sequences import PLACES, figure
from tested import difference, scores_of, tested

NAME, PAGE = "pretraining", ROOT / "docs" / "pretraining.md"
EPOCHS = {"carcinogens": 20, "promoters": 5, "gb1": 10}
BATCH = {"carcinogens": 32, "promoters": 64, "gb1": 64}
BASELINES = {
    "carcinogens": {"fingerprint": "fingerprint"},
    "promoters": {"kmers": "kmers", "onehot": "onehot:length=81"},
    "gb1": {"kmers": "kmers", "onehot": PLACES},
}
LINES = (
    "carcinogens/causal", "promoters-bacillus/causal", "gb1-two_vs_rest/causal", "gb1-three_vs_rest/causal",
    "carcinogens/masked", "promoters-bacillus/masked", "promoters-ecoli/causal",
)  # fmt: skip


def encoders(name: str, method: str) -> dict[str, str]:
    """The encoders of a line by the name of their modality."""
    cohort = name.partition("-")[0]
    rc = "ph" if cohort == "promoters" else "none"
    how = f"method={method},epochs={EPOCHS[cohort]},batch={BATCH[cohort]}"
    shape = f"cell=gru,depth=1,rc={rc}"
    directions, seed = 1 if method == "causal" else 2, seeded(0, "network")  # as the encoder `pretrained` draws it
    return {
        "pretrained": f"pretrained:{how},{shape},hidden=32",
        "untrained": f"sequence:{shape},dim=32,directions={directions},seed={seed}",
        **BASELINES[cohort],
    }


def one(line: str, data: Path, work: Path) -> dict[str, Any]:
    """Judge the encoders of a line in one cohort, whose modalities are the same column."""
    name, _, method = line.partition("/")
    manifest, start = write(name, work.parent / line.replace("/", "-"), data), time.perf_counter()
    own = encoders(name, method)
    text = manifest.read_text(encoding="utf-8")
    found = re.search(r"\[modalities\.sequence\]\n((?:[^\[\n].*\n)*)", text)
    assert found is not None
    blocks = "".join(f"[modalities.{label}]\n{found[1]}" for label in own)
    manifest.write_text(text.replace(found[0], blocks), encoding="utf-8")
    encoded = chiasm.encode(chiasm.open_cohort(manifest), own, jobs=1)
    protocol = chiasm.Protocol(folds=5, repeats=2 if name == "carcinogens" else 1)
    recipes = {label: f"single:{label},models=linear" for label in own}
    trial = tested(encoded.cohort, list(recipes.values()), protocol)
    metric = "spearman" if trial.kind == "regression" else "auroc"
    return {
        "cohort": line,
        "patients": len(encoded.cohort),
        "metric": metric,
        "encoders": own,
        "values": {label: scores_of(trial, recipe, [metric])[metric] for label, recipe in recipes.items()},
        "differences": {
            label: difference(trial, recipes["pretrained"], recipe, metric)
            for label, recipe in recipes.items()
            if label != "pretrained"
        },
        "seconds": round(time.perf_counter() - start, 1),
    }


def signed(value: dict[str, float | None]) -> str:
    """A difference with its interval."""
    if value["mean"] is None:
        return "not estimable"
    ends = "" if value["low"] is None else f" ({value['low']:+.3f} to {value['high']:+.3f})"
    return f"{value['mean']:+.3f}{ends}"


def concluded(rows: dict[str, dict[str, Any]], label: str, words: str) -> str:
    """A sentence: where pretraining is better than something, where worse, by intervals that leave out zero."""
    own = {line: row["differences"][label] for line, row in rows.items() if label in row["differences"]}
    told = {line: value for line, value in own.items() if value["low"] is not None}
    better = [line for line, value in told.items() if value["low"] > 0]
    worse = [line for line, value in told.items() if value["high"] < 0]
    open_ = [line for line in own if line not in (*better, *worse)]
    parts = [
        f"{what} in {', '.join(f'`{line}`' for line in lines)}"
        for what, lines in (("better", better), ("worse", worse), ("not told apart", open_))
        if lines
    ]
    where = "nowhere" if not better else "everywhere" if len(better) == len(own) else "in some"
    return f"Beside {words}, pretraining is shown to pay {where}: {'; '.join(parts)}."


def write_part(results: Path, page: Path) -> str:
    """Write the tables and what follows from them between the marks of docs/pretraining.md, and return them."""
    rows = rows_of(results)
    rows = {line: rows[line] for line in LINES if line in rows}
    labels = list(dict.fromkeys(label for row in rows.values() for label in row["values"]))
    text = ""
    for key, chosen, cell in (("values", labels, figure), ("differences", labels[1:], signed)):
        if key == "differences":
            text += "\nPretrained less each of the others, on the same patients:\n\n"
        text += "| | metric | " + " | ".join(f"`{label}`" for label in chosen) + " |\n|---|---|" + "---|" * len(chosen)
        for line, row in rows.items():
            own = [cell(row[key][label]) if label in row[key] else "-" for label in chosen]
            text += f"\n| `{line}` | {row['metric']} | " + " | ".join(own) + " |"
        text += "\n"
    said = {"untrained": "the same network untrained", "kmers": "k-mers", "onehot": "letters by place"}
    said["fingerprint"] = "fingerprints of molecules"
    sentences = [concluded(rows, label, words) for label, words in said.items() if label in labels]
    return part(PAGE, NAME, "\n".join([text, *sentences, *not_run(LINES, rows)]) + "\n")


if __name__ == "__main__":
    run(__doc__, NAME, LINES, one, write_part)
