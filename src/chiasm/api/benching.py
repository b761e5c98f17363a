"""Public functions to run a public benchmark, score its answers again, and compare two candidates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from chiasm.artifact import write_text
from chiasm.bench.candidates import is_prompted, open_candidate
from chiasm.bench.candidates.callables import as_candidate
from chiasm.bench.comparing import Compared, compared, require_writer
from chiasm.bench.reply import Candidate, Learner
from chiasm.bench.running import Benched, ran, result_of, scored_again, write_result
from chiasm.bench.shots import read_pool, read_shots
from chiasm.bench.suite import Suite
from chiasm.bench.suites import suite_named, suites
from chiasm.bench.verdict import MARGIN
from chiasm.language.examples import Shot
from chiasm.progress import followed

PAGE = "report.html"
NO_CONTROLS = ("none",)
Answering = Callable[[dict[str, Any]], Any]


def bench(
    suite: str | Suite,
    *,
    data: Path | str,
    model: str | Path | Answering | Candidate,
    out: Path | str | None = None,
    limit: int | None = None,
    controls: Sequence[str] | None = None,
    shots: Path | str | None = None,
    examples: int = 5,
    timeout: float = 60.0,
    seed: int = 0,
    draws: int = 1000,
    margin: float = MARGIN,
    progress: Callable[[str, int, int], None] | None = None,
) -> Benched:
    """Ask a candidate the items of a public benchmark, with its controls beside it, and say what it shows.

    Args:
        suite: a name of `list_suites`, or a suite.
        data: the folder with the released files; nothing is downloaded.
        model: who answers: a function of one item, a mapping with `id`, `question`, `context`, `options` and
            `attachments`, that returns words, a position from 0, or a score for each option; or text, as on the command
            line (`python:module:function`, `command:...`, `lm:folder or .gguf`, a model folder, or a way of prompting
            before who speaks, as `medprompt:lm:...`); or a `Candidate`.
        out: the folder of the run: answers, items, `bench.json`, `report.html`. Answers that it holds of the same items
            and candidate are not asked again, items at which it failed are. None keeps nothing.
        limit: ask so many items, drawn in whole groups; said in the result.
        controls: ways of asking that run beside, of `blind`, `shuffled`, `no-question`, `no-context`, `rotated`; None:
            all that have a meaning here; `["none"]`: none. Only when named: `noise`, `blur`, `dark`, `coarse`, `jpeg`,
            the images made worse.
        shots: worked examples for a language model, JSON lines that hold no item of the test; a way of prompting
            leaves those out that do, and says how many.
        examples: how many of them.
        timeout: seconds that a command has for an item.
        seed: of the draws of items, images and intervals.
        draws: of the bootstrap, 100 or more.
        margin: below it a difference counts as none, in the primary figure.
        progress: called with (way of asking, answered, all); None draws a bar in a terminal or notebook.

    Raises:
        ValueError: there is no such suite or candidate; a released file lacks or is another one; examples are test
            items; `out` holds answers of other items or another candidate, or another run writes there; the candidate
            fails at each of the first items.
        Unsupported: a language model cannot be loaded.
    """
    require_sizes(limit, draws, margin)
    chosen = suite_named(suite) if isinstance(suite, str) else suite
    items = chosen.read(Path(data))
    if isinstance(model, str | Path):
        worked: list[Shot] = []
        if shots is not None:
            file = Path(shots)
            worked = read_pool(file, items) if is_prompted(str(model)) else read_shots(file, items, examples)
        candidate = open_candidate(str(model), shots=worked, examples=examples, timeout=timeout)
    elif isinstance(model, Candidate):
        candidate = model
    else:
        candidate = as_candidate(model)
    if isinstance(candidate, Learner):
        candidate = candidate.apart_from(items.items)
    names = None if controls is None else [own for own in controls if own not in NO_CONTROLS]
    run = partial(ran, chosen, items, candidate, limit=limit, controls=names, seed=seed, draws=draws, margin=margin)
    with followed("items", progress) as told:
        if out is None:
            with TemporaryDirectory() as folder:
                return replace(run(Path(folder), progress=told), render=_rendered)
        found = run(Path(out), progress=told)
    return _written(found, Path(out))


def bench_score(run: Path | str, *, suite: Suite | None = None, draws: int | None = None) -> Benched:
    """Score the stored answers of a run again, without the candidate, and write its result and page anew.

    Args:
        run: the folder of a run.
        suite: the suite of the run, where `list_suites` does not know it.
        draws: of the bootstrap; None: as at the run.

    Raises:
        ValueError: the folder holds no run, or one of another suite, or its items or answers were changed.
    """
    require_sizes(None, 1000 if draws is None else draws, 0.0)
    folder = Path(run)
    asked = str(result_of(folder)["suite"])
    if suite is not None and suite.name != asked:
        raise ValueError(
            f"'{folder.name}' is a run of '{asked}', not of '{suite.name}': hand over the suite of the run"
        )
    return _written(scored_again(folder, or_own(suite), draws=draws), folder)


def bench_compare(
    first: Path | str,
    second: Path | str,
    *,
    suite: Suite | Sequence[Suite] | None = None,
    out: Path | str | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> Compared:
    """Compare two candidates, item by item: differences with intervals, tests, and Holm's correction over all of them.

    Args:
        first, second: folders of two runs of one suite, or two folders of runs.
        suite: the suite, or suites, of runs that `list_suites` does not know.
        out: a file for the table that ends in .md, .tex or .csv.
        draws, seed: of the bootstrap.

    Raises:
        ValueError: a folder holds no run, both have no suite or item in common, or `out` has another ending.
    """
    require_sizes(None, draws, 0.0)
    write = None if out is None else require_writer(Path(out))
    found = compared(Path(first), Path(second), or_own(suite), draws=draws, seed=seed)
    if out is not None and write is not None:
        write_text(Path(out), write(found))
    return found


def list_suites() -> pd.DataFrame:
    """List the suites: name, title, paper, the files that each needs, where they come from, licence, setting."""
    rows = [
        {
            "name": own.name, "title": own.title, "paper": str(own.paper), "link": own.paper.link, "files": own.files,
            "source": own.source, "licence": own.licence, "setting": own.setting, "primary": own.primary,
        }
        for own in suites()
    ]  # fmt: skip
    return pd.DataFrame(rows)


def or_own(suite: Suite | Sequence[Suite] | None) -> Callable[[str], Suite]:
    """Return what finds a suite by its name: among these, or else those of `list_suites`."""
    own = {each.name: each for each in ((suite,) if isinstance(suite, Suite) else suite or ())}
    return lambda name: own[name] if name in own else suite_named(name)


def require_sizes(limit: int | None, draws: int, margin: float) -> None:
    """Refuse numbers with which nothing can be computed.

    Raises:
        ValueError: naming the number.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"limit={limit} asks no item: choose 1 or more")
    if draws < 100:
        raise ValueError(f"draws={draws} are too few for an interval: choose 100 or more")
    if not 0 <= margin < 1:
        raise ValueError(f"margin={margin:g} is no difference of shares: choose 0 up to below 1")


def _written(found: Benched, folder: Path) -> Benched:
    finished = replace(found, render=_rendered)
    write_result(finished, folder)
    finished.report(folder / PAGE)
    return finished


def _rendered(document: Mapping[str, Any]) -> str:
    from chiasm.report.bench import render_bench

    return render_bench(document)
