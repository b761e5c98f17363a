"""What benchmarks share: results line by line, a command that goes on where it stopped, a part of a page."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from chiasm.artifact import write_text
from verdicts.lines import whole_lines

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "benchmarks.md"


def results_of(name: str) -> Path:
    """The file of a benchmark's results."""
    return ROOT / "benchmarks" / "results" / f"{name}.jsonl"


def run(
    doc: str | None,
    name: str,
    cohorts: Sequence[str],
    one: Callable[[str, Path, Path], dict[str, Any]],
    write_part: Callable[[Path, Path], str],
) -> None:
    """Parse the command line: run `one` on each cohort that has no line of the results yet, or write the page's part.

    Args:
        one: a line of the results, of a cohort's name, the folder of all data, and a folder for what is unfinished.
        write_part: writes the results to a page, and returns what it wrote.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cohorts", nargs="*", default=cohorts)
    parser.add_argument("--data", type=Path, default=ROOT / ".." / "shared" / "data")
    parser.add_argument("--out", type=Path, default=results_of(name))
    parser.add_argument("--work", type=Path, default=Path("runs") / name)
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    if options.table:
        print(write_part(options.out, PAGE))
        return
    done = rows_of(options.out)
    for cohort in (cohort for cohort in options.cohorts if cohort not in done):
        row = one(cohort, options.data, options.work / cohort.replace(":", "-"))
        options.out.parent.mkdir(parents=True, exist_ok=True)
        with options.out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print(json.dumps(row), flush=True)


def rows_of(file: Path) -> dict[str, dict[str, Any]]:
    """The finished cohorts by name; a line that a killed run left cut is not one."""
    return {row["cohort"]: row for row in whole_lines(file)}


def not_run(every: Iterable[str], rows: Iterable[str]) -> list[str]:
    """A paragraph that names the cohorts without a line; nothing where all have one."""
    missing = [name for name in every if name not in set(rows)]
    return ["", f"Not run: {', '.join(missing)}."] if missing else []


def part(page: Path, name: str, text: str) -> str:
    """Put a benchmark's text between its marks on a page, at the end of one that has none, and return it."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    head, found, rest = page.read_text(encoding="utf-8").partition(begin)
    if not found:
        head, rest = f"{head.rstrip()}\n\n", end
    write_text(page, f"{head}{begin}\n{text}{end}{rest.partition(end)[2] or chr(10)}")
    return text
