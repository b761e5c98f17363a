"""A new part touches four files: the examples of the pages, added to a copy of the repository, are accepted."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

import pytest

from scratch import ROOT, run, scratch_copy
from young_process import run_young

PAGES = ("CONTRIBUTING.md", "docs/extending.md")
BLOCK = re.compile(r"^`([\w/.]+)`(?:, ([^\n]+))?\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PARTS = ("A fusion, whole", "A linear recipe", "An encoder", "A reader, which is a kind of modality", "A metric")
BY_DAY = PARTS[0:3:2]  # each part costs a dozen seconds of processes that import everything anew
# What each part is held to beside its own test: the laws of the house.
HOUSE = (
    "tests/test_docs.py",
    "tests/artifact/test_artifact_kinds.py",
    "tests/test_architecture.py",
    "tests/promises/test_p41_archive_opens.py",
)
LAWS = "table or idea or every_recipe or every_metric or holds_every or lists_recipes"


class Block(NamedTuple):
    """A file, or what is added to it: `before X`, `after X` (the line that holds X), or `at the end`."""

    path: str
    where: str
    text: str


def example(part: str) -> list[Block]:
    """The blocks below the heading of a part."""
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        head = re.search(rf"^##+ {re.escape(part)}$", text, re.MULTILINE)
        if head:
            return [
                Block(*found) for found in BLOCK.findall(re.split(r"^## ", text[head.end() :], flags=re.MULTILINE)[0])
            ]
    raise LookupError(part)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return scratch_copy(tmp_path / "copy")


def add(place: Path, blocks: list[Block]) -> None:
    """Write the new files, and put rows and sections where the page says."""
    for block in blocks:
        path = place / block.path
        if not block.where:
            assert not path.exists(), f"{block.path} is there"
            path.write_text(block.text, encoding="utf-8")
            continue
        before = path.read_text(encoding="utf-8")
        side, _, mark = block.where.partition(" ")
        at = len(before)
        if side in ("before", "after"):
            mark = mark.strip("`")
            lines = [found for found in re.finditer(r"^.*\n", before, re.MULTILINE) if found[0].startswith(mark)]
            lines = lines or [found for found in re.finditer(r"^.*\n", before, re.MULTILINE) if mark in found[0]]
            assert len(lines) == 1, f"{block.path} holds {mark!r} in {len(lines)} lines"
            at = lines[0].start() if side == "before" else lines[0].end()
        path.write_text(before[:at] + block.text + before[at:], encoding="utf-8")


@pytest.mark.slow
@pytest.mark.nightly  # a package of one's own brings the first three each time
@pytest.mark.parametrize(
    "part", [pytest.param(part, marks=[] if part in BY_DAY else [pytest.mark.nightly]) for part in PARTS]
)
def test_a_part_is_four_files(copy: Path, part: str) -> None:
    blocks = example(part)
    assert len({block.path for block in blocks}) == 4
    add(copy, blocks)
    own = [block.path for block in blocks if block.path.startswith("tests/")]
    if any("@storable" in block.text for block in blocks if block.path.startswith("src/chiasm/encoders/")):
        made = run(copy, "tests/storable_kinds.py")  # `make kinds`
        assert made.returncode == 0, made.stderr[-2000:]
    done = run(
        copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", *own, *HOUSE, "-k", f"{Path(own[0]).stem} or {LAWS}"
    )
    assert done.returncode == 0, done.stdout[-4000:]


def test_the_fusion_is_short() -> None:
    module = example(PARTS[0])[0].text
    lines = [line for line in module.splitlines() if line.strip() and not line.startswith(("from", "import", '"""'))]
    assert len(lines) <= 40, "the skeleton of a network recipe is shared"


