"""`export`: a model as one file that other programs run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from chiasm import screen
from chiasm.cli.options import (
    Force,
    Json,
    ModelPath,
    Trust,
    require_new,
)

SHOWN = 8  # outputs that are named


def export(
    model: ModelPath,
    out: Annotated[Path, typer.Option(help="The file, as in model.onnx.")],
    with_training_rows: Annotated[
        bool, typer.Option("--with-training-rows", help="Also a model that keeps training patients row by row.")
    ] = False,
    trust: Trust = None,
    force: Force = False,
    json: Json = False,
) -> None:
    """Write a model as one ONNX file.

    It takes a patient's columns, with all that was fitted inside, and gives what predict gives; that is compared
    before the file is there.
    """
    from chiasm import api

    if out.suffix != ".onnx":
        raise ValueError(f"'{out}' must end in .onnx: it is the one form that a model is exported in")
    require_new(out, force, "--out")
    found = api.export_onnx(model, out, with_training_rows=with_training_rows, trusted=trust)
    if json:
        told = {"file": str(out), "bytes": found.size, "seconds": round(found.seconds, 3)}
        compared = {"rows": found.rows, "patterns": found.patterns, "largest_difference": found.largest}
        screen.show_json({**told, "compared": compared, "description": found.description})
        return
    screen.show(f"Exported {found.description['recipe']}: {out}, {found.size / 1e6:,.2f} MB")
    rows = []
    for own in found.description["modalities"]:
        for part, name in own["inputs"].items():
            rows.append([name, *shape_and_meaning(own, part)])
    screen.show_table(["input", "shape", "what it holds"], rows)
    outputs = found.description["outputs"]
    more = f" and {len(outputs) - SHOWN:,} more" if len(outputs) > SHOWN else ""
    screen.show(f"Outputs: {', '.join(outputs[:SHOWN])}{more}")
    for phrase in found.description["holds_of_training_patients"]:
        screen.show(f"The file holds of training patients: {phrase}")
    screen.show(
        f"Compared with the model on {found.rows:,} made patients of {found.patterns:,} patterns of modalities: "
        f"the largest difference is {found.largest:.1e}"
    )


def shape_and_meaning(modality: dict[str, object], part: str) -> tuple[str, str]:
    """The shape of an input, and what it holds, for the screen."""
    numbers, words = modality.get("numbers", ()), modality.get("words", ())
    assert isinstance(numbers, list | tuple) and isinstance(words, dict | tuple)
    encoder = f" of {modality['encoder']}" if "encoder" in modality else ""
    length = modality.get("token_slots") or "T"
    told = {
        "present": ("(B,) bool", "who has the modality"),
        "numbers": (f"(B, {len(numbers)}) float64", "columns of numbers, NaN where empty"),
        "words": (f"(B, {len(words)}) text", "columns of categories, '' where empty"),
        "tokens": (f"(B, {length}, {modality.get('token_width')}) float32", f"tokens{encoder}"),
        "mask": (f"(B, {length}) bool", "which tokens there are"),
    }
    return told[part]
