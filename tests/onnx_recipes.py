"""Which recipes are exported to ONNX, tried on a small model of each and on the archived ones; writes docs/onnx.md.

    PYTHONPATH=src:tests python tests/onnx_recipes.py

The table between the two marks of the page is what was found: no row of it is typed. `--measure` prints of each model
the largest difference, the seconds and the size, and a name after it tries the models of this name alone.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import chiasm
from chiasm.models.export.export import Exported, export
from chiasm.recipes.catalogue import ROWS
from small_recipes import ON_ONE_KIND, cohort_for, elsewhere, every_variant, short_name, small

PAGE = Path(__file__).parents[1] / "docs" / "onnx.md"
START, END = "<!-- recipes: tests/onnx_recipes.py writes this -->", "<!-- end of recipes -->"
KINDS = ("classification", "competing", "text")  # the first that a recipe learns
ARCHIVE = Path(__file__).parent / "archive" / "0.1.0"


def fitted(only: str) -> Iterator[tuple[str, str, Any]]:
    """Recipe, what it was fitted as, and a small model of each, and the archived ones, of which some adapt encoders."""
    for recipe in [*every_variant(), *elsewhere(), *map(small, sorted(ON_ONE_KIND))]:
        for kind in KINDS:
            said = f"{short_name(recipe)} {kind}"
            if only in said:
                cohort = cohort_for(recipe, kind)
                try:
                    recipe.supports(cohort)
                except chiasm.Unsupported:  # not of this target
                    continue
                yield recipe.id, said, recipe.fit(cohort, seed=0)
                break
    for folder in sorted((ARCHIVE / "models").iterdir()):
        if only in folder.name:
            yield folder.name[3:].rpartition("-")[0], folder.name, chiasm.load_model(folder)


def tried(model: Any, folder: Path) -> Exported | str:
    """What came of an export, or why there is none; kernels may be written here."""
    try:
        return export(model, folder / "model.onnx", with_training_rows=True)
    except chiasm.Unsupported as error:
        return str(error)


def table_of(found: dict[str, list[Exported | str]]) -> str:
    """A row for each recipe: yes, or why not, or of what not."""
    lines = ["| recipe | exported | what stands in the way |", "|---|---|---|"]
    for name in sorted(ROWS):
        own = found.get(name, [])
        reasons = sorted({said for said in own if isinstance(said, str)})
        answer = (
            "not tried"
            if not own
            else "yes"
            if not reasons
            else "no"
            if len(reasons) and all(isinstance(said, str) for said in own)
            else "some"
        )
        lines.append(f"| `{name}` | {answer} | {'; '.join(reasons)} |")
    return "\n".join(lines)


def found_of(only: str, measure: bool) -> dict[str, list[Exported | str]]:
    """Try all models, or those of a name."""
    found: dict[str, list[Exported | str]] = {}
    with tempfile.TemporaryDirectory() as place, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, said, model in fitted(only):
            own = tried(model, Path(place))
            found.setdefault(name, []).append(own)
            if measure:
                told = own if isinstance(own, str) else f"{own.largest:.1e} {own.seconds:.2f} s {own.size:,} bytes"
                print(f"{said}: {told}", flush=True)
    return found


def main(measure: bool, only: str) -> None:
    """Try all, and write the page."""
    found = found_of(only, measure)
    if only:
        return
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(START)
    PAGE.write_text(f"{before}{START}\n\n{table_of(found)}\n\n{END}{rest.partition(END)[2]}", encoding="utf-8")


if __name__ == "__main__":
    main("--measure" in sys.argv, next((own for own in sys.argv[1:] if not own.startswith("--")), ""))