@pytest.mark.slow
@pytest.mark.nightly
def test_its_model_is_opened_by_a_process_that_has_not_imported_it(copy: Path) -> None:
    add(copy, example(PARTS[0]))
    fitted = (
        "import chiasm; print(chiasm.list_recipes().set_index('name').loc['gated-mean', 'needs'])\n"
        "c = chiasm.synthetic_cohort('unique', 60, target='classification', seed=0)\n"
        "chiasm.fit(c, 'gated-mean:epochs=1', seed=0).save('model')"
    )
    assert run(copy, "-c", fitted).stdout.strip() == "two modalities or more"
    opened = "import chiasm; m = chiasm.load_model('model'); print(m.predictor.design)"
    assert run(copy, "-c", opened).stdout.strip() == "GatedMeanDesign(latent_width=32)"


OUTSIDE = """\
import sys, numpy as np, pandas as pd, chiasm
rng, n = np.random.default_rng(0), 40
names = [f"p{k}" for k in range(n)]
pd.DataFrame({"id": names, "y": np.tile(["a", "b"], n // 2), "seq": ["ACDEF" * (1 + k % 3) for k in range(n)]}).to_csv(
    "patients.csv", index=False)
for k, name in enumerate(names):
    open(f"{name}.txt", "w").write("\\n".join(map(str, np.cumsum(rng.random(300) * (1 + k % 2)))))
open("cohort.toml", "w").write(
    '[patients]\\ntable = "patients.csv"\\nid = "id"\\n[target]\\nkind = "classification"\\ncolumn = "y"\\n'
    '[modalities.breath]\\nkind = "spirometry"\\npath = "{id}.txt"\\n'
    '[modalities.chain]\\nkind = "protein"\\ncolumn = "seq"\\nencoder = "composition:parts=4"\\n')
cohort = chiasm.open_cohort("cohort.toml")
assert "product-rule" in set(chiasm.list_recipes()["name"])
chiasm.fit(cohort, "product-rule", seed=0).save("model")
"""
OPENED = """\
import chiasm
frame = chiasm.load_model("model").predict(chiasm.open_cohort("cohort.toml"))
print(sorted(set(frame["pattern"])), bool(frame["p_b"].between(0, 1).all()))
"""


@pytest.mark.slow
def test_a_package_of_ones_own_brings_a_recipe_an_encoder_and_a_reader(tmp_path: Path) -> None:
    """The same modules in a package that is installed beside chiasm, known by its entry points alone."""
    site = tmp_path / "site"
    (site / "lung").mkdir(parents=True)
    (site / "lung" / "__init__.py").touch()
    (site / "lung-1.0.dist-info").mkdir()
    (site / "lung-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: lung\nVersion: 1.0\n")
    page = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8").partition("## From a package of your own")[2]
    points = re.search(r"```text\n(.*?)```", page, re.DOTALL)
    assert points is not None
    (site / "lung-1.0.dist-info" / "entry_points.txt").write_text(
        points[1].replace("[project.entry-points.", "[").replace('"', "")
    )
    modules = {Path(b.path).stem: b.text for part in PARTS[1:4] for b in example(part) if not b.where}
    modules["spirometry"] = modules["spirometry"].replace('version = "1"', 'version = "1"\n    like = "signal"')
    recipe = modules["product_rule"].replace(
        "from chiasm.recipes.baselines import ROWS\n", "from chiasm.citation import Citation\n"
    )
    recipe = recipe.replace(
        'ROWS["product-rule"]', 'Row("product-rule", "", "baseline", "two modalities", Citation("On", "T", 1998, ""))'
    )
    entry = (
        "\nfrom chiasm.encoders.catalogue import Entry\n"
        'ENTRY = Entry("composition", ("protein",), "lung.composition:Composition", "20", "MIT", "none")\n'
    )
    for name, text in {
        "product_rule": recipe,
        "composition": modules["composition"] + entry,
        "spirometry": modules["spirometry"],
    }.items():
        (site / "lung" / f"{name}.py").write_text(text, encoding="utf-8")
    path = os.pathsep.join([str(site), str(ROOT / "src")])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    for script, said in ((OUTSIDE, ""), (OPENED, "['breath+chain'] True")):
        done = run_young(script, cwd=tmp_path, env=environment)
        assert (done.returncode, done.stdout.strip()) == (0, said), done.stderr[-4000:]
