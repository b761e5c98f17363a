"""Images are made worse before a candidate sees them, when that is asked for; what it loses is told beside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from chiasm.bench.candidates.callables import as_candidate
from chiasm.bench.controls import askings_for
from chiasm.bench.corruptions import CORRUPTIONS, with_worse_images
from chiasm.bench.item import Attachment, Item, Items
from chiasm.bench.running import ran
from chiasm.bench.suites import suite_named


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> tuple[Item, ...]:
    """Fifty pictures: light ones show what dark ones do not."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    made = []
    for number in range(50):
        level = (90, 200)[number % 2]
        values = np.clip(rng.normal(level, 10, (48, 64, 3)), 0, 255).astype(np.uint8)
        path = folder / f"{number}.png"
        Image.fromarray(values).save(path)
        options = ("dark", "light")
        made.append(
            Item(
                f"i{number}",
                f"Is picture {number} light?",
                options,
                (number % 2,),
                attachments=(Attachment("image", path),),
            )
        )
    return tuple(made)


def by_light(item: dict[str, Any]) -> str:
    """Answer by the light of the picture."""
    if not item["attachments"]:
        return "A"
    with Image.open(item["attachments"][0]["path"]) as opened:
        return "B" if np.asarray(opened).mean() > 140 else "A"


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_an_image_is_made_worse_and_the_file_is_left(name: str, items: tuple[Item, ...]) -> None:
    before = items[0].attachments[0].path.read_bytes()
    (shown, order), *_ = with_worse_images(items, corruption=name)
    handed = Path(shown.as_json()["attachments"][0]["path"])
    assert handed != items[0].attachments[0].path and order == (0, 1)
    with Image.open(handed) as worse, Image.open(items[0].attachments[0].path) as own:
        assert worse.size == own.size
        apart = np.abs(np.asarray(worse, dtype=float) - np.asarray(own.convert("RGB"), dtype=float)).mean()
    assert apart > 2
    assert items[0].attachments[0].path.read_bytes() == before
    again = with_worse_images(items, corruption=name)[0][0].as_json()["attachments"][0]["path"]
    assert again == str(handed)


def test_they_run_only_when_they_are_named(items: tuple[Item, ...], tmp_path: Path) -> None:
    assert not {own.name for own in askings_for(items, True)} & set(CORRUPTIONS)
    assert [own.name for own in askings_for(items, True, ["dark"])] == ["candidate", "dark"]
    assert [own.name for own in askings_for(items, False, ["dark"])] == ["candidate"]  # it sees no image
    found = ran(
        suite_named("medqa"), Items(items), as_candidate(by_light), tmp_path, controls=("dark", "blur"), draws=100
    )
    lost = {(row["asking"], row["figure"]): row for row in found.document["differences"]}
    assert lost["dark", "accuracy"]["value"] == 0.5 and lost["dark", "accuracy"]["low"] > 0.3
    assert lost["blur", "accuracy"]["value"] == 0
    assert "No image was shown" not in found.verdict.sentence  # it was, though nobody asked for the blind control


def test_what_is_no_image_is_refused_before_anybody_is_asked(items: tuple[Item, ...], tmp_path: Path) -> None:
    broken = tmp_path / "scan.png"
    broken.write_text("no image")
    item = Item("x", "What?", ("a", "b"), (0,), attachments=(Attachment("image", broken),))
    with pytest.raises(ValueError, match=r"'scan.png' cannot be opened as an image"):
        with_worse_images([item], corruption="blur")
