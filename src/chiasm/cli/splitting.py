"""`split`: folds that prove something, by identity of sequences or by combination, as a manifest takes them."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Annotated, Any

import typer

from chiasm import screen
from chiasm.cli.options import CohortPath, Force, Json, Seed, for_json, require_table, show_written, told_how_to_go_on

SHOWN = 20  # folds on the screen; the file and --json have all
IDENTITY, COMBINATION = "identity", "combination"
BY = (IDENTITY, COMBINATION)


def split(
    cohort: CohortPath,
    by: Annotated[
        str, typer.Option(help="identity: no relatives on both sides; combination: its parts, not the whole.")
    ],
    modality: Annotated[
        str | None, typer.Option(help="identity: of kind protein or dna, where there are several.")
    ] = None,
    threshold: Annotated[float | None, typer.Option(help="identity: at which two are of one family, as .9.")] = None,
    over: Annotated[str, typer.Option(help="identity: over the shorter or the longer sequence.")] = "shorter",
    both_strands: Annotated[
        bool, typer.Option("--both-strands", help="identity: DNA is compared with the other strand too.")
    ] = False,
    folds: Annotated[int | None, typer.Option(help="identity: number of folds; default: 5.")] = None,
    test: Annotated[float | None, typer.Option(help="identity: one test set of this share, in place of folds.")] = None,
    columns: Annotated[str | None, typer.Option(help="combination: columns of the patients' table, by commas.")] = None,
    hold_out: Annotated[
        str | None, typer.Option(help="combination: a value of each column, by commas; default: each has a fold.")
    ] = None,
    training: Annotated[
        str, typer.Option(help="With --hold-out: all others, or related or unrelated ones of equal number.")
    ] = "all",
    size: Annotated[
        int | None, typer.Option(min=1, help="Of related or unrelated training; default: the most.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="folds.csv or .parquet; default: folds.csv beside the manifest.")
    ] = None,
    seed: Seed = 0,
    force: Force = False,
    json: Json = False,
) -> None:
    """Folds that prove something: no relatives on both sides, or parts of a combination without the whole.

    The file is what [folds] of a manifest names, and what evaluate then goes by.
    """
    from chiasm.api import splitting

    named: dict[str, dict[str, Any]] = {
        IDENTITY: {"--modality": modality, "--threshold": threshold, "--folds": folds, "--test": test,
                   "--both-strands": both_strands or None, "--over": None if over == "shorter" else over},
        COMBINATION: {"--columns": columns, "--hold-out": hold_out, "--size": size,
                      "--training": None if training == "all" else training},
    }  # fmt: skip
    if by not in BY:
        raise ValueError(f"--by {by} is no split: write --by identity, or --by combination")
    other = next(own for own in BY if own != by)
    for option, given in named[other].items():
        if given is not None:
            raise ValueError(f"{option} is of a split by {other}, and this one is by {by}: leave it out")
    manifest = cohort / "cohort.toml" if cohort.is_dir() else cohort
    place = manifest.parent / "folds.csv" if out is None else out
    if out is None and place.exists() and not force:
        raise ValueError(f"'{place.name}' beside the manifest exists already: choose another --out, or add --force")
    require_table(place, "folds", force)
    with screen.Progressing("sequences", at_once=False) as progress, told_how_to_go_on(None):
        if by == IDENTITY:
            if threshold is None:
                raise ValueError("a split by identity needs --threshold, as .9: above it two sequences are relatives")
            if folds is not None and test is not None:
                raise ValueError("--folds test every patient and --test a share of them: give one of the two")
            found = splitting.split_by_identity(
                cohort, threshold, modality=modality, folds=5 if folds is None else folds, test=test, over=over,
                both_strands=both_strands, seed=seed, progress=progress,
            )  # fmt: skip
        else:
            if columns is None:
                raise ValueError("a split by combination needs --columns, two or more of the patients' table by commas")
            held = None if hold_out is None else _listed(hold_out)
            found = splitting.split_by_combination(
                cohort, _listed(columns), held, training=training, size=size, seed=seed
            )
    found.save(place)
    rows, left = found.table.to_dict("records"), found.untested.to_dict("records")
    if json:
        words = {"sentences": list(found.sentences), "written": str(place)}
        screen.show_json({**for_json([found.facts])[0], **words, "folds_table": for_json(rows), "untested": left})
        return
    headings = list(found.table.columns)
    screen.show_table(headings, [[_cell(row[key]) for key in headings] for row in rows[:SHOWN]], right=_numbers(rows))
    if len(rows) > SHOWN:
        screen.hint(f"and {len(rows) - SHOWN:,} more rows: --json has them")
    for row in left[:SHOWN]:
        screen.show(f"not tested: {row['combination']}, {row['rows']:,} patients: {row['why']}")
    if len(left) > SHOWN:
        screen.hint(f"and {len(left) - SHOWN:,} more that are not tested: --json has them")
    screen.show("")
    for sentence in found.sentences:
        screen.show(sentence)
    show_written(place)
    _say_how_to_use(manifest, place, found.facts["folds_of_manifest"])


def _say_how_to_use(manifest: Path, place: Path, given: str | None) -> None:
    """Say which lines of the manifest make `evaluate` go by the folds."""
    try:
        name = place.resolve().relative_to(manifest.parent.resolve()).as_posix()
    except ValueError:
        screen.hint(f"note: a manifest names files of its own folder: move it to {manifest.parent} before you name it")
        return
    if given == name:
        screen.hint(f"{manifest.name} names it already: chiasm evaluate {manifest} goes by it")
        return
    what = "Add to" if given is None else f"In place of '{given}', write into"
    screen.show(f'{what} {manifest.name}, and chiasm evaluate goes by it:\n\n[folds]\ntable = "{name}"')


def _listed(text: str) -> list[str]:
    """Words between commas; one that holds a comma stands in quotation marks."""
    return [own.strip() for own in next(csv.reader([text], skipinitialspace=True), [])]


def _numbers(rows: list[dict[Any, Any]]) -> list[str]:
    return [str(key) for key, value in (rows[0] if rows else {}).items() if not isinstance(value, str)]


def _cell(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:,}"
