"""`embed`: what embeddings of any encoder are worth, on the folds of a cohort and on few patients."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from chiasm import screen
from chiasm.cli.options import (
    CohortPath,
    Engine,
    Folds,
    Force,
    Jobs,
    Json,
    Repeats,
    Seed,
    checked,
    for_json,
    require_page,
    require_picture,
    require_table,
    show_written,
    told_how_to_go_on,
)


def embed(
    cohort: CohortPath,
    modality: Annotated[str | None, typer.Option(help="Whose encoder is asked, and which is the raw input.")] = None,
    encoder: Annotated[
        list[str] | None,
        typer.Option(help="A frozen encoder, as patches:size=28; again for each. Default: the manifest's."),
    ] = None,
    file: Annotated[
        list[str] | None,
        typer.Option(help="Embeddings by patient, .npy, .npz, .parquet or .csv, or name=file; again for each."),
    ] = None,
    model: Annotated[
        list[Path] | None, typer.Option(help="A model folder whose embedding is compared; again for each.")
    ] = None,
    pool: Annotated[str, typer.Option(help="How tokens or slices are pooled: mean, max, attention, flat.")] = "mean",
    methods: Annotated[str, typer.Option(help="knn, probe, by commas.")] = "knn,probe",
    shares: Annotated[str, typer.Option(help="Percentages of the training patients.")] = "1,5,10,100",
    draws: Annotated[int, typer.Option(min=1, help="How often each part is drawn.")] = 5,
    baselines: Annotated[bool, typer.Option(help="Compare with the raw input and random features of it.")] = True,
    layers: Annotated[bool, typer.Option("--layers", help="Also probe the network after each of its blocks.")] = False,
    adapt: Annotated[
        str, typer.Option(help="Recipes that adapt the encoder's network on the same parts, as lora: slow.")
    ] = "",
    contrast: Annotated[
        list[str] | None, typer.Option(metavar="A:B", help="Two embeddings to compare; again for each.")
    ] = None,
    margin: Annotated[float, typer.Option(min=0.0, help="Smallest gain worth having.")] = 0.01,
    folds: Folds = 5,
    repeats: Repeats = None,
    ignore_folds: Annotated[bool, typer.Option("--ignore-folds", help="Draw folds even if some are given.")] = False,
    out: Annotated[Path | None, typer.Option(help="figures.csv or figures.parquet: every figure.")] = None,
    plot: Annotated[Path | None, typer.Option(help="curves.png, .svg or .pdf: the curves of learning.")] = None,
    page: Annotated[Path | None, typer.Option(help="embed.html: curves, figures and the vectors, as one file.")] = None,
    seed: Seed = 0,
    jobs: Jobs = None,
    engine: Engine = "local",
    force: Force = False,
    json: Json = False,
) -> None:
    """What embeddings of any encoder are worth on this cohort, and on few of its patients.

    Nearest neighbours and linear probes on nested parts of each training set, beside the raw input and random features,
    with intervals.
    """
    from chiasm import api

    if out is not None:
        require_table(out, "figures", force)
    if plot is not None:
        require_picture(plot, force)
    if page is not None:
        require_page(page, force)
    parts, pairs = _shares(shares), [_pair(own) for own in contrast or ()]
    api.hush_findings()
    protocol = api.Protocol(folds=folds, repeats=repeats, ignore_folds=ignore_folds, margin=margin)
    opened, problems = checked(cohort)
    with screen.Progressing("training sets") as progress, told_how_to_go_on(None):
        found = api.embed(
            opened, modality=modality, encoders=encoder or (), files=file or (), models=model or (), pool=pool,
            methods=methods, shares=parts, draws=draws, baselines=baselines, layers=layers, adapt=adapt,
            contrasts=pairs, protocol=protocol, checked=problems, seed=seed, jobs=jobs, engine=engine,
            progress=progress,
        )  # fmt: skip
    if out is not None:
        api.write_predictions(found.table.set_index("embedding"), out)
    drawn = found.table["metric"].notna().any()
    if plot is not None and drawn:
        found.plot(plot)
    if page is not None:
        found.report(page)
    rows = found.table.to_dict("records")
    if json:
        told = {"cohort": found.cohort, "patients": found.patients, "folds": found.folds, "draws": found.draws}
        tables = {name: for_json(getattr(found, name).to_dict("records")) for name in ("spread", "likeness", "layers")}
        words = {name: list(getattr(found, name)) for name in ("sentences", "notes", "leaks")}
        screen.show_json({**told, "metric": found.metric, "rows": for_json(rows), **tables, **words})
        return
    for leak in found.leaks:
        screen.hint(f"a leak was found: {leak}")
    for note in found.notes:
        screen.hint(f"note: {note}")
    headings = ["embedding", "by", "share", "patients", f"{found.metric} (95 %)", "less raw (95 %)"]
    less = {row["against"] for row in rows if row["against"]}
    headings[-1] = f"less {less.pop()} (95 %)" if len(less) == 1 else "difference (95 %)"
    told_rows = [_row(row) for row in rows if not row["why"]]
    if told_rows:
        screen.show_table(headings, told_rows, right=["share", "patients"])
        screen.show("")
    _show_vectors(found)
    for sentence in found.sentences:
        screen.show(sentence)
    show_written(out, plot if drawn else None, page)


def _shares(text: str) -> list[float]:
    try:
        return [float(own) for own in text.split(",")]
    except ValueError:
        raise ValueError(f"--shares {text} are no percentages: write them as 1,5,10,100") from None


def _pair(text: str) -> tuple[str, str]:
    one, sign, other = text.partition(":")
    if not sign or not one or not other:
        raise ValueError(f"--contrast {text} names no two embeddings: write it as one:other")
    return one, other


def _row(row: Mapping[Any, Any]) -> list[str]:
    """A line of the table."""
    shown = [row["embedding"], row["method"], f"{row['share']:g} %", f"{row['patients']:,.0f}"]
    apart = screen.interval(*(row[f"difference{end}"] for end in ("", "_low", "_high"))) if row["against"] else ""
    return [*shown, screen.interval(row["metric"], row["low"], row["high"]), apart]


def _show_vectors(found: Any) -> None:
    """Print what the vectors look like, and how alike the embeddings are."""
    if len(found.spread):
        headings = ["embedding", "width", "constant", "zeros", "directions used", "far outside", "by chance"]
        rows = [
            [
                row["embedding"], f"{row['width']:,}", f"{row['constant']:,}", f"{100 * row['zeros']:.0f} %",
                _directions(row["participation"]), *(_counted(row[own]) for own in ("outliers", "outliers_expected")),
            ]
            for row in found.spread.to_dict("records")
        ]  # fmt: skip
        screen.show_table(headings, rows, right=headings[1:])
        screen.show("")
    for row in found.likeness.to_dict("records"):
        if row["rsa"] != row["rsa"]:
            screen.show(f"'{row['first']}' and '{row['second']}': one does not vary, so that nothing is alike in them.")
            continue
        screen.show(
            f"'{row['first']}' and '{row['second']}': RSA {row['rsa']:.3f}, CKA {row['cka']:.3f} "
            f"({row['cka_debiased']:.3f} without bias), {row['patients']:,} patients."
        )


def _counted(number: float) -> str:
    return "too few" if number != number else f"{number:,.1f}".removesuffix(".0")


def _directions(number: float) -> str:
    return "none" if number != number else f"{number:.1f}"
