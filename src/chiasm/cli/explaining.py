"""`explain`: what modalities, and the columns and tokens within them, bring to a model's predictions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chiasm import screen
from chiasm.cli.options import (
    CohortPath,
    Force,
    Json,
    ModelPath,
    Seed,
    Trust,
    require_table,
    show_notes,
)

if TYPE_CHECKING:
    from chiasm.api import Cohort, ColumnExplanation, Model

CHECKED = {
    "halves": "two halves of the patients, which should agree",
    "fits": "models of two halves of the patients, which should agree",
    "nothing": "a model that has learned nothing, which should not",
}
SHOWN, FEW_SHOWN = 10, 5  # columns, or sets, of a modality and way


def explain(
    model: ModelPath,
    cohort: CohortPath,
    out: Annotated[
        Path | None, typer.Option(help="shares.parquet or shares.csv: what each modality brings to each patient.")
    ] = None,
    columns: Annotated[
        Path | None, typer.Option(help="columns.parquet or columns.csv: what each column and set of columns is worth.")
    ] = None,
    sets: Annotated[
        Path | None, typer.Option(help="A GMT file of sets of columns; default: the groups of the manifest.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN", help="Only this column, TP53 or rna:TP53; again for each.")
    ] = None,
    most: Annotated[
        int | None, typer.Option(min=1, help="Columns up to which all are shuffled; 64 without it.")
    ] = None,
    permutations: Annotated[int | None, typer.Option(min=2, help="Shuffles of each; 5 without it.")] = None,
    tokens: Annotated[
        Path | None, typer.Option(help="tokens.parquet or tokens.csv: what each token brings to a network's link.")
    ] = None,
    draw: Annotated[Path | None, typer.Option(help="A folder for pictures of tokens, patches and tiles.")] = None,
    steps: Annotated[int | None, typer.Option(min=2, help="Points of an integrated gradient; 32 without it.")] = None,
    checks: Annotated[
        bool,
        typer.Option(
            help="Also explain a model of nothing, to compare: random weights, or else the recipe fitted again."
        ),
    ] = True,
    trust: Trust = None,
    seed: Seed = 0,
    force: Force = False,
    json: Json = False,
) -> None:
    """What modalities, and the columns and tokens within them, bring to the predictions.

    Of modalities exact Shapley values: one is taken away as if the patient never had it. Of columns what changes where
    they are shuffled among patients of the same modalities, and the coefficients of a linear model. Of the tokens of a
    network, patches and tiles among them, integrated gradients.
    """
    from chiasm import api

    if columns is None and (sets is not None or only):
        raise ValueError("--sets and --only belong to --columns, the table of what columns are worth: name it too")
    if out is None and columns is None and tokens is None:
        raise ValueError("nothing is asked for: name --out for modalities, --columns or --tokens for what is in them")
    if draw is not None and tokens is None:
        raise ValueError("--draw belongs to --tokens, the table of what is drawn: name it too")
    if draw is not None and draw.is_dir() and any(draw.iterdir()) and not force:
        raise FileExistsError(17, "holds files already: choose another --draw, or add --force", str(draw))
    if columns is None and (most is not None or permutations is not None):
        raise ValueError("--most and --permutations belong to --columns: name it too")
    if tokens is None and steps is not None:
        raise ValueError("--steps belongs to --tokens: name it too")
    if columns is None and tokens is None and not checks:
        raise ValueError("--no-checks belongs to --columns and --tokens: name one of them too")
    named = [path.resolve() for path in (out, columns, tokens) if path is not None]
    if len(set(named)) < len(named):
        raise ValueError("two of --out, --columns and --tokens are one file, and one would overwrite the other")
    for path, what in ((out, "shares"), (columns, "columns"), (tokens, "tokens")):
        if path is not None:
            require_table(path, what, force)
    loaded, opened = api.load_model(model, trust), api.open_cohort(cohort)
    if opened.sealed is not None:
        screen.hint(f"{opened.sealed}: they are not explained before the seal is opened")
    told: dict[str, Any] = {}
    if out is not None:
        told["modalities"] = _modalities(loaded, opened, out, seed, quiet=json)
    if columns is not None:
        with screen.Progressing("steps") as progress:
            found = api.explain_columns(
                loaded, opened, sets=sets, only=only or (), most=most or 64, permutations=permutations or 5,
                checks=checks, progress=progress.named, seed=seed,
            )  # fmt: skip
        if out is None:
            _hints(found)
        api.write_predictions(found.table.set_index("modality"), columns)
        told |= {"columns": _records(found.table), "checks": _records(found.checks), "said": list(found.said)}
        if not json:
            _show_columns(found, columns, after=out is not None)
    if tokens is not None:
        told |= _tokens(
            loaded, opened, tokens, draw, steps or 32, checks, seed, quiet=json, first=out is None and columns is None
        )
    if json:
        screen.show_json(told)


def _modalities(model: Model, cohort: Cohort, out: Path, seed: int, *, quiet: bool) -> list[dict[str, Any]]:
    from chiasm import api

    with screen.Progressing("steps") as progress:
        found = api.explain(model, cohort, progress=progress.named, seed=seed)
    _hints(found)
    api.write_predictions(found.shares.set_index("patient"), out)
    if not quiet:
        screen.show_table(
            ["output", "modality", "patients", "moves it by (95 %)"],
            [
                [row["output"], row["modality"], f"{row['patients']:,}", _interval(row, "size", "low", "high")]
                for row in found.summary.to_dict("records")
            ],
            right=["patients"],
        )
        screen.show(
            f"\nIn the mean of those who have it, up or down from the mean prediction. Each patient's shares: {out}"
        )
    return _records(found.summary)


def _show_columns(found: ColumnExplanation, path: Path, *, after: bool) -> None:
    if after:
        screen.show("")
    families = len(found.table[["modality", "what", "way"]].drop_duplicates())
    shown = SHOWN if families <= 2 else FEW_SHOWN
    screen.show_table(
        [
            "modality", "column or set", "by", "output", "moves the output by (95 %)", "coefficient",
            "the metric loses (95 %)", "a model of nothing",
        ],
        [
            [
                row["modality"],
                f"{row['name']} ({row['columns']:,} columns)" if row["what"] == "set" else row["name"],
                row["way"],
                row["output"],
                "-" if row["way"] == "coefficient" else _spread(row),
                f"{row['effect']:+.2g}" if row["way"] == "coefficient" else "-",
                "-" if row["loss"] != row["loss"] else _interval(row, "loss", "loss_low", "loss_high", 4),
                "-" if row["nothing"] != row["nothing"] else f"{row['nothing']:.2g}",
            ]
            for row in found.top(shown).to_dict("records")
        ],
    )  # fmt: skip
    told = found.table.drop_duplicates(["modality", "what", "name", "way"])
    screen.show(f"\nThe first {shown} of each modality and way that move anything; all {len(told):,}: {path}")
    checked = [
        [
            CHECKED[row["check"]],
            f"{row['things']:,} {row['what']}s of '{row['modality']}' by {row['way']}",
            row["note"] or _interval(row, "correlation", "low", "high", 2),
        ]
        for row in found.checks.to_dict("records")
    ]
    if checked:
        screen.show("")
        screen.show_table(["the order is compared with that of", "of", "rank correlation (95 %)"], checked)
    for sentence in found.said:
        screen.show(sentence)


def _tokens(
    model: Model,
    cohort: Cohort,
    path: Path,
    draw: Path | None,
    steps: int,
    checks: bool,
    seed: int,
    *,
    quiet: bool,
    first: bool,
) -> dict[str, Any]:
    from chiasm import api

    with screen.Progressing("steps") as progress:
        found = api.explain_tokens(
            model, cohort, steps=steps, checks=checks, draw=draw, progress=progress.named, seed=seed
        )
    if first:
        _hints(found)
    api.write_predictions(found.table.set_index("patient"), path)
    if not quiet:
        top = (
            found.summary.sort_values("size", ascending=False, kind="stable")
            .groupby(["output", "modality"])
            .head(SHOWN)
        )
        screen.show_table(
            ["output", "modality", "token", "patients", "moves the link by (95 %)", "its mean"],
            [
                [
                    row["output"], row["modality"], row["name"], f"{row['patients']:,}", _spread(row),
                    f"{row['mean']:+.2g}",
                ]
                for row in top.sort_values(["output", "modality"], kind="stable").to_dict("records")
            ],
            right=["patients"],
        )  # fmt: skip
        screen.show(
            f"\nThe first {SHOWN} of each modality, in the mean of those who have it. Each patient's tokens: {path}"
        )
        if len(found.checks):
            checked = [
                (
                    CHECKED[row["check"]],
                    f"{row['things']:,} tokens of '{row['modality']}'",
                    _interval(row, "correlation", "low", "high", 2),
                )
                for row in found.checks.to_dict("records")
            ]
            screen.show("")
            screen.show_table(["the order beside that of", "of", "rank correlation (95 %)"], checked)
        for sentence in found.said:
            screen.show(sentence)
        if found.drawn:
            screen.show(f"{len(found.drawn):,} pictures, named by the patient's row: {draw}")
    return {
        "tokens": _records(found.summary),
        "token_checks": _records(found.checks),
        "tokens_said": list(found.said),
        "drawn": [own.name for own in found.drawn],
    }


def _spread(row: Mapping[Any, Any]) -> str:
    """Format a size with two digits that count, however small it is."""
    size = row["size"]
    digits = 3 if not size > 0 else max(3, 1 - math.floor(math.log10(size)))
    return _interval(row, "size", "low", "high", digits)


def _interval(row: Mapping[Any, Any], mean: str, low: str, high: str, digits: int = 3) -> str:
    return screen.interval(row[mean], row[low], row[high], digits)


def _records(table: Any) -> list[dict[str, Any]]:
    rows: Sequence[dict[str, Any]] = table.to_dict("records")
    return [{key: None if value != value else value for key, value in row.items()} for row in rows]


def _hints(found: Any) -> None:
    for problem in found.problems:
        screen.hint(f"{problem.severity}: {problem}")
    show_notes(found.notes)
    if found.left_out:
        screen.hint(f"note: {found.left_out:,} patients have no modality that the model reads, and are left out")
