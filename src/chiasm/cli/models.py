"""`fit`, `similar` and `merge`: a model, whom patients are like, and several models to one."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from chiasm import screen
from chiasm.cli.options import (
    Budget,
    CohortPath,
    Device,
    Engine,
    Force,
    Json,
    Seed,
    Sources,
    Trust,
    borrowing,
    checked,
    prepared,
    require_writable,
    told_spaces,
)


def fit(
    cohort: CohortPath,
    recipe: Annotated[str, typer.Option(help="A name with its options, as in lego-fuse:mode=weave.")],
    out: Annotated[Path, typer.Option(help="The model folder.")],
    source: Sources = None,
    budget: Budget = None,
    seed: Seed = 0,
    engine: Engine = "local",
    device: Device = "cpu",
    summary: Annotated[bool, typer.Option(help="Keep counts and bins, for monitor.")] = True,
    keep_similar: Annotated[
        int, typer.Option(min=0, help="Keep groups of so many training patients (20, say), for serve.")
    ] = 0,
    force: Force = False,
    json: Json = False,
) -> None:
    """Fit one recipe and keep the model.

    On every patient whose outcome is known.
    """
    from chiasm import api

    require_place(out, force)
    if keep_similar:
        api.require_group_size(keep_similar)
    (recipe,) = api.with_budget([recipe], budget)
    told_spaces([recipe])
    if engine == "local":
        api.require_device(device)  # a cluster's machines have their own
    start = time.monotonic()
    if source:  # before anything is encoded
        api.opened_sources(api.open_cohort(cohort), source)
    ready = prepared(cohort, [recipe], engine=engine)
    if source:
        ready = borrowing(ready, source, engine=engine)
    model = api.fit(ready, recipe, seed=seed, device=device, engine=engine, summary=summary, keep_similar=keep_similar)
    model.save(out)
    tuning = api.tuning_of(model)
    seconds = time.monotonic() - start
    if json:
        found = {"recipe": recipe, "model": str(out), "seconds": round(seconds, 3)}
        searched = {} if tuning is None else {"tuning": {"chosen": tuning.chosen, **tuning.as_json()}}
        screen.show_json({**found, "trained_parameters": model.trained_parameters, **searched})
        return
    if tuning is not None:
        screen.show(tuning.sentence)
    screen.show(f"Fitted {recipe} in {screen.duration(seconds)}: {model.trained_parameters:,} trained parameters.")
    screen.show(f"Model: {out}\nNext:  chiasm predict {out} new/cohort.toml --out predictions.csv")


def similar(
    by: Annotated[str, typer.Argument(metavar="BY", help="A model folder, or a modality of the cohort.")],
    cohort: CohortPath,
    patient: Annotated[list[str] | None, typer.Option(help="An identifier of the cohort; again for each.")] = None,
    trust: Trust = None,
    score: Annotated[bool, typer.Option("--score", help="How well similar patients share the target's class.")] = False,
    k: Annotated[int, typer.Option(min=1, help="How many neighbours.")] = 10,
    json: Json = False,
) -> None:
    """The patients of a cohort that are most like a patient.

    By what a model makes of all modalities, or by one modality. A model folder holds no patients, so the cohort to
    search in is yours to name.
    """
    from chiasm import api

    if bool(patient) == score:
        raise ValueError("similar takes either --patient, whose neighbours are wanted, or --score")
    opened = api.open_cohort(cohort)
    if by not in opened.modalities and not Path(by).exists():
        there = ", ".join(opened.modalities)
        raise ValueError(f"'{by}' is no model folder and no modality of the cohort: there are {there}")
    what = by if by in opened.modalities else api.load_model(by, trust)
    with screen.Progressing("sources") as progress:
        if score:
            found = api.score_similar(opened, what, progress=progress.named)
        else:
            found = api.similar(opened, patient or [], what, k=k, progress=progress.named)
    if json:
        screen.show_json(found.to_dict("records"))
        return
    if score:
        rows = [
            [name, screen.interval(mean, low, high), f"{chance:.3f}", f"{asked:,}"]
            for name, mean, low, high, chance, asked in found.itertuples(index=False)
        ]
        columns = ["metric", "value (95 % interval)", "chance", "patients"]
        screen.show_table(columns, rows, right=["chance", "patients"])
        return
    rows = [[p, str(rank), name, f"{gap:.4f}"] for p, rank, name, gap in found.itertuples(index=False)]
    screen.show_table(["patient", "rank", "neighbour", "distance"], rows, right=["rank", "distance"])


def merge(
    models: Annotated[list[Path], typer.Argument(metavar="MODEL...", help="Model folders.")],
    out: Annotated[Path, typer.Option(help="The folder of the merged model.")],
    method: Annotated[
        str | None, typer.Option(help="A name with its options, as in ties:density=0.5 or mean:head=linear.")
    ] = None,
    weights: Annotated[str | None, typer.Option(help="One number for each model, as in 1,2; default: equal.")] = None,
    base: Annotated[Path | None, typer.Option(help="The model that they were fine-tuned from.")] = None,
    trust: Trust = None,
    cohort: Annotated[Path | None, typer.Option(help="Score all on this cohort, and calibrate.")] = None,
    force: Force = False,
    json: Json = False,
) -> None:
    """Merge models without training.

    Networks of one recipe and equal encoders: linear, slerp, task-arithmetic, ties, dare, dare-ties, breadcrumbs.
    Models of different modalities: blocks of lego-merge (mean, harmonic, geometric, product), singles (mean).
    """
    from chiasm import api

    require_place(out, force)
    opened, problems = checked(cohort) if cohort is not None else (None, None)
    found = api.merge(
        models, method, weights=numbers(weights), base=base, cohort=opened, checked=problems, trusted=trust
    )
    found.model.save(out)
    if found.warning:
        screen.hint(f"warning: {found.warning}")
    shown = {name: {key: value for key, value in own.items() if value == value} for name, own in found.scores.items()}
    if json:
        document = {"model": str(out), "method": method, "metric": found.metric, "scores": shown, "best": found.best}
        screen.show_json({**document, "calibrated_on": found.calibrated_on})
        return
    if shown:
        columns = list(dict.fromkeys(key for own in shown.values() for key in own))
        rows = [[name, *(f"{own[key]:.3f}" if key in own else "-" for key in columns)] for name, own in shown.items()]
        screen.show_table(["model", *columns], rows, right=columns)
    how = f" by {method}" if method else ""
    screen.show(f"Merged {len(models)} models{how}; {found.calibration}: {out}")


def numbers(text: str | None) -> list[float] | None:
    """`1,2.5` as numbers."""
    try:
        return None if text is None else [float(part) for part in text.split(",")]
    except ValueError:
        raise ValueError("--weights are numbers with commas between, as in 1,2") from None


def require_place(out: Path, force: bool) -> None:
    """A model folder can be written at `out`."""
    from chiasm import api

    if out.exists() and (out / "model.json").is_file() and not force:
        raise api.ArtifactError(f"'{out}' holds a model already: choose another --out, or add --force to replace it")
    if out.exists() and not (out / "model.json").is_file() and (not out.is_dir() or any(out.iterdir())):
        raise api.ArtifactError(f"'{out}' exists and is not a model folder: choose another --out")
    require_writable(out)
