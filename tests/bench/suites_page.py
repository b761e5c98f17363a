"""The table of docs/suites.md, made from the catalogue: `PYTHONPATH=src python tests/bench/suites_page.py`."""

from __future__ import annotations

from pathlib import Path

from chiasm.bench.suites import suites

PAGE = Path(__file__).parents[2] / "docs" / "suites.md"
START, END = "<!-- made from the catalogue -->", "<!-- end of the table -->"


def table() -> str:
    """One row a suite, in the order of the catalogue."""
    lines = [
        "| suite | what | files in `--data` | how it is asked | primary figure | files from | licence |",
        "|---" * 7 + "|",
    ]
    for own in suites():
        paper = f"[{own.title}]({own.paper.link})"
        primary = f"`{own.primary}`"
        lines.append(
            f"| `{own.name}` | {paper} | {own.files} | {own.setting} | {primary} | {own.source} | {own.licence} |"
        )
    return "\n".join(lines)


def page() -> str:
    """The page with the table as it is now."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(START)
    return f"{before}{START}\n\n{table()}\n\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
