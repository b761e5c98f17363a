"""MediConfusion: pairs of images that share a question and two options, and differ in the right one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from chiasm.bench.figures import ACCURACY, ANSWERED, CONFUSION, SETS
from chiasm.bench.item import Attachment, Item, Items
from chiasm.bench.reading import found_file, json_of, made
from chiasm.bench.suite import Questions
from chiasm.bench.suites.rows import stays_inside
from chiasm.citation import Citation

SOURCE = "https://github.com/MShahabSepehri/MediConfusion"
FILE = "dataset.json"


def read_mediconfusion(folder: Path) -> Items:
    """Read both questions of each pair; images lie in `images/` by the number of the release, or by path.

    A pair of which one side cannot be asked is left out whole: half a pair is no set.
    """
    path = found_file(folder, FILE, source=SOURCE)
    content = json_of(path)
    if not isinstance(content, dict):
        raise ValueError(f"'{path.name}' is no mapping of pairs: fetch it again")

    def rows() -> Iterator[tuple[int, tuple[str, int, dict[str, Any]]]]:
        for number, (name, row) in enumerate(content.items(), start=1):
            for side in (1, 2):
                yield number, (str(name), side, row)

    def item(number: int, entry: tuple[str, int, dict[str, Any]]) -> Item:
        name, side, row = entry
        sides = [sided(name, own, row) for own in (1, 2)]  # both, so that one that cannot be asked takes the other out
        return sides[side - 1]

    def sided(name: str, side: int, row: dict[str, Any]) -> Item:
        if {str(row["im_1_correct"]), str(row["im_2_correct"])} != {"A", "B"}:
            raise ValueError("the two images of a pair do not have A and B as their answers")
        place = "AB".index(str(row[f"im_{side}_correct"]))
        options = (str(row["option_A"]), str(row["option_B"]))
        category = ", ".join(sorted({*row.get("category_1", ()), *row.get("category_2", ())}))
        return Item(
            f"{name}/{side}", str(row["question"]), options, (place,), group=name,
            tags={"category": category} if category else {}, attachments=(image_of(folder, row, side),),
        )  # fmt: skip

    return made(path, rows(), item)


def image_of(folder: Path, row: dict[str, Any], side: int) -> Attachment:
    """Where an image of a pair should lie: `images/<number>.jpg`, or under the path of its source."""
    number, path = row.get(f"im_{side}_local"), str(row[f"im_{side}"])
    names = [*(f"images/{number}{end}" for end in (".jpg", ".png")), path, Path(path).name]
    inside = [folder / own for own in names if stays_inside(own)]
    if not inside:
        raise ValueError("the path of a file leaves the folder, or is none")
    return Attachment("image", next((own for own in inside if own.is_file()), inside[0]))


MEDICONFUSION = Questions(
    "mediconfusion",
    "MediConfusion (176 confusing pairs)",
    Citation(
        "MediConfusion: Can you trust your AI radiologist? Probing the reliability of multimodal medical foundation "
        "models",
        *("ICLR", 2025, "https://arxiv.org/abs/2409.15477"),
    ),
    files=f"{FILE}; the images (ROCO, PMC) as images/<number>.jpg",
    source=SOURCE,
    licence="MIT by the README; captions and images of PMC articles",
    setting="both images of a pair with the same question and options, each alone",
    reader=read_mediconfusion,
    scored=(SETS, CONFUSION, ACCURACY, ANSWERED),
    primary=SETS.id,
    released={FILE: "36e5052ebe370aac7446f29cb1425fa47b1795b40e2e7a72462c93b5472c0d5f"},
)
