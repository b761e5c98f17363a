"""The lines of the result files: one a judged cohort, of one series of the code that judged it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SERIES = 1
"""Raised when recipes, folds or the verdict change so that cohorts judged before are not comparable: they are then left
out of the tables, and judged again."""


def rows_of(file: Path) -> list[dict[str, Any]]:
    """The cohorts of a cell in this series, by seed; a line that was cut off is left out."""
    return sorted((row for row in whole_lines(file) if row.get("series") == SERIES), key=lambda row: row["seed"])


def whole_lines(file: Path) -> list[dict[str, Any]]:
    """The results in a file, none where there is none; a line that a killed run left cut is no result."""
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
