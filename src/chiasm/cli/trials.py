"""`demo`, `check`, `evaluate` and `report`: a cohort, every recipe on it, and the page of the trial."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chiasm import screen
from chiasm.cli.contrasts import contrast_pairs
from chiasm.cli.full_report import FullReport, report_in_full
from chiasm.cli.identifiers import Identifiers, screened_for_identifiers, show_identifiers
from chiasm.cli.options import (
    Budget,
    CohortPath,
    Device,
    Engine,
    Folds,
    GpusPerTrial,
    Jobs,
    Json,
    Repeats,
    Seed,
    Sources,
    borrowing,
    counted,
    examined,
    prepared,
    told_how_to_go_on,
    told_spaces,
)
from chiasm.cli.subgroups import show_division, show_subgroups, summary_of
from chiasm.cli.tracking import show_tracked

if TYPE_CHECKING:
    from chiasm.api import Cohort, Trial, Trials

DEMO_TIME = "about two minutes on two cores"
DEMO_TIME_FULL = "five times as long as one repeat"
RUN_FILES = {
    "trial.json",
    "predictions.parquet",
    "outcomes.parquet",
    "report.html",
    "reporting.md",
    "log.jsonl",
    ".work",
}
COLUMNS_SHOWN = 6  # names of columns of each kind on the screen; --json has all
PLURAL = {"category": "categories"}


def demo(
    out: Annotated[Path, typer.Option(help="The run folder; a demo that is there is replaced.")] = Path("chiasm-demo"),
    full: Annotated[bool, typer.Option("--full", help="As many repeats as a trial takes by default: five.")] = False,
    seed: Seed = 0,
    jobs: Jobs = None,
    json: Json = False,
) -> None:
    """Every recipe that runs without being named, on a real cohort of 198 patients.

    Breast cancer, clinical columns and 76 genes; scikit-survival ships it, and nothing is downloaded.
    """
    from chiasm import api

    cohort = api.demo_cohort()
    make_room_for_demo(out, cohort.name)
    times = DEMO_TIME_FULL if full else DEMO_TIME
    repeats = "five repeats" if full else "one repeat (--full: five)"
    screen.hint(f"Every recipe on {len(cohort)} patients, 5 folds, {repeats}, {times}.")
    api.hush_findings()
    protocol = api.Protocol() if full else api.Protocol(repeats=1)
    start = time.monotonic()
    with screen.Progressing("training sets") as progress, told_how_to_go_on(None):
        trial = api.evaluate(cohort, None, protocol, seed=seed, out=out, jobs=jobs, progress=progress)
    show_trial(trial, out, time.monotonic() - start, json)


def check(cohort: CohortPath, identifiers: Identifiers = False, json: Json = False) -> None:
    """Every problem of a cohort and of the sources that it names, each with its row, file and fix.

    Exit 1 when one is an error; warnings stop nothing. --identifiers looks for what may name a patient.
    """
    from chiasm import api

    opened, problems = examined(cohort)
    if opened is not None and opened.lender_paths:
        problems = sorted([*problems, *api.source_problems(opened)], key=lambda problem: problem.severity != "error")
    errors = sum(problem.severity == "error" for problem in problems)
    summary = None if opened is None else summarise(opened)
    screened = screened_for_identifiers(opened) if identifiers else None
    if json:
        document = {"cohort": summary, "errors": errors, "problems": [asdict(problem) for problem in problems]}
        if identifiers:
            document["identifiers"] = None if screened is None else screened.as_json()
        screen.show_json(document)
    else:
        if summary is not None:
            show_summary(summary)
        for problem in problems:
            screen.show(f"{problem.severity}: {problem}")
        screen.show(counted(problems) if problems else "no problems")
        if identifiers:
            show_identifiers(screened)
    if errors:
        raise typer.Exit(1)


def evaluate(
    cohorts: Annotated[
        list[Path], typer.Argument(metavar="COHORT...", help="The manifest cohort.toml, or its folder; or several.")
    ],
    out: Annotated[
        Path, typer.Option(help="The run folder: trial.json, predictions.parquet, report.html; one each of several.")
    ] = Path("run"),
    recipes: Annotated[
        list[str] | None,
        typer.Option(help="Names with options, by commas or again: a,b --recipes lego-fuse:mode=weave. Default: all."),
    ] = None,
    folds: Folds = 5,
    repeats: Repeats = None,
    seed: Seed = 0,
    ignore_folds: Annotated[bool, typer.Option("--ignore-folds", help="Draw folds although some are given.")] = False,
    by: Annotated[str | None, typer.Option(metavar="site", help="Keep each site on one side of every fold.")] = None,
    group_duplicates: Annotated[
        bool, typer.Option("--group-duplicates", help="Keep identical patients on one side.")
    ] = False,
    margin: Annotated[float, typer.Option(help="The smallest gain worth having.")] = 0.01,
    contrast: Annotated[
        list[str] | None,
        typer.Option(metavar="B:A", help="Judge recipe B against recipe A too; again for more such pairs."),
    ] = None,
    external: Annotated[
        Path | None, typer.Option(metavar="OTHER", help="Score the two picks on this cohort too, when all is done.")
    ] = None,
    source: Sources = None,
    identifiers: Identifiers = False,
    budget: Budget = None,
    jobs: Jobs = None,
    engine: Engine = "local",
    device: Device = "cpu",
    gpus_per_trial: GpusPerTrial = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the trial that --out holds.")] = False,
    track: Annotated[
        str | None,
        typer.Option(metavar="FOLDER|URI", help="Write the trial to MLflow too: a folder, or a server."),
    ] = None,
    full: FullReport = False,
    json: Json = False,
) -> None:
    """Every recipe on the same folds, and whether combining pays.

    The cohort is checked first; errors stop the run before anything is written.
    """
    from chiasm import api

    names = None if recipes is None else [name for text in recipes for name in api.split_specs(text)]
    if names is not None or budget is not None:
        names = api.with_budget(names or (), budget)
        told_spaces(names)
    protocol = api.Protocol(
        folds=folds, repeats=repeats, ignore_folds=ignore_folds, by=by, group_duplicates=group_duplicates, margin=margin
    )
    if engine == "local":
        api.require_device(device)  # a cluster's machines have their own
    start = time.monotonic()
    if len(cohorts) > 1 and contrast:
        raise ValueError("--contrast is judged within one cohort: evaluate it alone")
    if len(cohorts) > 1 and external is not None:
        raise ValueError("--external is scored by the picks of one cohort: evaluate it alone")
    place = None if track is None else api.tracking_place(track)  # before anything is computed
    other = None if external is None else api.open_cohort(external)
    for path in cohorts if source else ():  # before anything is encoded
        api.opened_sources(api.open_cohort(path), source or ())
    ready = [prepared(path, names or (), engine=engine, jobs=jobs, identifiers=identifiers) for path in cohorts]
    ready = [borrowing(own, source or (), engine=engine, jobs=jobs) for own in ready]
    pairs = contrast_pairs(contrast or (), api.names_in_trial(names, ready[0].cohort) if contrast else ())
    with screen.Progressing("training sets") as progress, told_how_to_go_on("add --resume to go on"):
        settings: dict[str, Any] = {
            "seed": seed, "out": out, "resume": resume, "jobs": jobs, "engine": engine, "device": device,
            "gpus_per_trial": gpus_per_trial,
        }  # fmt: skip
        if len(ready) > 1:
            trials = api.evaluate_cohorts(ready, names, protocol, progress=progress.named, **settings)
        else:
            trial = api.evaluate(
                ready[0], names, protocol, contrasts=pairs, external=other, progress=progress, **settings
            )
    seconds = time.monotonic() - start
    show_trials(trials, out, seconds, json) if len(ready) > 1 else show_trial(trial, out, seconds, json)
    if full:
        report_in_full(ready, out, seed=seed, jobs=jobs, engine=engine, device=device)
    if place is not None:
        done = trials.trials.values() if len(ready) > 1 else [trial]
        for own, prepared_cohort in zip(done, ready, strict=True):
            show_tracked(api.track(own, place, cohort=prepared_cohort.cohort))


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder that chiasm evaluate wrote.")],
    out: Annotated[Path | None, typer.Option(help="The page; default: report.html in the run folder.")] = None,
    figures: Annotated[
        str | None, typer.Option(metavar="svg,pdf,png", help="Write each picture into figures/ beside the page too.")
    ] = None,
    methods: Annotated[
        Path | None,
        typer.Option(metavar="FILE.md", help="Write the methods of a paper too, and their references as .bib."),
    ] = None,
    guidelines: Annotated[
        Path | None,
        typer.Option(metavar="FILE.md", help="Where the guidelines go; default: reporting.md in the run folder."),
    ] = None,
    card: Annotated[
        Path | None,
        typer.Option(
            metavar="MODEL", help="Write the card of this model folder, with the scores of its recipe, as RUN/card.md."
        ),
    ] = None,
    supplement: Annotated[
        Path | None, typer.Option(metavar="FILE.xlsx", help="Write every table of the page as a spreadsheet too.")
    ] = None,
    cohort: Annotated[Path | None, typer.Option(help="The manifest of a sealed cohort.")] = None,
) -> None:
    """Write the page of a trial again, one HTML file, and what a paper needs of it.

    Guidelines and card are for authors to complete: a file that differs from what would be written is left as it is.
    Of a sealed cohort, --cohort has every opening told, those for other runs too.
    """
    from chiasm import api
    from chiasm.api.reporting import MARKDOWN, SPREADSHEET, keep_card, keep_guidelines, left_as_it_is, require_ending

    page = run / "report.html" if out is None else out
    api.require_html(page)
    for file, form in ((methods, MARKDOWN), (guidelines, MARKDOWN), (supplement, SPREADSHEET)):
        if file is not None:  # before anything is written
            require_ending(file, *form)
    trial = api.load_trial(run, cohort)
    drawn = trial.plot.save(page.parent / "figures", figures.split(",")) if figures is not None else []
    screen.show(f"Report: {trial.report(page)}")
    if drawn:
        screen.show(f"Figures: {', '.join(file.name for file in drawn)} in {page.parent / 'figures'}")
    if out is None or guidelines is not None:
        items = guidelines or run / "reporting.md"
        screen.show(f"Guidelines: {items if keep_guidelines(trial, items) else left_as_it_is(items)}")
    if methods is not None:
        screen.show(f"Methods: {' and '.join(map(str, api.write_methods(trial, methods)))}")
    if card is not None:
        text = run / "card.md"
        screen.show(f"Card: {text if keep_card(card, text, trial) else left_as_it_is(text)}")
    if supplement is not None:
        screen.show(f"Supplement: {api.write_supplement(trial, supplement)}")


def summarise(cohort: Cohort) -> dict[str, Any]:
    """Counts of a cohort."""
    outcome = cohort.outcome
    return {
        "name": cohort.name,
        "patients": len(cohort),
        "target": None if cohort.target is None else cohort.target.kind,
        "known_outcomes": None if outcome is None else int(outcome.known.sum()),
        "events": None if outcome is None or (event := outcome.main_event) is None else int(event.sum()),
        **({} if cohort.sealed is None else {"sealed": asdict(cohort.sealed)}),
        **({} if cohort.knowledge is None else {"knowledge": cohort.knowledge.counts}),
        **({} if cohort.label_texts is None else {"label_texts": cohort.label_texts.counts}),
        **({"subgroups": summary_of(cohort)} if cohort.subgroups else {}),
        "modalities": {
            name: {
                "kind": cohort.kinds[name],
                "present": int(cohort.present[:, m].sum()),
                **({"columns": columns} if (columns := cohort.column_kinds(name)) else {}),
                **({"labelled": labelled} if (labelled := cohort.labelled_columns(name)) else {}),
            }
            for m, name in enumerate(cohort.modalities)
        },
    }


def show_summary(summary: dict[str, Any]) -> None:
    """The cohort in a few lines."""
    target = summary["target"] or "no target"
    known = "" if summary["known_outcomes"] is None else f", {summary['known_outcomes']:,} known"
    events = "" if summary["events"] is None else f", {summary['events']:,} events"
    screen.show(f"{summary['name']}: {summary['patients']:,} patients, {target}{known}{events}")
    if "sealed" in summary:
        sealed = summary["sealed"]
        number = len(sealed["openings"])
        opened = f"were opened {screen.times(number)}" if number else "were not looked at"
        screen.show(f"{sealed['patients']:,} more are sealed and {opened}")
    rows = [[name, found["kind"], f"{found['present']:,}"] for name, found in summary["modalities"].items()]
    screen.show_table(["modality", "kind", "patients"], rows, right=["patients"])
    for name, found in summary["modalities"].items():
        if "columns" in found:
            screen.show(f"{name} is read as {columns_in_words(found['columns'])}")
        if "labelled" in found:
            more = ", ..." if len(found["labelled"]) > COLUMNS_SHOWN else ""
            screen.show(f"{name} holds the labels of the codes in {', '.join(found['labelled'][:COLUMNS_SHOWN])}{more}")
    if "knowledge" in summary:
        known = summary["knowledge"]
        parts = " ".join(f"{join}{known[what]:,} {what}" for join, what in (("", "triples"), ("of ", "entities")))
        kinds = f"{known['relations']:,} {'relation' if known['relations'] == 1 else 'relations'}"
        screen.show(f"knowledge: {parts} by {kinds}; '{known['column']}' names one for {known['patients']:,} patients")
    if "label_texts" in summary:
        told = summary["label_texts"]
        written = [f"{told['sentences']:,} sentences of {told['labels']:,} labels"] if told["labels"] else []
        written += [f"lineages of {told['lineages']:,} labels"] if told["lineages"] else []
        screen.show(f"written of labels: {', '.join(written)}")
    show_division(summary.get("subgroups", ()))
    screen.show("")


def columns_in_words(kinds: dict[str, str]) -> str:
    """What the columns of a table were read as, the first few of each by name."""
    said = []
    for kind in dict.fromkeys(kinds.values()):
        own = [name for name, found in kinds.items() if found == kind]
        more = ", ..." if len(own) > COLUMNS_SHOWN else ""
        plural = kind if len(own) == 1 else PLURAL.get(kind, f"{kind}s")
        said.append(f"{len(own):,} {plural} ({', '.join(own[:COLUMNS_SHOWN])}{more})")
    return ", ".join(said)


def show_trial(trial: Trial, out: Path, seconds: float, json: bool) -> None:
    """A finished trial: `trial.json` for machines, else the table, the verdict and where the page lies."""
    if json:
        screen.show((out / "trial.json").read_text(encoding="utf-8"))
        return
    screen.show_trial(trial, seconds)
    sealed = trial.document["cohort"].get("sealed")
    if sealed is not None:
        screen.show(f"\n{sealed['patients']:,} patients are sealed: chiasm open-seal {out} COHORT scores them, once")
    show_subgroups(trial.document)
    show_external(trial)
    screen.show(f"\nReport: {out / 'report.html'}")


def show_trials(trials: Trials, out: Path, seconds: float, json: bool) -> None:
    """Trials of several cohorts: the recipes and the verdicts of all, for machines or as two tables."""
    from chiasm import api

    if json:
        screen.show_json(trials.document())
        return
    table, verdicts = trials.table(), trials.verdicts()
    numbers = [str(name) for name in table.columns[3:]]
    rows = [
        [row[0], row[1], f"{row[2]}", *("-" if x != x else f"{x:.3f}" for x in row[3:])] for row in table.to_numpy()
    ]
    screen.show_table(["recipe", "metric", "cohorts", *numbers], rows, right=["cohorts", *numbers])
    screen.show(f"\nTook {screen.duration(seconds)}.\n")
    said = [
        [row["cohort"], row["outcome"], screen.interval(row["difference"], row["low"], row["high"]), row["best_fused"]]
        for row in verdicts.to_dict("records")
    ]
    screen.show_table(["cohort", "combining", "gain (95 % interval)", "best combined"], said)
    pages = [api.folder_of(out, name) / "report.html" for name in trials.trials]
    screen.show(f"\nReports: {', '.join(map(str, pages))}")


def show_external(trial: Trial) -> None:
    """The picks of a trial on another cohort, if it was scored there."""
    part = trial.document.get("external")
    if part is None:
        return
    events = "" if part["events"] is None else f" with {part['events']:,} events"
    screen.show(f"\nOn '{part['cohort']['name']}', {part['patients']:,} patients{events}, whom no model has seen:")
    rows = [[row["name"], screen.interval(*(row[key] for key in ("mean", "low", "high")))] for row in part["recipes"]]
    screen.show_table(["recipe", f"{part['recipes'][0]['metric']} (95 % interval, given the fitted models)"], rows)


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
        try:
            ours = json.loads((out / "trial.json").read_text(encoding="utf-8"))["cohort"]["name"] == name
        except (ValueError, LookupError, TypeError):  # damaged: it cannot say whose it was
            ours = False
    elif ours:
        ours = (out / ".work").is_dir() and out.name == "chiasm-demo"
    if not ours:
        raise api.TrialError(f"'{out}' exists and is not a demo: choose another --out, or remove it")
    shutil.rmtree(out)
