"""The command line: parses, calls the public API, prints. The API is imported by the command that needs it."""

from __future__ import annotations

import copy
import sys
from collections.abc import Sequence
from functools import cache
from typing import Annotated

import click
import typer
from typer.main import get_command, get_command_name

from chiasm import screen
from chiasm.cli import (
    about,
    articles,
    asking,
    bench,
    collecting,
    controlling,
    cropping,
    editing,
    embedding,
    enhancing,
    explaining,
    exporting,
    federate,
    generating,
    hidden_states,
    hub,
    inspecting,
    interacting,
    labelling,
    models,
    planning,
    predicting,
    preferring,
    pretraining,
    questions,
    seals,
    segmenting,
    sensitivity,
    serving,
    signing,
    splitting,
    store,
    stressing,
    tokens,
    tracking,
    trials,
    tuning,
    upkeep,
    validation,
)
from chiasm.cli.help import PlainCommand, PlainGroup

app = typer.Typer(
    name="chiasm",
    cls=PlainGroup,
    help="From a cohort with missing modalities to one model, and whether combining them was worth it.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

for command in (
    *(trials.demo, trials.check, splitting.split, seals.seal, trials.evaluate, seals.open_seal, trials.report),
    *(tuning.tune, models.fit, predicting.predict, validation.validate, models.merge, models.similar),
    exporting.export,
    *(inspecting.inspect, signing.keys, signing.sign),
    *(upkeep.monitor, upkeep.update, upkeep.extend, preferring.prefer),
    interacting.interaction,
    controlling.control,
    *(embedding.embed, hidden_states.states, labelling.label, cropping.crops),
    *(segmenting.regrid, planning.plan, segmenting.segment),
    *(generating.generate, enhancing.enhance, editing.edit),
    *(explaining.explain, collecting.collect, stressing.stress, sensitivity.not_at_random),
    asking.ask,
    *(serving.serve, serving.audit),
    *(pretraining.pretrain, articles.articles, questions.questions),
    *(tracking.track, hub.push, hub.pull),
    *(tokens.encode, tokens.encoders, about.recipes, about.doctor),
):
    app.command(cls=PlainCommand)(command)
app.add_typer(store.app, name="store")
app.add_typer(federate.app, name="federate")
app.add_typer(bench.app, name="bench")


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point `chiasm`: one sentence for each problem on standard error, and exit 2."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        command_of(words[0] if words else "")(words, prog_name="chiasm")
    except Exception as error:
        screen.fail(error, words)
        sys.exit(2)


@cache
def command_of(word: str) -> click.Command:
    """The command line as click reads it: with the command of this name alone, or whole where no command has it.

    What typer makes of the options of all commands takes as long as a quick command itself.
    """
    part = copy.copy(app)
    part.registered_commands = [
        own
        for own in app.registered_commands
        if (own.name or get_command_name(own.callback.__name__)) == word  # type: ignore[union-attr]
    ]
    part.registered_groups = [own for own in app.registered_groups if own.name == word]
    return get_command(part if part.registered_commands or part.registered_groups else app)


@app.callback(invoke_without_command=True)
def version(show: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if show:
        from chiasm import __version__

        screen.show(f"chiasm {__version__}")
        raise typer.Exit
