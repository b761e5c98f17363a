"""`not-at-random`: whether a verdict holds if outcomes that were not seen differ from those that were."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from chiasm import screen
from chiasm.cli.options import Force, Json, Seed, for_json, kept_on_page, require_table, show_written


def not_at_random(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder that chiasm evaluate wrote.")],
    deltas: Annotated[
        str | None,
        typer.Option(metavar="-1,0.5,1", help="Standard deviations, by commas. Default: -2,-1,-0.5,0,0.5,1,2."),
    ] = None,
    imputations: Annotated[int, typer.Option(min=2, help="How often each outcome is drawn.")] = 10,
    out: Annotated[Path | None, typer.Option(help="sensitivity.csv or .parquet: every delta.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep it in the run folder, as a section of its page.")] = False,
    seed: Seed = 0,
    force: Force = False,
    json: Json = False,
) -> None:
    """Does the verdict hold if outcomes that were not seen are not missing at random?

    Of times, what became of the censored; of several labels, what the empty cells hold. Delta is how far they lie from
    what the others say, and the tipping point the nearest one at which the verdict is another.
    """
    from chiasm import api

    if out is not None:
        require_table(out, "deltas", force)
    asked = api.DELTAS if deltas is None else tuple(_number(text) for text in deltas.split(","))
    with screen.Progressing("verdicts") as progress:
        found = api.not_at_random(run, deltas=asked, imputations=imputations, seed=seed, progress=progress)
    if out is not None:
        api.write_predictions(found.table.set_index("delta"), out)
    kept = kept_on_page(run, found.keep) if keep else ()
    rows = found.table.to_dict("records")
    if json:
        beside = {"number": found.number, "of": found.of, "reported": found.reported, "tipping": list(found.tipping)}
        screen.show_json({**beside, "sentence": found.sentence, "rows": for_json(rows)})
        return
    headings = ["delta", "times", "events", "combined", "single", "total (95 %)", "combining (95 %)", "verdict"]
    screen.show_table(headings, [_row(row) for row in rows], right=headings[:5])
    screen.show(f"\n{found.sentence}")
    screen.show(
        "Times: what delta multiplies the hazard of the censored, or the odds of an empty cell, by. Intervals hold the "
        f"draws' spread too ({found.imputations} draws, Rubin's rules)."
    )
    show_written(out, *kept)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"--deltas are numbers by commas, as in -1,0.5,1, and '{text.strip()}' is none") from None


def _row(row: Mapping[Any, Any]) -> list[str]:
    contrasts = [
        screen.interval(row[name], row[f"{name}_low"], row[f"{name}_high"]) for name in ("difference", "combining")
    ]
    shown = [f"{row['delta']:+g}" if row["delta"] else "0", f"{row['ratio']:.2g}", f"{row['events']:.0f}"]
    return [*shown, f"{row['combined']:.3f}", f"{row['single']:.3f}", *contrasts, row["outcome"]]
