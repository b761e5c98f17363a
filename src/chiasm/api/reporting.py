"""Public functions that write what a paper needs of a trial: the supplement, the methods, the guidelines."""

from __future__ import annotations

from pathlib import Path

from chiasm.evaluation import Trial


def write_supplement(trial: Trial, path: Path | str) -> Path:
    """Write every table of a trial's page as a spreadsheet, with all measures and folds in full precision.

    The first sheet says what the others hold. Numbers and shares are numbers, an interval has columns of its own, and
    text that a program could take for a formula is stored as text.

    Args:
        trial: finished, from `evaluate` or `load_trial`.
        path: the `.xlsx` file; it is written whole or not at all, and replaces an older one.

    Raises:
        ValueError: the name does not end in `.xlsx`.
        ModuleNotFoundError: openpyxl is not installed (`pip install "chiasm[report]"`).
    """
    from chiasm.report.supplement import write_supplement as written

    file = Path(path)
    if file.suffix.lower() != ".xlsx":
        raise ValueError(f"'{file.name}' must end in .xlsx: the supplement is a spreadsheet")
    return written(trial, file)
