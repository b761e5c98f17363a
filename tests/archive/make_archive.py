"""Writes an archive of small models: model folders, the cohorts they read, and what they predict.

    PYTHONPATH=src:tests python tests/archive/make_archive.py tests/archive/0.2.0

It is run once a release, by the code of that release, and its result is never changed afterwards. It holds the recipes
and parts that no earlier archive does: `cohorts/`, `models/<case>/`, `predictions/<case>.csv`, `cases.json` (case to
recipe and manifest) and `parts/`: what is stored and stands in none of the models. Tiny frozen encoders of an earlier
archive are read where they are.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from archive_cases import BESIDE, CASES, REMEMBERED
from archive_later_parts import later_parts
from archive_sources import write_sources
from packaging.version import Version

import chiasm
from archived import RELEASES
from chiasm import artifact
from chiasm.language.tiny import TinyLanguage
from chiasm.recipes.catalogue import ROWS

BEFORE = max(Version(folder.name) for folder in RELEASES)
SMALLEST = (16, 1, 2, 128)  # width, depth, heads and reach of the language models


def main(folder: Path) -> None:
    """Fill an empty folder."""
    if folder.exists() and any(folder.iterdir()):
        sys.exit(f"'{folder}' is not empty: an archive that exists is never changed")
    (folder / "cohorts").mkdir(parents=True)
    os.chdir(folder)  # models name their encoders as the manifests do, from here
    write_sources(Path("cohorts"))
    TinyLanguage.__init__.__defaults__ = SMALLEST  # type: ignore[misc]
    with tempfile.TemporaryDirectory() as place:
        os.environ["CHIASM_STORE"] = str(Path(place) / "tokens")
        cases = _models()
    Path("cases.json").write_text(json.dumps(cases, indent=1) + "\n", encoding="utf-8")
    artifact.save("parts", later_parts(BEFORE))


def _models() -> dict[str, dict[str, str]]:
    """Fit, save and predict; returns case to its recipe and its manifest."""
    cases: dict[str, dict[str, str]] = {}
    Path("predictions").mkdir()
    for recipe, cohort in CASES:
        family = recipe.partition(":")[0]
        if Version(ROWS[family].since) <= BEFORE:
            continue
        manifest = f"cohorts/{cohort}.toml"
        opened = chiasm.open_cohort(manifest)
        name = f"{len(cases):02d}-{family}-{opened.target.kind if opened.target else 'none'}"
        lenders = [chiasm.open_cohort(f"cohorts/{BESIDE[family]}.toml")] if family in BESIDE else []
        model = chiasm.fit(opened, recipe, seed=0, sources=lenders)
        if family not in REMEMBERED:
            model = replace(model, reference=None)
        model.save(Path("models") / name)
        model.predict(chiasm.open_cohort(manifest)).to_csv(Path("predictions") / f"{name}.csv")
        cases[name] = {"recipe": recipe, "manifest": manifest}
        print(name, flush=True)
    return cases


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
