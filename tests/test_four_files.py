"""A new method touches four files: the example of CONTRIBUTING.md, added to a copy of the repository, is accepted."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scratch import ROOT, run, scratch_copy

BLOCK = re.compile(r"^`([\w/.]+)`[^\n]*\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ROW_GOES_BEFORE = "))\n# fmt: on"
SECTION_GOES_BEFORE = "## Hospitals that share no patient"


def example() -> dict[str, str]:
    """Path to text of each file of the example."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    return dict(BLOCK.findall(text.partition("### A fusion, whole")[2].partition("\n## ")[0]))


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return scratch_copy(tmp_path / "copy")


def add(place: Path, files: dict[str, str]) -> None:
    """Write the new files; put the row and the section where CONTRIBUTING says."""
    for name, text in files.items():
        path = place / name
        if not path.exists():
            path.write_text(text, encoding="utf-8")
            continue
        mark = ROW_GOES_BEFORE if path.suffix == ".py" else SECTION_GOES_BEFORE
        before = path.read_text(encoding="utf-8")
        assert before.count(mark) == 1
        path.write_text(before.replace(mark, text + mark), encoding="utf-8")


@pytest.mark.slow
def test_a_fusion_is_four_files(copy: Path) -> None:
    files = example()
    assert len(files) == 4
    add(copy, files)
    module = files["src/chiasm/recipes/fusion/gated_mean.py"]
    lines = [line for line in module.splitlines() if line.strip() and not line.startswith(("from", "import", '"""'))]
    assert len(lines) <= 40, "the skeleton of a network recipe is shared"
    done = run(
        copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/recipes/test_gated_mean.py", "tests/test_docs.py",
        "tests/test_artifact_kinds.py", "tests/test_architecture.py", "tests/promises/test_p41_archive_opens.py",
        "-k", "gated or table or idea or every_recipe or holds_every or lists_recipes",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:]
    told = "import chiasm; m = chiasm.list_recipes().set_index('name'); print(m.loc['gated-mean', 'needs'])"
    assert run(copy, "-c", told).stdout.strip() == "two modalities or more"


@pytest.mark.slow
def test_its_model_is_opened_by_a_process_that_has_not_imported_it(copy: Path) -> None:
    add(copy, example())
    fitted = (
        "import chiasm; c = chiasm.synthetic_cohort('unique', 60, target='classification', seed=0)\n"
        "chiasm.fit(c, 'gated-mean:epochs=1', seed=0).save('model')"
    )
    assert run(copy, "-c", fitted).returncode == 0
    opened = "import chiasm; m = chiasm.load_model('model'); print(m.predictor.design)"
    assert run(copy, "-c", opened).stdout.strip() == "GatedMeanDesign(latent_width=32)"
