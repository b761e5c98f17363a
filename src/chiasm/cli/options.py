"""Options that several commands share, and what they do alike before and after their work."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chiasm import screen

if TYPE_CHECKING:
    from chiasm.api import Cohort, Model, PreparedCohort, Problem

CohortPath = Annotated[Path, typer.Argument(metavar="COHORT", help="The manifest cohort.toml, or its folder.")]
ModelPath = Annotated[Path, typer.Argument(metavar="MODEL", help="A model folder that chiasm fit wrote.")]
Strict = Annotated[bool, typer.Option(help="Refuse tables that lack columns; else these are read as missing.")]
Draws = Annotated[int, typer.Option(min=100, help="Of the bootstrap.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else on standard output.")]
Seed = Annotated[int, typer.Option(min=0, help="Of the splits, the fits and the bootstrap.")]
Jobs = Annotated[int | None, typer.Option(min=1, help="Processes; default: one for each core.")]
Device = Annotated[str, typer.Option(help="Where torch computes: cpu, cuda, cuda:1.")]
Engine = Annotated[str, typer.Option(help="local, or ray: the cluster that RAY_ADDRESS names.")]
GpusPerTrial = Annotated[
    float | None, typer.Option(min=0.001, help="With --engine ray --device cuda: GPUs of each training set, as 0.5.")
]
Store = Annotated[Path | None, typer.Option(help="The token store; default: $CHIASM_STORE, or the cache folder.")]
Sources = Annotated[
    list[Path] | None,
    typer.Option(
        "--source", metavar="OTHER", help="Borrow from this cohort or model folder, never scored; again for each."
    ),
]
Budget = Annotated[int | None, typer.Option(min=1, help="Settings that a tuned recipe tries at most; default: 20.")]
Folds = Annotated[int, typer.Option(help="Of the cross-validation, where the manifest prescribes none.")]
REPEATS = "Default: 5 up to 500 patients without files to encode, else 1; 1 where folds are given."
Repeats = Annotated[int | None, typer.Option(help=f"How often the folds are drawn. {REPEATS}")]
Trust = Annotated[
    list[Path] | None,
    typer.Option(
        "--trust", metavar="KEY", help="Open only what this public key, or one of this folder, signed; again for each."
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Replace what --out holds.")]

NOTES = 3  # of what is unlike training, on the screen


def sound(path: Path) -> Cohort:
    """The cohort, once no error stands in its way; warnings are counted."""
    return checked(path)[0]


def checked(path: Path) -> tuple[Cohort, list[Problem]]:
    """The cohort, once no error stands in its way, with every problem; warnings are counted."""
    from chiasm import api

    api.hush_findings()
    cohort, problems = examined(path)
    errors = api.stopping(problems)
    if errors or cohort is None:
        raise api.CohortError(errors)
    if problems:
        screen.hint(f"{counted(problems)}: chiasm check {path} lists them")
    return cohort, problems


def examined(path: Path) -> tuple[Cohort | None, list[Problem]]:
    """The cohort, None where it cannot be opened, and every problem of it, with progress over its files."""
    from chiasm import api

    with screen.Progressing("sources", at_once=False) as progress:
        return api.examine(path, progress=progress.named)


def prepared(
    path: Path,
    recipes: Sequence[str] = (),
    *,
    model: Model | None = None,
    engine: str = "local",
    jobs: int | None = None,
    identifiers: bool = False,
) -> PreparedCohort:
    """The cohort, checked and encoded once as these recipes or this model read it; sources not read are listed.

    With `identifiers` it is screened for what may name a patient, too.
    """
    from chiasm import api

    cohort, problems = checked(path)
    if identifiers:
        with screen.Progressing("looked at", at_once=False) as progress:
            found = api.screen_identifiers(cohort, progress=progress.named)
        problems = [*problems, *found.problems]
        screen.hint(f"{len(found.findings):,} of what may name a patient: chiasm check {path} --identifiers lists them")
    with screen.Progressing("sources") as progress:
        ready = api.prepare(
            cohort, recipes, model=model, checked=problems, engine=engine, jobs=jobs, progress=progress.named
        )
    for problem in ready.unread:
        screen.hint(f"{problem.severity}: {problem}")
    return ready


def borrowing(
    cohort: PreparedCohort, sources: Sequence[Path], *, engine: str, jobs: int | None = None
) -> PreparedCohort:
    """The cohort with its source cohorts, those of the manifest and these; what is shared in part is told."""
    from chiasm import api

    found = api.with_sources(cohort, sources, engine=engine, jobs=jobs)
    for own in found.checked[len(cohort.checked) :]:
        screen.hint(f"{own.problem.severity}: {own.problem}")
    return found


def counted(problems: Sequence[Problem]) -> str:
    """`2 errors, 1 warning`."""
    number = {kind: sum(problem.severity == kind for problem in problems) for kind in ("error", "warning")}
    return ", ".join(f"{n:,} {kind}{'' if n == 1 else 's'}" for kind, n in number.items() if n)


def require_writable(out: Path) -> None:
    """The folder that `out` will lie in can be written, or made; asked before anything is computed.

    A folder is made there for a moment: what only looks at permissions takes a place that is no disk for one.
    """
    place = next(folder for folder in out.absolute().parents if folder.exists())
    try:
        Path(mkdtemp(prefix=f".{out.name[:40]}-", dir=place)).rmdir()
    except OSError:
        raise PermissionError(13, f"nothing can be written in '{place.name}': choose another --out", str(out)) from None


def show_notes(notes: Sequence[str], where: str = "") -> None:
    """Say the first few of what a model told of patients unlike its training, and how many more there are."""
    for note in notes[:NOTES]:
        screen.hint(f"note: {note}")
    if len(notes) > NOTES:
        screen.hint(f"note: and {len(notes) - NOTES:,} more of this kind{where}")


def told_spaces(recipes: Sequence[str]) -> None:
    """Say of each tuned recipe how many settings are tried, where they are not all that its space has."""
    from chiasm import api

    for name in recipes:
        if said := api.drawn_from(name):
            screen.hint(f"note: {said}")


def require_table(out: Path, what: str, force: bool, option: str = "--out") -> None:
    """A table of this name can be written; asked before anything is computed."""
    if out.suffix not in (".parquet", ".csv"):
        raise ValueError(f"'{out}' must end in .parquet or .csv: {what} are written as one of them")
    require_new(out, force, option)


def require_picture(path: Path, force: bool) -> None:
    """A picture of this name can be written; asked before anything is computed."""
    from chiasm import api

    api.require_format(path)
    require_new(path, force, "--plot")


def require_page(path: Path, force: bool, option: str = "--page") -> None:
    """A page of this name can be written; asked before anything is computed."""
    from chiasm import api

    api.require_html(path)
    require_new(path, force, option)


def require_new(path: Path, force: bool, option: str) -> None:
    """A file that an option names can be written, and is not there unless it may be replaced."""
    if path.exists() and not force:
        raise FileExistsError(17, f"exists already: choose another {option}, or add --force to replace it", str(path))
    require_writable(path)


def show_written(*paths: Path | None) -> None:
    """Say which files were written, of those that were asked for."""
    for path in paths:
        if path is not None:
            screen.show(f"Written: {path}")


def kept_on_page(run: Path, keep: Callable[[Path], Path]) -> tuple[Path, Path]:
    """Keep a result in a run folder, and write the page of the trial anew; return both files."""
    from chiasm import api

    file = keep(run)
    return file, api.load_trial(run).report(run / "report.html")


def for_json(rows: Iterable[Mapping[Any, Any]]) -> list[dict[str, Any]]:
    """Rows of a table as JSON can hold them: None where a number is not known, or has no end."""

    def held(value: Any) -> Any:
        return None if isinstance(value, float) and not math.isfinite(value) else value

    return [{str(key): held(value) for key, value in row.items()} for row in rows]


@contextmanager
def told_how_to_go_on(advice: str | None) -> Iterator[None]:
    """Ctrl-C ends a trial without a traceback, and says what to do."""
    try:
        yield
    except KeyboardInterrupt:
        screen.hint("stopped" + (f": {advice}" if advice else ""))
        raise typer.Exit(130) from None
