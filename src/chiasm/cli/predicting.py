"""`predict`: what a model says of patients, and how sure that is."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chiasm import screen
from chiasm.cli.options import (
    CohortPath,
    Force,
    Json,
    ModelPath,
    Strict,
    Trust,
    require_table,
)

if TYPE_CHECKING:
    from chiasm.api import Conformal

KEEP, REFUSE = "keep", "refuse"


def predict(
    model: ModelPath,
    cohort: CohortPath,
    out: Annotated[Path, typer.Option(help="predictions.parquet or predictions.csv.")],
    calibrate: Annotated[
        Path | None, typer.Option(help="Held-out patients with outcomes: adds sets that cover a stated share.")
    ] = None,
    coverage: Annotated[
        float | None, typer.Option(metavar="SHARE", help="With --calibrate: the share to cover; default: .95.")
    ] = None,
    within: Annotated[
        str | None,
        typer.Option(help="With --calibrate: groups, as in pattern,sex; default: all; everyone for none."),
    ] = None,
    prevalence: Annotated[
        list[str] | None, typer.Option(metavar="CLASS=SHARE", help="Among the new patients; again for each class.")
    ] = None,
    unseen: Annotated[
        str, typer.Option(metavar="keep|refuse", help="Predict patterns of modalities never seen in training, or not.")
    ] = KEEP,
    strict: Strict = True,
    trust: Trust = None,
    force: Force = False,
    json: Json = False,
) -> None:
    """Predict for every patient of a cohort.

    Each needs one or more of the model's modalities; the manifest needs no target.
    """
    from chiasm import api

    require_table(out, "predictions", force)
    if unseen not in (KEEP, REFUSE):
        raise ValueError(f"--unseen is '{unseen}', and is one of {KEEP}, {REFUSE}")
    if calibrate is None and (coverage is not None or within is not None):
        raise ValueError("--coverage and --within belong to --calibrate: name a cohort of held-out patients with it")
    if calibrate is not None and prevalence:
        raise ValueError(
            "--prevalence changes the probabilities that --calibrate takes its sets from: leave one of them out"
        )
    stated = shares(prevalence or [])
    loaded, opened = api.load_model(model, trust), api.open_cohort(cohort)
    if opened.sealed is not None:
        screen.hint(f"{opened.sealed}: they are not predicted before the seal is opened")
    sure = None
    if calibrate is not None:
        asked = None if within is None else [name.strip() for name in within.split(",") if name.strip()]
        api.hush_findings()
        share: dict[str, float] = {} if coverage is None else {"coverage": coverage}
        with screen.Progressing("sources") as progress:
            sure = api.conformal(loaded, calibrate, **share, within=asked, strict=strict, progress=progress.named)
        sure.require_others(opened)
    with screen.Progressing("sources") as progress:
        found = api.encode_for(loaded, opened, progress=progress.named)
    for problem in found.problems:
        screen.hint(f"{problem.severity}: {problem}")
    options: dict[str, Any] = {} if strict else {"strict": False}
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            predictions = loaded.predict(found.cohort, **options)
        finally:  # what is unfamiliar may be why nothing is predicted
            for warning in said:
                if issubclass(warning.category, api.FindingWarning):
                    screen.hint(f"warning: {warning.message}")
    notes = api.unseen_told(loaded, predictions)
    if stated:
        predictions = api.at_prevalence(loaded, predictions, stated)
    if sure is not None:
        predictions = sure.added_to(predictions, opened)
        notes += [f"calibration: {note}" for note in sure.told]
        notes += api.few_told(sure)
    left = 0
    if unseen == REFUSE:
        predictions, left = api.without_unseen(loaded, predictions)
    else:
        predictions = api.unseen_noted(loaded, predictions)
    for note in notes:
        screen.hint(f"note: {note}")
    api.write_predictions(predictions, out, loaded)
    patterns = {str(name): int(number) for name, number in predictions["pattern"].value_counts().items()}
    if json:
        document: dict[str, Any] = {"predictions": str(out), "patients": len(predictions), "patterns": patterns}
        if unseen == REFUSE:
            document["refused"] = left
        if notes:
            document["notes"] = notes
        if stated:
            document["prevalence"] = stated
        screen.show_json(document | ({} if sure is None else told_of(sure)))
        return
    screen.show(f"Predicted {len(predictions) - left:,} patients: {out}")
    if left:
        screen.show(f"Refused {left:,}, whose pattern of modalities no training patient had: their rows are empty")
    screen.show_table(["modalities", "patients"], [[n, f"{k:,}"] for n, k in patterns.items()], right=["patients"])
    if sure is not None:
        show_groups(sure)


def shares(given: list[str]) -> dict[str, float]:
    """`yes=.12` as a class and its share."""
    found: dict[str, float] = {}
    for text in given:
        name, _, number = text.rpartition("=")
        try:
            share = float(number)
        except ValueError:
            share = float("nan")
        if not name or share != share:
            raise ValueError(f"--prevalence is '{text}', and is a class and its share, as in yes=.12")
        if name in found:
            raise ValueError(f"--prevalence states '{name}' twice: state it once")
        found[name] = share
    return found


def told_of(sure: Conformal) -> dict[str, Any]:
    """The coverage and the groups that were calibrated; null where too few patients are known."""
    import pandas as pd

    rows = sure.table().astype(object).to_dict("records")
    groups = [{str(key): None if pd.isna(own) else own for key, own in row.items()} for row in rows]
    told = sure.thresholds
    return {
        "coverage": told.coverage,
        "within": list(told.within),
        "groups": groups,
        "calibration": {"notes": list(sure.notes), "left_out": dict(sure.left_out)},
    }


def show_groups(sure: Conformal) -> None:
    """How many patients each group was calibrated on, and what 95 of 100 calibrations of this size cover or exceed."""
    import pandas as pd

    told = sure.thresholds
    together = " Classes are covered together: a rare one may hardly be." if told.target.has_classes else ""
    screen.show(
        f"\nSets made to cover {told.coverage:.4g} of the outcomes of patients like those of the calibration, on "
        f"average over calibrations.{together}"
    )
    rows = []
    for row in sure.table().astype(object).to_dict("records"):
        numbers = [own for key, own in row.items() if str(key).startswith("threshold")]
        shown = row["said"] or ", ".join("-" if own != own else f"{own:.3g}" for own in numbers)
        n = "<5" if pd.isna(row["n"]) else f"{row['n']:,}"
        low = "" if row["said"] else "not known" if pd.isna(row["low_coverage"]) else f"{row['low_coverage']:.3f}"
        rows.append([row["by"], row["level"] or "(not filled in)", n, shown, low])
    names = ["within", "group", "calibrated on", "threshold", "95 of 100 cover at least"]
    screen.show_table(names, rows, right=["calibrated on", names[-1]])
