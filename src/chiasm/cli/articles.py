"""`articles`: pairs of picture and caption from articles in JATS, as shards or as a cohort."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from chiasm import screen
from chiasm.cli.options import Force, Json, for_json, require_new, require_table, show_written, told_how_to_go_on

SHOWN = 10  # reasons and concepts on the screen; --json has all


def articles(
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH...", help="XML files, archives of an article, or folders of both.")
    ],
    out: Annotated[Path | None, typer.Option(help="The folder of the shards.")] = None,
    table: Annotated[Path | None, typer.Option(help="rows.csv or rows.parquet: every picture, kept or not.")] = None,
    cohort: Annotated[Path | None, typer.Option(help="A folder for the pairs of --out as a cohort, too.")] = None,
    licence: Annotated[
        list[str] | None,
        typer.Option(
            help="A licence or family that is kept, or any; again for each. "
            "Default: CC0, CC-BY, CC-BY-SA, public-domain."
        ),
    ] = None,
    concepts: Annotated[
        Path | None, typer.Option(help="A concept a line, other names of it after tabs: captions have to name one.")
    ] = None,
    most: Annotated[int | None, typer.Option(min=1, help="Pairs at most under each concept.")] = None,
    words: Annotated[int, typer.Option(min=0, help="The fewest of a caption.")] = 1,
    per_shard: Annotated[int, typer.Option(min=1, help="Samples a shard at most.")] = 1000,
    force: Force = False,
    json: Json = False,
) -> None:
    """Pairs of picture and caption from articles in JATS, as PubMed Central has them.

    Nothing is fetched. Without --out and --table what would be kept is counted.
    """
    from chiasm.api.article_pairs import articles as pairs_of

    for place, option in ((out, "--out"), (cohort, "--cohort")):
        if place is not None:
            require_new(place, force, option)
    if table is not None:
        require_table(table, "rows", force)
    chosen = {"licences": tuple(licence)} if licence else {}
    with screen.Progressing("files") as progress, told_how_to_go_on(None):
        found = pairs_of(
            paths, out, concepts=concepts, most=most, words=words, per_shard=per_shard, cohort=cohort, force=force,
            progress=progress, **chosen,
        )  # fmt: skip
    if table is not None:
        found.save(table)
    named = [] if found.concepts is None else for_json(found.concepts.to_dict("records"))
    if json:
        screen.show_json({
            "articles": found.articles, "without_figures": found.without_figures, "repeated": found.repeated,
            "pictures": len(found.table), "kept": int(found.table["kept"].sum()), "left_out": found.left_out,
            "concepts": named, "unread": [str(problem) for problem in found.problems],
            "out": None if out is None else str(out), "cohort": None if cohort is None else str(cohort),
        })  # fmt: skip
        return
    for problem in found.problems[:SHOWN]:
        screen.hint(f"{problem.severity}: {problem}")
    if len(found.problems) > SHOWN:
        screen.hint(f"warning: and {len(found.problems) - SHOWN:,} more files that could not be read")
    screen.show(found.sentence)
    for said in found.notes:
        screen.show(said)
    if found.left_out:
        rows = list(found.left_out.items())
        screen.show_table(
            ["left out because", "pictures"], [[why, f"{many:,}"] for why, many in rows[:SHOWN]], right=["pictures"]
        )
    if named:
        shown = [[own["concept"], f"{own['named']:,}", f"{own['kept']:,}"] for own in named[:SHOWN]]
        screen.show_table(["concept", "named by", "kept under it"], shown, right=["named by", "kept under it"])
        if len(named) > SHOWN:
            screen.hint(f"and {len(named) - SHOWN:,} more concepts: --json has all")
    show_written(out, table, cohort)
