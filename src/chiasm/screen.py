"""Output of the command line: results on standard output; progress, hints and errors on standard error."""

from __future__ import annotations

import dis
import errno
import json
import os
import sys
import traceback
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from chiasm.errors import raised_at
from chiasm.progress import Progressing as Progressing
from chiasm.progress import duration as duration
from chiasm.progress import hint as hint
from chiasm.shown import interval as interval
from chiasm.shown import times as times
from chiasm.shown import visible as visible

WIDE = 200  # width of a table that is not written to a terminal, in characters
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
TRACEBACK = "CHIASM_TRACEBACK"
SEE_WHY = f"set {TRACEBACK}=1 to see why"


def show(text: str) -> None:
    """Print a line of the result on standard output."""
    print(visible(text), flush=True)


def show_json(document: Any) -> None:
    """Print the result as JSON; the document must hold null, not NaN, for numbers that are not estimable."""
    show(json.dumps(document, indent=1, allow_nan=False))


def show_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[str] = ()) -> None:
    """Print a table on standard output; the columns named in `right` are right-aligned."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, show_header=any(columns), pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(visible, row))
    wide = None if sys.stdout.isatty() else WIDE  # in a file, rows are not wrapped to a terminal's width
    Console(file=sys.stdout, markup=False, highlight=False, emoji=False, width=wide).print(table)


def size(number: int) -> str:
    """Format a number of bytes as `512 bytes`, `1.4 MB` or `23 GB`."""
    for power, unit in ((9, "GB"), (6, "MB"), (3, "kB")):
        if number >= 10**power:
            share = number / 10**power
            return f"{share:.1f} {unit}" if share < 9.95 else f"{share:,.0f} {unit}"
    return f"{number:,} bytes"


def show_trial(trial: Any, seconds: float) -> None:
    """Print a trial: its table, the time spent, the verdict, contrasts and findings."""
    document, table = trial.document, trial.table()
    work = dict(zip(table["recipe"], table["seconds"], strict=True))
    scores = [interval(*numbers) for numbers in zip(table["mean"], table["low"], table["high"], strict=True)]
    sizes = [f"{number:,}" for number in table["trained_parameters"]]
    rows = zip(work, scores, map(duration, work.values()), sizes, strict=True)
    metric = document["recipes"][0]["metric"]
    score = f"{metric} (95 % interval, given the fitted models)"
    show_table(["recipe", score, "seconds", "parameters"], rows, right=["seconds", "parameters"])
    show(where_time_went(work, seconds))
    if trial.verdict is None:
        show("\nNo verdict: it needs a recipe of one modality (single:<modality>) and one that combines several.")
        there = {row["name"] for row in document["recipes"]}
        for row in document["recipes"]:
            if lacking := [f"'{form}'" for form in row.get("forms", ()) if form not in there]:
                show(f"'{row['name']}' has no say without its one-modality forms: add {', '.join(lacking)}.")
    else:
        show(f"\n{trial.verdict.sentence}")
    for contrast in document.get("contrasts", ()):
        show(contrast["sentence"])
    show_findings(document.get("findings", ()))


def show_opening(sealed: Mapping[str, Any], said: str) -> None:
    """Print what an opening of the sealed test set gave: its table, its sentence, and how often it was opened."""
    metric = sealed["recipes"][0]["metric"]
    rows = []
    for row in sealed["recipes"]:
        rows.append((row["name"], interval(*(row[key] for key in ("mean", "low", "high")))))
    show_table(["recipe", f"{metric} (95 % interval, given the fitted models)"], rows)
    show(f"\n{sealed['sentence']}\n{said}")


def show_findings(findings: Sequence[Mapping[str, Any]]) -> None:
    """Print the number of findings, and each leak with its fix or the reason for accepting it."""
    if not findings:
        return
    leaks = [found for found in findings if found["leak"]]
    number = f"{len(findings):,} finding{'' if len(findings) == 1 else 's'}"
    told = f", {len(leaks):,} of which may give the outcome away" if leaks else ""
    show(f"\n{number}{told}; the report lists every one.")
    for found in leaks:
        where = f"modality '{found['modality']}': " if found["modality"] else ""
        end = found["fix"] if found["accepted"] is None else f"accepted, because: {found['accepted']}"
        show(f"{'leak' if found['accepted'] is None else 'accepted'}: {where}{found['what']}; {end}")


def where_time_went(work: Mapping[str, float], wall: float) -> str:
    """Format the wall time and the three recipes that took the most work."""
    longest = sorted(work, key=lambda name: -work[name])[:3]
    return f"\nTook {duration(wall)}; most work: " + ", ".join(f"{name} {duration(work[name])}" for name in longest)


def describe_failure(error: BaseException, arguments: Sequence[str]) -> list[str]:
    """Describe an error: what is wrong, where, and what to do, in one sentence per problem.

    The text of an error raised outside chiasm is left out, because it may quote a patient's file or value: also where
    what raised it is a function of NumPy that a line of chiasm calls.

    Args:
        arguments: the words of the command line, which are safe to repeat to the user.
    """
    from chiasm.errors import CohortError

    if isinstance(error, ModuleNotFoundError):
        if "pip install" in str(error):
            return [str(error)]
        if error.name and not error.name.startswith("chiasm"):
            return [f"the package '{error.name}' is not installed: see chiasm doctor, or pip install {error.name}"]
    if isinstance(error, CohortError):
        return [str(problem) for problem in error.problems]
    if isinstance(error, RuntimeError) and str(error).startswith("recipe '"):
        return [f"{str(error).partition(': ')[0]}: leave the recipe out, or {SEE_WHY}"]
    if type(error).__name__ == "BrokenProcessPool":
        return ["a worker process was ended from outside, most often for want of memory: --resume with fewer --jobs"]
    if isinstance(error, MemoryError):
        return ["there is not enough memory: leave out the largest modality, or use a machine with more"]
    if isinstance(error, OSError) and error.errno in FULL:
        return [f"{_file_of(error, arguments)}: the disk is full; free space, then run the same command again"]
    if isinstance(error, OSError):
        what = (error.strerror or "it cannot be read or written").lower()
        return [f"{_file_of(error, arguments)}: {what}" + ("" if "--out" in what else f"; {SEE_WHY}")]
    if isinstance(error, ValueError) and _raised_by_us(error):
        return [str(error)]
    module, line = raised_at(error)
    return [f"chiasm met an error it does not know, {type(error).__name__} in {module}, line {line}: {SEE_WHY}"]


def fail(error: BaseException, arguments: Sequence[str]) -> None:
    """Print the sentences of `describe_failure`, or the whole traceback if the environment asks for it."""
    if os.environ.get(TRACEBACK, "") not in ("", "0"):
        traceback.print_exception(error)
        return
    for sentence in describe_failure(error, arguments):
        hint(f"error: {sentence}")


def _file_of(error: OSError, arguments: Sequence[str]) -> str:
    """Return the file of an error if the user named it, a parent of it or a folder around it; else a generic phrase."""
    if not isinstance(error.filename, str | os.PathLike):
        return "a file"
    file = Path(error.filename)
    for word in arguments:
        named = Path(word.rpartition("=")[2])
        if named.name and (named.is_relative_to(file) or f".{named.name}." in file.name or file.is_relative_to(named)):
            return f"'{file if named.is_relative_to(file) or named.is_dir() else named}'"
    return "a file of the cohort"


def _raised_by_us(error: BaseException) -> bool:
    """Return whether a `raise` statement of chiasm raised the error, or its class is one of chiasm's."""
    if type(error).__module__.partition(".")[0] == "chiasm":
        return True
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None or not raised_at(error)[0].startswith("chiasm"):
        return False
    code = trace.tb_frame.f_code.co_code
    return dis.opname[code[trace.tb_lasti]] in ("RAISE_VARARGS", "RERAISE")
