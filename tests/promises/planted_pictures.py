"""Sixty patients of a ward with a grey picture and a label map each, in whose headers everything is planted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, PngImagePlugin

IDS = [f"WOB8822{k:02d}" for k in range(60)]
HEAD = 'name = "ward"\n[patients]\ntable = "many.csv"\nid = "case"\n[target]\n'
GREY = '[modalities.photo]\nkind = "image"\npath = "grey/{id}.png"\n'
MANIFESTS = {
    "pictures.toml": HEAD + 'kind = "classification"\ncolumn = "sex"\n' + GREY,
    "maps.toml": HEAD + 'kind = "mask"\ncolumn = "map"\nlabels = ["spot"]\n' + GREY + 'encoder = "grid"\n',
    "table.toml": HEAD + 'kind = "regression"\ncolumn = "score"\n[modalities.clinical]\nkind = "table"\n'
    'columns = ["age", "sex", "contact"]\n',
}


def write_pictures(folder: Path, planted: Mapping[str, str]) -> None:
    """Write pictures, maps, a table with a column of planted words, and the manifests, beside what is there."""
    rng = np.random.default_rng(1)
    words = PngImagePlugin.PngInfo()
    for name, value in planted.items():
        words.add_text(name, value)
    for name in ("grey", "maps"):
        (folder / name).mkdir()
    for k, patient in enumerate(IDS):
        drawn = np.zeros((32, 32), dtype=np.uint8)
        drawn[8 : 14 + k % 10, 8:20] = 1
        Image.fromarray(drawn).save(folder / f"maps/{patient}.png", pnginfo=words)
        grey = (drawn * 120 + rng.integers(0, 60, drawn.shape)).astype(np.uint8)
        Image.fromarray(grey).save(folder / f"grey/{patient}.png", pnginfo=words)
    said = [f"{value} of {name}" for name, value in planted.items()]
    table = {
        "case": IDS,
        "score": rng.normal(size=60),
        "age": rng.integers(30, 90, 60),
        "sex": ["male", "female"] * 30,
        "contact": (said * 4)[:60],
        "map": [f"maps/{patient}.png" for patient in IDS],
    }
    pd.DataFrame(table).to_csv(folder / "many.csv", index=False)
    for name, text in MANIFESTS.items():
        (folder / name).write_text(text)


def commands_of(to: str, patient: str) -> list[list[str]]:
    """Commands that draw: finer, edited, synthetic, and a map."""
    picture, model = f"ward/grey/{IDS[0]}.png", f"{to}/outliner"
    few = ["--steps", "2"]
    return [
        ["enhance", picture, *few, "--out", f"{to}/finer.png", "--page", f"{to}/finer.html"],
        ["enhance", f"ward/scans/{patient}", "--scale", "1,1,2", *few, "--out", f"{to}/finer.nii.gz", "--json"],
        ["edit", "ward/pictures.toml", picture, "--towards", "female", *few, "--rounds", "1", "--size", "16", "--out",
         f"{to}/edited.png", "--keep", f"{to}/editor"],
        ["edit", f"{to}/editor", picture, "--towards", patient, "--out", f"{to}/towards-refused.png"],
        ["generate", "ward/table.toml", "--patients", "20", "--out", f"{to}/synthetic", "--accept-privacy", "a test"],
        ["fit", "ward/maps.toml", "--recipe", "unet:epochs=1,width=4", "--out", model],
        ["segment", model, picture, "--out", f"{to}/map.png", "--json"],
        ["segment", model, f"ward/scans/{patient}", "--out", f"{to}/map-refused.png"],
    ]  # fmt: skip
