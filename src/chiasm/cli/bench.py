"""`bench`: public benchmarks as one command, with controls; `list`, `score` and `compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import click
import typer
from typer.core import TyperGroup

from chiasm import screen
from chiasm.cli.bench_reports import claims, forgetting, skills, table
from chiasm.cli.help import PlainCommand, write_examples
from chiasm.cli.options import Draws, Json, Seed, require_writable, show_written
from chiasm.cli.pairs import pairs

RUN = "run"


class BenchGroup(TyperGroup):
    """Group in which a word that is no command names a suite: `chiasm bench medqa` is `chiasm bench run medqa`."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or run the suite that the first word names."""
        own = [RUN, *args] if args and args[0] not in self.commands and not args[0].startswith("-") else args
        return super().resolve_command(ctx, own)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples."""
        write_examples(str(self.name), formatter)


app = typer.Typer(
    cls=BenchGroup,
    help="Public benchmarks, with controls beside each: chiasm bench NAME --data FOLDER --model ... --out RUN.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
Suite = Annotated[str, typer.Argument(metavar="NAME", help="A suite of chiasm bench list.")]
Run = Annotated[Path, typer.Argument(metavar="RUN", help="The --out of a finished run.")]


@app.command(RUN, cls=PlainCommand)
def run(
    name: Suite,
    data: Annotated[Path, typer.Option(help="The folder with the released files; nothing is downloaded.")],
    model: Annotated[
        str,
        typer.Option(
            help="Who answers: a model folder; lm:FOLDER or lm:FILE.gguf[,score=letter|text|generate]; "
            "python:module:function; 'command:words of a command'; chat:http://127.0.0.1:8000/v1[,model=NAME]; or "
            "medprompt:, shuffled:, few-shot: and other ways of prompting before lm:, chat: or python:."
        ),
    ],
    out: Annotated[
        Path, typer.Option(help="The folder: answers, items, bench.json, report.html. It goes on where it stopped.")
    ],
    limit: Annotated[int | None, typer.Option(min=1, help="Ask so many items, drawn in whole groups.")] = None,
    controls: Annotated[
        str | None,
        typer.Option(
            help="Of blind, shuffled, no-question, no-context, rotated; or none. Default: all that have a meaning. "
            "When named also noise, blur, dark, coarse, jpeg on the images."
        ),
    ] = None,
    shots: Annotated[
        Path | None,
        typer.Option(help="Worked examples for a language model, no test items; a way of prompting draws from all."),
    ] = None,
    examples: Annotated[int, typer.Option(min=1, help="How many of them.")] = 5,
    timeout: Annotated[float, typer.Option(help="Seconds that a command or a server has for an item.")] = 60.0,
    margin: Annotated[float, typer.Option(help="A difference below it counts as none.")] = 0.05,
    draws: Draws = 1000,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Ask a candidate the items of a suite.

    `chiasm bench NAME` is short for it. The same candidate without the image, the question or the text, and constant
    and random answers, run beside.
    """
    from chiasm import api

    require_writable(out)
    with screen.Progressing("items") as progress:
        found = api.bench(
            name, data=data, model=model, out=out, limit=limit, shots=shots, examples=examples, timeout=timeout,
            controls=None if controls is None else [own.strip() for own in controls.split(",") if own.strip()],
            seed=seed, draws=draws, margin=margin, progress=progress.named,
        )  # fmt: skip
    show(found, out, json)


@app.command("score", cls=PlainCommand)
def score(
    run: Run,
    draws: Annotated[int | None, typer.Option(min=100, help="Of the bootstrap; default: as at the run.")] = None,
    json: Json = False,
) -> None:
    """Score the stored answers of a run again, without the candidate."""
    from chiasm import api

    show(api.bench_score(run, draws=draws), run, json)


@app.command("compare", cls=PlainCommand)
def compare(
    first: Annotated[Path, typer.Argument(metavar="FIRST", help="A run, or a folder of runs.")],
    second: Annotated[Path, typer.Argument(metavar="SECOND", help="Another candidate's, on the same items.")],
    out: Annotated[Path | None, typer.Option(help="A file for the table: .md, .tex or .csv.")] = None,
    draws: Draws = 1000,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Compare two candidates item by item, with Holm's correction over suites and figures."""
    from chiasm import api

    if out is not None:
        require_writable(out)
    found = api.bench_compare(first, second, out=out, draws=draws, seed=seed)
    if json:
        screen.show_json(found.as_json())
        return
    screen.show(f"First: {found.first}\nSecond: {found.second}\n")
    screen.show_table(*found.cells())
    for note in found.notes:
        screen.hint(f"note: {note}")
    show_written(out)


for _report in (skills, forgetting, table, claims, pairs):
    app.command(_report.__name__, cls=PlainCommand)(_report)


@app.command("list", cls=PlainCommand)
def listed(json: Json = False) -> None:
    """List the suites, with the files that each needs."""
    from chiasm import api

    rows = api.list_suites().to_dict("records")
    if json:
        screen.show_json([{str(key): value for key, value in row.items()} for row in rows])
        return
    screen.show_table(["suite", "what", "files"], [[row["name"], row["title"], row["files"]] for row in rows])
    screen.hint("nothing is downloaded: the files come from the sources that --json names")


def show(found: Any, out: Path, json: bool) -> None:
    """The scores beside their controls, the sentence, what was read, and where the page lies."""
    document = found.document
    if json:
        screen.show_json(document)
        return
    items = document["items"]
    limited = f", drawn in whole groups from {items['read']:,}" if items["asked"] < items["read"] else ""
    screen.show(f"{document['title']}: {items['asked']:,} items{limited}; {document['candidate']['name']}\n")
    labels = {name: own["label"] for name, own in document["figures"].items()}
    rows: dict[str, list[str]] = {}
    for row in document["scores"]:
        rows.setdefault(row["asking"], []).append(cell(row))
    screen.show_table(
        ["asked", *[f"{label} (95 %)" for label in labels.values()]], [[n, *own] for n, own in rows.items()]
    )
    screen.show("")
    for name, told in document["askings"].items():
        screen.show(f"  {name}: {told}")
    screen.show(f"\n{found.verdict.sentence}")
    for problem in document["problems"]:
        screen.hint(f"note: {problem}")
    screen.show(f"\nReport: {out / 'report.html'}")


def cell(row: dict[str, Any]) -> str:
    """A score with its interval; a dash where the figure is none of this way of asking."""
    return "-" if row["value"] is None else screen.interval(row["value"], row["low"], row["high"])
