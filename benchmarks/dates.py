"""Write at the head of docs/benchmarks.md when each part of it was last measured, and by which command.

    python benchmarks/dates.py

A date is that of the last commit that changed the results of a part, by git. All were measured on the same machine: two
cores of a processor without a GPU, most of the time beside other work.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "benchmarks.md"
PART = re.compile(r"<!-- (\w+): begin -->\n## ([^\n]+)\n(.*?)<!-- \1: end -->", re.DOTALL)
COMMAND = re.compile(r"`(python benchmarks/\w+\.py)[^`]*`")
RESULTS = re.compile(r"`(benchmarks/results/[\w./-]+)`")
BEGIN, END = "<!-- dates: begin -->\n", "<!-- dates: end -->\n"
HEAD = """\
Every table of this page is written by the command of its part from stored results, which a test compares. All were
measured on two cores of a processor without a GPU, most of the time beside other work, so that seconds are the largest
they would be. `python benchmarks/dates.py` writes this list; a date is that of the last change of the results.

| part | measured by | results | last measured |
|---|---|---|---|
"""


def parts(text: str) -> list[tuple[str, str, str]]:
    """Heading, command and results of each part."""
    found = []
    for _, heading, body in PART.findall(text):
        command, results = COMMAND.search(body), RESULTS.search(body)
        if command is None or results is None:
            raise ValueError(f"'{heading}' does not say by which command it was measured, or where its results lie")
        found.append((heading, command[1], results[1]))
    return found


def measured(results: str) -> str:
    """The day of the last commit that changed these results."""
    told = subprocess.run(
        ["git", "log", "-1", "--format=%as", "--", results], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return told.stdout.strip()


def anchor(heading: str) -> str:
    """The heading as the site and GitHub address it."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def written(text: str) -> str:
    """The page with its list anew."""
    rows = [
        f"| [{heading}](#{anchor(heading)}) | `{command}` | `{results}` | {measured(results)} |\n"
        for heading, command, results in parts(text)
    ]
    head, _, rest = text.partition(BEGIN) if BEGIN in text else text.partition("\n\n")
    rest = rest.partition(END)[2] if BEGIN in text else "\n" + rest
    head = head if BEGIN in text else head + "\n\n"
    return head + BEGIN + HEAD + "".join(rows) + END + rest


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
