"""`bench pairs`: pairs of patients whom one encoder confuses and another tells apart."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from chiasm import screen
from chiasm.cli.options import (
    CohortPath,
    Engine,
    Force,
    Jobs,
    Json,
    Seed,
    checked,
    for_json,
    require_table,
    show_written,
    told_how_to_go_on,
)


def pairs(
    cohort: CohortPath,
    out: Annotated[Path, typer.Option(help="pairs.csv or pairs.parquet: the patients of each pair.")],
    modality: Annotated[str | None, typer.Option(help="Whose encoders are asked, where there are several.")] = None,
    encoder: Annotated[
        list[str] | None, typer.Option(help="A frozen encoder, as patches:size=28; the first is the one that confuses.")
    ] = None,
    file: Annotated[
        list[str] | None, typer.Option(help="Embeddings by patient, .npy, .npz, .parquet or .csv, or name=file.")
    ] = None,
    pool: Annotated[str, typer.Option(help="How tokens or slices are pooled: mean, max, attention, flat.")] = "mean",
    alike: Annotated[
        float | None, typer.Option(help="Cosine from which one confuses two; default: 0.9, with --by-share 0.999.")
    ] = None,
    unlike: Annotated[
        float | None, typer.Option(help="Cosine up to which the other tells apart; default: 0.75, with --by-share 0.5.")
    ] = None,
    by_share: Annotated[bool, typer.Option("--by-share", help="Bounds are shares of all pairs, not cosines.")] = False,
    both_ways: Annotated[bool, typer.Option("--both-ways", help="Also what the second one confuses.")] = False,
    apart: Annotated[bool, typer.Option("--apart", help="Only pairs of different classes.")] = False,
    most: Annotated[int, typer.Option(min=1, help="Pairs at most, in each direction.")] = 100,
    seed: Seed = 0,
    jobs: Jobs = None,
    engine: Engine = "local",
    force: Force = False,
    json: Json = False,
) -> None:
    """Find pairs of patients whom one encoder takes for the same and another tells apart."""
    from chiasm import api
    from chiasm.api.confusing import confusing_pairs

    require_table(out, "pairs", force)
    api.hush_findings()
    opened, problems = checked(cohort)
    with screen.Progressing("sources") as progress, told_how_to_go_on(None):
        found = confusing_pairs(
            opened, modality=modality, encoders=encoder or (), files=file or (), pool=pool, alike=alike,
            unlike=unlike, by_share=by_share, both_ways=both_ways, apart=apart, most=most, checked=problems,
            seed=seed, jobs=jobs, engine=engine, progress=progress.named,
        )  # fmt: skip
    found.save(out)
    ways = {name: found.table[found.table["confused_by"] == name] for name in found.bounds}
    if json:
        rows = [
            {"confused_by": name, "alike": found.bounds[name][0], "unlike": found.bounds[name][1], "pairs": len(own)}
            for name, own in ways.items()
        ]
        told = {"patients": found.patients, "encoders": list(found.encoders), "notes": list(found.notes)}
        screen.show_json({**told, "ways": for_json(rows), "written": str(out)})
        return
    for note in found.notes:
        screen.hint(f"note: {note}")
    for name, own in ways.items():
        other = next(one for one in found.encoders if one != name)
        low, high = found.bounds[name]
        what = "No pair" if own.empty else f"{len(own):,} pair{'' if len(own) == 1 else 's'}"
        if len(own) == most:
            what += ", those of the widest gaps,"
        screen.show(
            f"{what} of {found.patients:,} patients: '{name}' has a cosine of {low:.3f} or more, '{other}' of "
            f"{high:.3f} or less."
        )
        if len(own):
            widest = own.iloc[0]
            screen.show(f"The widest gap: {widest['similarity_a']:.3f} against {widest['similarity_b']:.3f}.")
            if "first_class" in own:
                unlike_classes = int((own["first_class"] != own["second_class"]).sum())
                screen.show(f"{unlike_classes:,} of them are of different classes.")
        elif not by_share:
            screen.hint(
                "note: cosines of two encoders have no common scale: --by-share takes bounds as shares of pairs"
            )
    show_written(out)
