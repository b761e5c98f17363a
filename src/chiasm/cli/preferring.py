"""`prefer`: a fitted model that writes texts learns what a scorer prefers."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from chiasm import screen
from chiasm.cli.models import require_place
from chiasm.cli.options import CohortPath, Force, Json, ModelPath, Seed, Trust
from chiasm.cli.upkeep import require_apart, tell_unsigned


def prefer(
    model: ModelPath,
    cohort: CohortPath,
    out: Annotated[Path, typer.Option(help="The folder of the newer model.")],
    scorer: Annotated[
        str, typer.Option(help="Of texts: token_f1, exact_match, rouge_l, bleu, entity_f1. Default: the target's.")
    ] = "",
    entity: Annotated[list[str] | None, typer.Option(help="A name that entity_f1 looks for; again for each.")] = None,
    loss: Annotated[str, typer.Option(help="r-dpo, dpo, ipo or orpo.")] = "r-dpo",
    beta: Annotated[float, typer.Option(help="How dear it is to leave the model of before.")] = 0.1,
    alpha: Annotated[float | None, typer.Option(help="What a token costs; for r-dpo .05 unless given.")] = None,
    candidates: Annotated[int, typer.Option(min=2, help="Texts that are drawn of each patient.")] = 4,
    tokens: Annotated[int | None, typer.Option(min=1, help="The most tokens of one; default: the model's.")] = None,
    temperature: Annotated[float, typer.Option(help="At which they are drawn.")] = 1.0,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the pairs.")] = 1,
    learning_rate: Annotated[float, typer.Option(help="Of the training.")] = 1e-4,
    held_out: Annotated[float, typer.Option(help="Share of patients who say before and after what it did.")] = 0.2,
    seed: Seed = 0,
    trust: Trust = None,
    force: Force = False,
    json: Json = False,
) -> None:
    """Teach a model that writes texts what a scorer prefers.

    Texts are drawn of each patient, the best and the worst are a pair, and connectors and adapters learn from the
    pairs. What it did to score and length is told of patients who were held out. The model of before stays where it is.
    """
    from chiasm import api

    require_place(out, force)
    require_apart(model, out)
    api.hush_findings()
    start = time.monotonic()
    with screen.Progressing("sources") as progress:
        found = api.prefer_answers(
            model, api.open_cohort(cohort), scorer=scorer or None, entities=entity or (), loss=loss, beta=beta,
            alpha=alpha, candidates=candidates, tokens=tokens, temperature=temperature, epochs=epochs,
            learning_rate=learning_rate, held_out=held_out, seed=seed, progress=progress.named, trusted=trust,
        )  # fmt: skip
    found.model.save(out)
    tell_unsigned(model, out)
    if json:
        screen.show_json({"model": str(out), "parent": str(model), **found.as_json()})
        return
    screen.show(f"{found.told}\n\nIn {screen.duration(time.monotonic() - start)}. Model: {out}")
