"""`states`: which hidden state each recording was in, and what network each state has."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from chiasm import screen
from chiasm.cli.options import (
    CohortPath,
    Force,
    Json,
    ModelPath,
    Seed,
    Trust,
    for_json,
    prepared,
    require_page,
    require_picture,
    require_table,
    show_written,
)


def states(
    model: ModelPath,
    cohort: CohortPath,
    out: Annotated[
        Path | None, typer.Option(help="states.csv or states.parquet: the states of every bin of every recording.")
    ] = None,
    connections: Annotated[
        Path | None, typer.Option(help="connections.csv or .parquet: every connection of every state.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="states.png, .svg or .pdf: states over time.")] = None,
    page: Annotated[Path | None, typer.Option(help="states.html: pictures and figures, as one file.")] = None,
    seed: Seed = 0,
    trust: Trust = None,
    force: Force = False,
    json: Json = False,
) -> None:
    """Which hidden state spike trains were in, bin by bin, and what network of neurons each state has.

    The model is one of hmm-glm or poisson-glm; the manifest needs no target.
    """
    from chiasm import api

    for path, option in ((out, "--out"), (connections, "--connections")):
        if path is not None:
            require_table(path, "states and connections", force, option)
    if out is not None and connections is not None and out.resolve() == connections.resolve():
        raise ValueError("--out and --connections name one file: give each table its own")
    if plot is not None:
        require_picture(plot, force)
    if page is not None:
        require_page(page, force)
    loaded = api.load_model(model, trust)
    found = api.states(loaded, prepared(cohort, model=loaded), seed=seed)
    if out is not None:
        api.write_predictions(found.bins.set_index("recording"), out)
    if connections is not None:
        api.write_predictions(found.connections.set_index("state"), connections)
    if plot is not None:
        found.plot(plot)
    if page is not None:
        found.report(page)
    if json:
        told = {"recipe": found.recipe, "cohort": found.cohort, "recordings": found.recordings}
        counts = {"neurons": found.neurons, "spikes": found.spikes, "notes": list(found.notes)}
        (bits,) = for_json([{"bits_per_spike": found.bits, "low": found.low, "high": found.high}])
        tables = {name: for_json(getattr(found, name).to_dict("records")) for name in ("states", "connections")}
        screen.show_json({**told, **counts, **bits, "sentence": found.sentence, **tables})
        return
    headings = ["state", "share of bins", "visits", "mean length", "stays", "spikes a bin", "excite", "inhibit", "none"]
    others = found.connections[found.connections["onto"] != found.connections["source"]]
    does = others.groupby(["state", "does"]).size().to_dict()
    rows = [_row(row, does) for row in found.states.to_dict("records")]
    screen.show_table(headings, rows, right=headings[1:])
    screen.show("")
    screen.show(found.sentence)
    for note in found.notes:
        screen.hint(f"note: {note}")
    show_written(out, connections, plot, page)


def _row(row: Mapping[Any, Any], does: Mapping[Any, int]) -> list[str]:
    """A line of the table; connections between different neurons are counted."""
    length = "never visited" if row["length"] != row["length"] else f"{row['length']:.1f} bins"
    rate = "not estimable" if row["spikes_a_bin"] != row["spikes_a_bin"] else f"{row['spikes_a_bin']:.3f}"
    counted = [f"{does.get((row['state'], own), 0):,}" for own in ("excites", "inhibits", "none")]
    numbers = [f"{100 * row['share']:.1f} %", f"{row['visits']:,}", length, f"{row['stays']:.3f}", rate]
    return [str(row["state"]), *numbers, *counted]
