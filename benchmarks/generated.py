"""What a synthetic cohort gives away and is worth, and whether filling in a modality pays.

`patients/...`: a generator of `chiasm generate`, fitted to four fifths of a cohort, draws as many patients; privacy
and utility are those of its report, by late fusion or the one modality. Of physionet2012 a stay is a table of the first
minute and one of the mean and the last value of each parameter in 48 hours; of pbc-visits the visits are event records,
of meds-sample the first 60 events, and there is no outcome.
`fill/...`: a trial of `filled` beside `late-fusion`, whose named contrast is the verdict; where a modality was hidden
from two patients in five, also how near what is filled in comes to it. A line that is there is not run again; `--table`
writes the part of docs/generation.md.

    python benchmarks/generated.py [--data ../shared/data] [--out benchmarks/results/generated.jsonl] [case ...]
    python benchmarks/generated.py --table
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")  # before numpy is loaded

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402

import chiasm  # noqa: E402
from chiasm.api.generating import generate  # noqa: E402
from chiasm.artifact import write_text  # noqa: E402
from chiasm.generation.catalogue import GENERATORS, make_generator  # noqa: E402
from chiasm.generation.rows import inputs_of  # noqa: E402
from chiasm.shown import interval  # noqa: E402
from chiasm.specs import nested_spec  # noqa: E402
from pages import ROOT, not_run, part, rows_of, run  # noqa: E402
from wings import physionet2012  # noqa: E402

NAME = "generated"
PATIENTS = {
    f"patients/{cohort}{', ' if said else ''}{said}{how and ', by '}{how}": (
        cohort,
        names,
        how or "gaussian-copula",
        None,
    )
    for cohort, said, names in (
        ("tcga-brca", "clinical", ["clinical"]),
        ("tcga-brca", "clinical and RNA", ["clinical", "rna"]),
        ("physionet2012", "", ["clinical", "parameters"]),
        ("pbc-visits", "", ["clinical", "visits"]),
    )
    for how in ("", "mixed-diffusion")
} | {
    "patients/meds-sample": ("meds-sample", ["records"], "gaussian-copula", None),
    "patients/tcga-brca, clinical, at epsilon 3": ("tcga-brca", ["clinical"], "mixed-diffusion", 3.0),
    "patients/physionet2012, at epsilon 3": ("physionet2012", ["clinical", "parameters"], "mixed-diffusion", 3.0),
}
MADE = {"fill/made, m2 follows m1": "redundant", "fill/made, m2 alone has half": "complementary"}
MIXED = "mixed-diffusion;steps=50;updates=1000"
GIVEN = {
    "fill/breast-subtype": ("breast-subtype", None, ""),
    "fill/breast-subtype, by mixed-diffusion": ("breast-subtype", None, MIXED),
    "fill/tcga-blca, RNA of two in five hidden": ("tcga-blca", "rna", ""),
    "fill/tcga-blca, RNA of two in five hidden, by mixed-diffusion": ("tcga-blca", "rna", MIXED),
}
CASES = (*PATIENTS, *MADE, *GIVEN)
LACK, MADE_PATIENTS = 0.4, 300
EVENTS = 60
MEDS = """name = "meds-sample"
[patients]
table = "subjects.csv"
id = "subject"
[modalities.records]
kind = "events"
table = "meds"
"""
PAGE = ROOT / "docs" / "generation.md"
PLAIN = "late-fusion"


def measured(case: str, data: Path, work: Path) -> dict[str, Any]:
    """One line of the results."""
    start = time.process_time()
    if case in PATIENTS:
        name, modalities, generator, epsilon = PATIENTS[case]
        made = {"physionet2012": stays, "meds-sample": first_events}
        cohort = made[name](data, work) if name in made else chiasm.open_cohort(data / name / "cohort.toml")
        cohort = cohort.with_modalities(modalities)
        known = True if cohort.outcome is None else cohort.outcome.known
        cohort = cohort.subset(cohort.present.any(1) & known)
        reason, many = "a benchmark, which keeps no row", len(cohort) * 4 // 5
        found = generate(cohort, patients=many, generator=generator, dp=epsilon, accept_privacy=reason)
        told = {key: found.document.get(key) for key in ("privacy", "likeness", "utility")}
    elif case in MADE:
        whole = chiasm.synthetic_cohort(MADE[case], MADE_PATIENTS, seed=0)
        lacks = np.random.default_rng(0).random(len(whole)) < LACK
        cohort = whole.without("m2", np.flatnonzero(lacks))
        told = {"explained": explained(whole, cohort, lacks), **judged(cohort, chiasm.Protocol(folds=5, repeats=1))}
    else:
        name, hidden, generator = GIVEN[case]
        cohort, told = chiasm.open_cohort(data / name / "cohort.toml"), {}
        if hidden:
            whole, lacks = cohort, np.random.default_rng(0).random(len(cohort)) < LACK
            cohort = whole.without(hidden, np.flatnonzero(lacks))
            told = {"explained": explained(whole, cohort, lacks, hidden, generator)}
        told |= judged(cohort, chiasm.Protocol(folds=5, repeats=1), generator)
    return {"cohort": case, "patients": len(cohort), **told, "seconds": round(time.process_time() - start)}


def stays(data: Path, work: Path) -> chiasm.Cohort:
    """The stays of physionet2012 with a table of their parameters in place of events."""
    work.mkdir(parents=True, exist_ok=True)
    physionet2012(data, work)
    events = pd.read_parquet(work / "events.parquet").sort_values(["stay", "hours"], kind="stable")
    own = events.groupby(["stay", "code"])["numeric_value"]
    table = pd.concat([own.mean().unstack().add_suffix(", mean"), own.last().unstack().add_suffix(", last")], axis=1)
    manifest = work / "cohort.toml"
    table.astype(float).round(3).rename_axis("stay").to_csv(work / "parameters.csv")
    head = manifest.read_text(encoding="utf-8").replace('kind = "events"', 'kind = "table"', 1)
    write_text(
        manifest,
        head.replace('"events.parquet"', '"parameters.csv"', 1).replace(
            "modalities.events", "modalities.parameters", 1
        ),
    )
    return chiasm.open_cohort(manifest)


def first_events(data: Path, work: Path) -> chiasm.Cohort:
    """The first events of each subject of meds-sample as a MEDS folder of its own, without an outcome."""
    parts = [pd.read_parquet(file) for file in sorted((data / "wings" / "meds-sample").glob("*/*.parquet"))]
    events = pd.concat(parts).dropna(subset=["time"]).sort_values(["subject_id", "time"], kind="stable")
    place = work / "meds" / "data"
    place.mkdir(parents=True, exist_ok=True)
    events.groupby("subject_id").head(EVENTS).to_parquet(place / "0.parquet", index=False)
    subjects = pd.DataFrame({"subject": events["subject_id"].drop_duplicates().astype(str)})
    subjects.to_csv(work / "subjects.csv", index=False)
    write_text(work / "cohort.toml", MEDS)
    return chiasm.open_cohort(work / "cohort.toml")


def explained(
    whole: chiasm.Cohort, cohort: chiasm.Cohort, lacks: np.ndarray, name: str = "m2", generator: str = ""
) -> float:
    """Mean share of the variance of hidden columns that what is filled in explains, on who was not fitted."""
    rows = inputs_of(cohort, list(cohort.modalities))
    even = np.arange(len(whole)) % 2 == 0
    how = make_generator(nested_spec(generator or "gaussian-copula"), GENERATORS)
    fitted: Any = how.fit(rows.take(~lacks | even))
    hidden = whole.raw(name)
    made = fitted.expected(rows).blocks[name][list(map(str, hidden.columns))].to_numpy(float)
    tested = lacks & ~even
    true = hidden.to_numpy(float)[tested]
    varies = true.var(0) > 0
    errors = ((true - made[tested]) ** 2).mean(0)
    return float(np.mean(1 - errors[varies] / true.var(0)[varies]))


def judged(cohort: chiasm.Cohort, protocol: chiasm.Protocol, generator: str = "") -> dict[str, Any]:
    """The contrast of `filled` with late fusion, and both their scores."""
    filled = f"filled:generator={generator}" if generator else "filled"
    trial = chiasm.evaluate(cohort, [PLAIN, filled], protocol, seed=0, jobs=1)
    contrast = next(own for own in trial.document["contrasts"] if own["recipe"] == filled)
    scores = {own["name"]: [own[key] for key in ("mean", "low", "high")] for own in trial.document["recipes"]}
    return {
        "contrast": contrast,
        "scores": {PLAIN: scores[PLAIN], "filled": scores[filled]},
        "metric": trial.document["recipes"][0]["metric"],
    }


def text_of(rows: dict[str, dict[str, Any]]) -> str:
    """Tables of all cases that have run."""
    lines = []
    if there := [case for case in PATIENTS if case in rows]:
        measures = ("copies", "near_copies", "nearest", "membership", "attribute", "rare", "rare_pair", "rare_value",
                    "density")  # fmt: skip
        lines += [f"| drawn from | {' | '.join(measures)} | refused |", "|---" * (len(measures) + 2) + "|"]
        for case in there:
            own = {one["id"]: one for one in rows[case]["privacy"]["measures"]}
            told = (interval(own[m]["value"], own[m]["low"], own[m]["high"], digits=3) for m in measures)
            lines.append(
                f"| {_name(case)} | {' | '.join(told)} | {'yes' if rows[case]['privacy']['refused'] else 'no'} |"
            )
        lines += ["", "| drawn from | patients | metric | trained on synthetic | on real | share kept | seconds |",
                  "|---|---|---|---|---|---|---|"]  # fmt: skip
        for case in (case for case in there if rows[case]["utility"]):
            own = rows[case]["utility"]
            known = [interval(*own[key], digits=3) if own[key] else "-" for key in ("synthetic", "real")]
            kept = "-" if own["kept"] is None else f"{own['kept']:.2f}"
            told = (_name(case), f"{own['patients']:,}", own["metric"], *known, kept, f"{rows[case]['seconds']:,}")
            lines.append(f"| {' | '.join(told)} |")
        lines.append("")
    if there := [case for case in (*MADE, *GIVEN) if case in rows]:
        lines += ["| cohort | patients | explained of the hidden | late-fusion | filled | difference | filling in |",
                  "|---|---|---|---|---|---|---|"]  # fmt: skip
        for case in there:
            own = rows[case]
            hidden = f"{own['explained']:.2f}" if "explained" in own else "-"
            contrast = own["contrast"]
            known = [interval(*own["scores"][name], digits=3) for name in (PLAIN, "filled")]
            less = interval(contrast["difference"], contrast["low"], contrast["high"], digits=3)
            told = (_name(case), f"{own['patients']:,}", hidden, *known, less, contrast["outcome"])
            lines.append(f"| {' | '.join(told)} |")
        lines.append("")
    return "\n".join([*lines, *not_run(CASES, rows)]).rstrip() + "\n"


def _name(case: str) -> str:
    return case.partition("/")[2]


def write_part(results: Path, page: Path) -> str:
    """Write the tables to docs/generation.md, and return them."""
    return part(PAGE, NAME, text_of(rows_of(results)))


if __name__ == "__main__":
    run(__doc__, NAME, CASES, measured, write_part)
