"""A scratch copy of the repository, to which a test adds what a developer would."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def scratch_copy(place: Path) -> Path:
    """Copy the repository's sources, tests and pages to a folder of their own."""
    for name in ("src", "tests", "docs"):
        shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "pyproject.toml"):
        shutil.copy(ROOT / name, place / name)
    return place


def run(place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run Python there, on the copy's package."""
    environment = {**os.environ, "PYTHONPATH": str(place / "src"), "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, *words], cwd=place, env=environment, capture_output=True, text=True)
