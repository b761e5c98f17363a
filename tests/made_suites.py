"""Made files of released benchmarks, in their published form, and candidates that know, guess or repeat themselves."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from chiasm.bench.controls import ASKINGS
from chiasm.bench.item import Asked, Item, asked
from chiasm.bench.reply import Reply


def medqa_rows(n: int, seed: int = 0) -> list[dict[str, Any]]:
    """Rows of MedQA with four options, the right one drawn evenly."""
    places = np.random.default_rng(seed).integers(0, 4, n)
    rows = []
    for k, place in enumerate(places.tolist()):
        options = {letter: f"remedy {letter.lower()}{k}" for letter in "ABCD"}
        right = "ABCD"[place]
        row = {"question": f"A patient number {k} has finding {k * 7} and sign {k * 3}. What is to be done first?"}
        rows.append(
            row | {"answer": options[right], "options": options, "meta_info": f"step{1 + k % 2}", "answer_idx": right}
        )
    return rows


def write_lines(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """Write JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def medqa_folder(folder: Path, n: int = 60) -> Path:
    """A folder with the file of MedQA."""
    write_lines(folder / "medqa_us_4_options_test.jsonl", medqa_rows(n))
    return folder


def confusing_pairs(n: int) -> dict[str, dict[str, Any]]:
    """Pairs of MediConfusion."""
    return {
        str(10001 + k): {
            "im_1": f"train/radiology/images/ROCO_{k}.jpg", "im_2": f"train/radiology/images/ROCO_{k + 500}.jpg",
            "im_1_local": k, "im_2_local": 500 + k, "category_1": ["Cerebral" if k % 2 else "Spinal"],
            "category_2": ["Cerebral" if k % 2 else "Spinal"], "question": f"What does image {k} show of the artery?",
            "option_A": f"a stenosis of grade {k}", "option_B": f"an aneurysm of {k} mm",
            "im_1_correct": "AB"[k % 2], "im_2_correct": "BA"[k % 2], "BiomedCLIP_sim": 0.93, "DINO_sim": 0.6,
        }
        for k in range(n)
    }  # fmt: skip


def confusing_folder(folder: Path, n: int = 40, images: bool = False) -> Path:
    """A folder with the pairs of MediConfusion, with images of one byte each where they are asked for."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dataset.json").write_text(json.dumps(confusing_pairs(n)), encoding="utf-8")
    if images:
        (folder / "images").mkdir()
        for number in (*range(n), *range(500, 500 + n)):
            (folder / "images" / f"{number}.jpg").write_bytes(b"1")
    return folder


def first_letter(item: dict[str, Any]) -> str:
    """A candidate that always says A."""
    return "A"


@dataclass
class Oracle:
    """A candidate that looks up the right options of items, and what it does is written down."""

    items: Sequence[Item]
    wrong: frozenset[str] = frozenset()
    needs_image: bool = False
    name: str = "oracle"
    identity: str = "0" * 64
    sees_attachments: bool = True
    told: str = "It was told the answers."
    seen: list[str] = field(default_factory=list)

    def answer(self, items: Sequence[Asked]) -> Iterator[Reply]:
        """Name the right option by its text, wherever it stands."""
        known = {own.key_of(asked(item).key): item for item in self.items for own in ASKINGS}
        for own in items:
            self.seen.append(own.key)
            item = known[own.key]
            right = item.options[item.positions[0]]
            guess = self.needs_image and not any(file.is_there for file in own.attachments)
            if guess or item.id in self.wrong:
                right = (
                    next(option for option in item.options if option != right)
                    if item.id in self.wrong
                    else own.options[0]
                )
            yield Reply(own.key, right)
