"""`label`: a cohort of MEDS records, cut at the times of their labels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from chiasm import screen
from chiasm.cli.options import Force, Json, require_new, show_written


def label(
    meds: Annotated[Path, typer.Argument(metavar="MEDS", help="Folder of a MEDS dataset, with data/*.parquet in it.")],
    labels: Annotated[
        Path, typer.Argument(metavar="LABELS", help="Parquet of subject_id, prediction_time and a value, or a folder.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the cohort: cohort.toml, samples.csv, events.parquet.")],
    force: Force = False,
    json: Json = False,
) -> None:
    """A cohort of MEDS records and of labels at times of prediction, as aces-cli writes them.

    Each label is a sample, which holds what happened until its time; samples of a subject are one group.
    """
    from chiasm.api.labelling import label_records

    require_new(out / "cohort.toml", force, "--out")
    found = label_records(meds, labels, out)
    samples, subjects = len(found.samples), found.samples["subject"].nunique()
    if json:
        facts = {"samples": samples, "subjects": subjects, "events": len(found.events), "without": found.without}
        screen.show_json({**facts, "written": str(out / "cohort.toml")})
        return
    screen.show(f"{samples:,} samples of {subjects:,} subjects, {len(found.events):,} events")
    if found.without:
        screen.hint(f"of {found.without:,} samples nothing is known by then: they have no modality")
    show_written(out / "cohort.toml")
