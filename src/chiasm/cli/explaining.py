"""`explain`: what each modality brings to a model's predictions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from chiasm import screen
from chiasm.cli.options import CohortPath, Force, Json, Seed, require_table, show_notes


def explain(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model folder that chiasm fit wrote.")],
    cohort: CohortPath,
    out: Annotated[Path, typer.Option(help="shares.parquet or shares.csv: each patient's shares.")],
    seed: Seed = 0,
    force: Force = False,
    json: Json = False,
) -> None:
    """What each modality brings to the predictions.

    Exact Shapley values: a modality is taken away as if the patient never had it.
    """
    from chiasm import api

    require_table(out, "shares", force)
    loaded, opened = api.load_model(model), api.open_cohort(cohort)
    if opened.sealed is not None:
        screen.hint(f"{opened.sealed}: they are not explained before the seal is opened")
    with screen.Progressing("steps") as progress:
        found = api.explain(loaded, opened, progress=progress.named, seed=seed)
    for problem in found.problems:
        screen.hint(f"{problem.severity}: {problem}")
    show_notes(found.notes)
    if found.left_out:
        screen.hint(f"note: {found.left_out:,} patients have no modality that the model reads, and are left out")
    api.write_predictions(found.shares.set_index("patient"), out)
    rows = found.summary.to_dict("records")
    if json:
        screen.show_json([{key: None if value != value else value for key, value in row.items()} for row in rows])
        return
    screen.show_table(
        ["output", "modality", "patients", "moves it by (95 %)"],
        [
            [
                row["output"],
                row["modality"],
                f"{row['patients']:,}",
                screen.interval(row["size"], row["low"], row["high"]),
            ]
            for row in rows
        ],
        right=["patients"],
    )
    screen.show(
        f"\nIn the mean of those who have it, up or down from the mean prediction. Each patient's shares: {out}"
    )
