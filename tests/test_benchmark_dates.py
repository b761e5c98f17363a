"""Every table of benchmarks says by which command and when it was measured, and on which machine."""

from __future__ import annotations

import datetime
import importlib
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| \[(.+?)\]\((#[\w-]+)\) \| `python (benchmarks/\w+\.py)` \| `([\w./-]+)` \| ([\d-]+) \|$", re.M)


@pytest.fixture(scope="module")
def dates() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        return importlib.import_module("dates")


def test_every_table_stands_in_a_part_that_is_listed_with_its_command_and_date(dates: Any) -> None:
    rows = ROW.findall(PAGE)
    assert [(heading, f"python {command}", results) for heading, _, command, results, _ in rows] == dates.parts(PAGE)
    assert len(rows) > 15 and "two cores of a processor without a GPU" in PAGE
    for heading, target, command, results, day in rows:
        assert target == f"#{dates.anchor(heading)}" and (ROOT / command).is_file() and (ROOT / results).exists(), (
            heading
        )
        assert datetime.date(2026, 1, 1) < datetime.date.fromisoformat(day) <= datetime.date.today()
    outside = dates.PART.sub("", PAGE.partition(dates.BEGIN)[0] + PAGE.partition(dates.END)[2])
    assert "|---" not in outside and "\n## " not in outside, "a table outside of every part"


def test_a_part_without_a_command_is_found(dates: Any) -> None:
    with pytest.raises(ValueError, match="'Words' does not say by which command it was measured"):
        dates.parts("<!-- words: begin -->\n## Words\n\n| a |\n|---|\n<!-- words: end -->")


@pytest.mark.nightly
def test_the_dates_are_those_of_the_results(dates: Any) -> None:
    shallow = ["git", "rev-parse", "--is-shallow-repository"]
    told = subprocess.run(shallow, cwd=ROOT, capture_output=True, text=True)
    if told.stdout.strip() != "false":
        pytest.skip("no whole history is here")
    assert dates.written(PAGE) == PAGE, "python benchmarks/dates.py"
