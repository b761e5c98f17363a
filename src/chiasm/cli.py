"""The command line: parses, calls the public API, prints. The API is imported by the command that needs it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chiasm import screen

if TYPE_CHECKING:
    from chiasm.api import Cohort, Problem, Trial

app = typer.Typer(
    name="chiasm",
    help="From a cohort with missing modalities to one model, and whether combining them was worth it.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

CohortPath = Annotated[Path, typer.Argument(metavar="COHORT", help="The manifest cohort.toml, or its folder.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else on standard output.")]
Seed = Annotated[int, typer.Option(help="Of the splits, the fits and the bootstrap.")]
Jobs = Annotated[int | None, typer.Option(min=1, help="Processes; default: one for each core.")]
Device = Annotated[str, typer.Option(help="Where torch computes: cpu, cuda, cuda:1.")]
Force = Annotated[bool, typer.Option("--force", help="Replace what --out holds.")]

DEMO_TIME = "about half a minute on two cores"
DEMO_TIME_FULL = "about two minutes on two cores"
RUN_FILES = {"trial.json", "predictions.parquet", "outcomes.parquet", "report.html", "log.jsonl", ".work"}


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point `chiasm`: one sentence for each problem on standard error, and exit 2."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        app(words, prog_name="chiasm")
    except Exception as error:
        screen.fail(error, words)
        sys.exit(2)


@app.callback(invoke_without_command=True)
def version(show: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if show:
        from chiasm import __version__

        screen.show(f"chiasm {__version__}")
        raise typer.Exit


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="The run folder; a demo that is there is replaced.")] = Path("chiasm-demo"),
    full: Annotated[bool, typer.Option("--full", help="Five times five folds: five times as long.")] = False,
    seed: Seed = 0,
    jobs: Jobs = None,
    json: Json = False,
) -> None:
    """Every recipe on a real cohort of 198 patients.

    Breast cancer, clinical columns and 76 genes; scikit-survival ships it, and nothing is downloaded.
    """
    from chiasm import api

    cohort = api.demo_cohort()
    make_room_for_demo(out, cohort.name)
    times = DEMO_TIME_FULL if full else DEMO_TIME
    screen.hint(f"Every recipe on {len(cohort)} patients, {'5 x 5' if full else '5'} folds, {times}.")
    start = time.monotonic()
    with screen.Training() as progress, told_how_to_go_on(None):
        trial = api.evaluate(
            cohort, None, api.Protocol(repeats=5 if full else 1), seed=seed, out=out, jobs=jobs, progress=progress
        )
    show_trial(trial, out, time.monotonic() - start, json)


@app.command()
def check(cohort: CohortPath, json: Json = False) -> None:
    """Every problem of a cohort, each with its row, file and fix.

    Exit 1 when one is an error; warnings stop nothing.
    """
    from chiasm import api

    problems = api.check_cohort(cohort)
    errors = sum(problem.severity == "error" for problem in problems)
    try:
        summary: dict[str, Any] | None = summarise(api.open_cohort(cohort))
    except api.CohortError:
        summary = None  # what stands in the way is among the problems
    if json:
        screen.show_json({"cohort": summary, "errors": errors, "problems": [asdict(problem) for problem in problems]})
    else:
        if summary is not None:
            show_summary(summary)
        for problem in problems:
            screen.show(f"{problem.severity}: {problem}")
        screen.show(counted(problems) if problems else "no problems")
    if errors:
        raise typer.Exit(1)


@app.command()
def evaluate(
    cohort: CohortPath,
    out: Annotated[Path, typer.Option(help="The run folder: trial.json, predictions.parquet, report.html.")],
    recipes: Annotated[
        list[str] | None,
        typer.Option(help="Names with options, by commas or again: a,b --recipes lego-fuse:mode=weave. Default: all."),
    ] = None,
    folds: Annotated[int, typer.Option(help="Of the cross-validation, where the manifest prescribes none.")] = 5,
    repeats: Annotated[int, typer.Option(help="How often the folds are drawn.")] = 1,
    seed: Seed = 0,
    ignore_folds: Annotated[bool, typer.Option("--ignore-folds", help="Draw folds although some are given.")] = False,
    by: Annotated[str | None, typer.Option(metavar="site", help="Keep each site on one side of every fold.")] = None,
    group_duplicates: Annotated[
        bool, typer.Option("--group-duplicates", help="Keep identical patients on one side.")
    ] = False,
    margin: Annotated[float, typer.Option(help="The smallest gain worth having.")] = 0.01,
    jobs: Jobs = None,
    device: Device = "cpu",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the trial that --out holds.")] = False,
    json: Json = False,
) -> None:
    """Every recipe on the same folds, and whether combining pays.

    The cohort is checked first; errors stop the run before anything is written.
    """
    from chiasm import api

    names = None if recipes is None else [name for text in recipes for name in api.split_names(text)]
    protocol = api.Protocol(
        folds=folds, repeats=repeats, ignore_folds=ignore_folds, by=by, group_duplicates=group_duplicates, margin=margin
    )
    api.require_device(device)
    opened = sound(cohort)
    start = time.monotonic()
    with screen.Training() as progress, told_how_to_go_on("add --resume to go on"):
        trial = api.evaluate(
            opened, names, protocol, seed=seed, out=out, resume=resume, jobs=jobs, device=device, progress=progress
        )
    show_trial(trial, out, time.monotonic() - start, json)


@app.command()
def fit(
    cohort: CohortPath,
    recipe: Annotated[str, typer.Option(help="A name with its options, as in lego-fuse:mode=weave.")],
    out: Annotated[Path, typer.Option(help="The model folder.")],
    seed: Seed = 0,
    device: Device = "cpu",
    force: Force = False,
    json: Json = False,
) -> None:
    """Fit one recipe and keep the model.

    On every patient whose outcome is known.
    """
    from chiasm import api

    if out.exists() and (out / "model.json").is_file() and not force:
        raise api.ArtifactError(f"'{out}' holds a model already: choose another --out, or add --force to replace it")
    if out.exists() and not (out / "model.json").is_file() and (not out.is_dir() or any(out.iterdir())):
        raise api.ArtifactError(f"'{out}' exists and is not a model folder: choose another --out")
    require_writable(out)
    api.require_device(device)
    opened, start = sound(cohort), time.monotonic()
    model = api.fit(opened, recipe, seed=seed, device=device)
    model.save(out)
    seconds = time.monotonic() - start
    if json:
        found = {"recipe": recipe, "model": str(out), "seconds": round(seconds, 3)}
        screen.show_json({**found, "trained_parameters": model.trained_parameters})
        return
    screen.show(f"Fitted {recipe} in {screen.duration(seconds)}: {model.trained_parameters:,} trained parameters.")
    screen.show(f"Model: {out}\nNext:  chiasm predict {out} new/cohort.toml --out predictions.csv")


@app.command()
def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model folder that chiasm fit wrote.")],
    cohort: CohortPath,
    out: Annotated[Path, typer.Option(help="predictions.parquet or predictions.csv.")],
    force: Force = False,
    json: Json = False,
) -> None:
    """Predict for every patient of a cohort.

    Each needs one or more of the model's modalities; the manifest needs no target.
    """
    from chiasm import api

    if out.suffix not in (".parquet", ".csv"):
        raise ValueError(f"'{out}' must end in .parquet or .csv: predictions are written as one of them")
    if out.exists() and not force:
        raise FileExistsError(17, "exists already: choose another --out, or add --force to replace it", str(out))
    require_writable(out)
    predictions = api.load_model(model).predict(api.open_cohort(cohort))
    staging = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        predictions.to_parquet(staging) if out.suffix == ".parquet" else predictions.to_csv(staging)
        staging.replace(out)
    finally:
        staging.unlink(missing_ok=True)
    patterns = {str(name): int(number) for name, number in predictions["pattern"].value_counts().items()}
    if json:
        screen.show_json({"predictions": str(out), "patients": len(predictions), "patterns": patterns})
        return
    screen.show(f"Predicted {len(predictions):,} patients: {out}")
    screen.show_table(["modalities", "patients"], [[n, f"{k:,}"] for n, k in patterns.items()], right=["patients"])


@app.command()
def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder that chiasm evaluate wrote.")],
    out: Annotated[Path | None, typer.Option(help="The page; default: report.html in the run folder.")] = None,
) -> None:
    """Write the page of a trial again, one HTML file."""
    from chiasm import api

    page = run / "report.html" if out is None else out
    if page.suffix not in (".html", ".htm"):
        raise ValueError(f"'{page}' must end in .html: the report is a web page")
    screen.show(f"Report: {api.load_trial(run).report(page)}")


@app.command()
def recipes(json: Json = False) -> None:
    """Every recipe: its paper, what it needs, its options."""
    from chiasm import api

    rows = api.list_recipes().to_dict("records")
    if json:
        screen.show_json(rows)
        return
    for row in rows:
        screen.show(f"{row['name']}  ({row['family']})\n  from:    {row['paper']}\n  needs:   {row['needs']}")
        screen.show(f"  options: {row['options']}\n" if row["options"] else "")


@app.command()
def doctor(json: Json = False) -> None:
    """Versions, what is missing, and a self test of seconds."""
    from chiasm import api

    facts = api.diagnose()
    test = facts["self_test"]
    if json:
        screen.show_json(facts)
    else:
        packages = [[name, found or "not installed"] for name, found in facts["packages"].items()]
        cuda = ", ".join(facts["cuda"]) or "none"
        machine = [["system", facts["system"]], ["cores", str(facts["cores"])], ["threads", str(facts["threads"])]]
        machine += [["memory", f"{facts['memory_gb']} GB"], ["CUDA", cuda]]
        screen.show_table(["", ""], [["chiasm", facts["chiasm"]], ["python", facts["python"]], *packages, *machine])
        for extra, command in facts["missing_extras"].items():
            screen.show(f"The extra '{extra}' is not installed: {command}")
        word = "passed" if test["passed"] else "FAILED"
        screen.show(f"Self test {word}: {test['recipe']} on {test['patients']} patients, {test['seconds']} s.")
    if not test["passed"]:
        raise typer.Exit(2)


def sound(path: Path) -> Cohort:
    """The cohort, once no error stands in its way; warnings are counted."""
    from chiasm import api

    problems = api.check_cohort(path)
    errors = [problem for problem in problems if problem.severity == "error"]
    if errors:
        raise api.CohortError(errors)
    if problems:
        screen.hint(f"{counted(problems)}: chiasm check {path} lists them")
    return api.open_cohort(path)


def counted(problems: Sequence[Problem]) -> str:
    """`2 errors, 1 warning`."""
    number = {kind: sum(problem.severity == kind for problem in problems) for kind in ("error", "warning")}
    return ", ".join(f"{n:,} {kind}{'' if n == 1 else 's'}" for kind, n in number.items() if n)


def summarise(cohort: Cohort) -> dict[str, Any]:
    """Counts of a cohort."""
    outcome = cohort.outcome
    return {
        "name": cohort.name,
        "patients": len(cohort),
        "target": None if cohort.target is None else cohort.target.kind,
        "known_outcomes": None if outcome is None else int(outcome.known.sum()),
        "events": None if outcome is None or outcome.event is None else int(outcome.event.sum()),
        "modalities": {
            name: {"kind": cohort.kinds[name], "present": int(cohort.present[:, m].sum())}
            for m, name in enumerate(cohort.modalities)
        },
    }


def show_summary(summary: dict[str, Any]) -> None:
    """The cohort in a few lines."""
    target = summary["target"] or "no target"
    known = "" if summary["known_outcomes"] is None else f", {summary['known_outcomes']:,} known"
    events = "" if summary["events"] is None else f", {summary['events']:,} events"
    screen.show(f"{summary['name']}: {summary['patients']:,} patients, {target}{known}{events}")
    rows = [[name, found["kind"], f"{found['present']:,}"] for name, found in summary["modalities"].items()]
    screen.show_table(["modality", "kind", "patients"], rows, right=["patients"])
    screen.show("")


def show_trial(trial: Trial, out: Path, seconds: float, json: bool) -> None:
    """A finished trial: `trial.json` for machines, else the table, the verdict and where the page lies."""
    if json:
        screen.show((out / "trial.json").read_text(encoding="utf-8"))
        return
    screen.show_trial(trial, seconds)
    screen.show(f"\nReport: {out / 'report.html'}")


def require_writable(out: Path) -> None:
    """The folder that `out` will lie in can be written, or made; asked before anything is computed."""
    place = next(folder for folder in out.absolute().parents if folder.exists())
    if not place.is_dir() or not os.access(place, os.W_OK):
        raise PermissionError(13, f"nothing can be written in '{place.name}': choose another --out", str(out))


@contextmanager
def told_how_to_go_on(advice: str | None) -> Iterator[None]:
    """Ctrl-C ends a trial without a traceback, and says what to do."""
    try:
        yield
    except KeyboardInterrupt:
        screen.hint("stopped" + (f": {advice}" if advice else ""))
        raise typer.Exit(130) from None


def make_room_for_demo(out: Path, name: str) -> None:
    """Remove an earlier demo from `out`; anything else that is there stays, and stops the run.

    An unfinished demo is known by the folder's usual name, a finished one by its cohort.
    """
    import json
    import shutil

    from chiasm import api

    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    ours = out.is_dir() and {file.name for file in out.iterdir()} <= RUN_FILES
    if ours and (out / "trial.json").is_file():
        ours = json.loads((out / "trial.json").read_text(encoding="utf-8")).get("cohort", {}).get("name") == name
    elif ours:
        ours = (out / ".work").is_dir() and out.name == "chiasm-demo"
    if not ours:
        raise api.TrialError(f"'{out}' exists and is not a demo: choose another --out, or remove it")
    shutil.rmtree(out)
