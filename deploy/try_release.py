"""Tries the files of a release: each alone in an empty environment of each Python, where it runs the demo.

    python deploy/try_release.py --pythons python3.11 python3.12 -- dist/chiasm-*.whl dist/chiasm-*.tar.gz

Each line says how long it took, and by how much a figure of the demo differs from those of the first. The environment
of a file that does not run stays, and its folder is named.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

LOCK = Path(__file__).parents[1] / "constraints.txt"


def interpreter(name: str) -> str | None:
    """What runs under this name: as it is asked for, or else the newest of that version that pyenv holds."""
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    minor = re.escape(name.removeprefix("python"))
    held = [(own.name.split("."), own / "bin" / name) for own in versions.glob("*")]
    held = [(version, own) for version, own in held if re.fullmatch(rf"{minor}\.\d+", ".".join(version))]
    newest = [str(own) for _, own in sorted(held, key=lambda one: int(one[0][-1]), reverse=True)]
    return next((own for own in (shutil.which(name), *newest) if own and _runs(own)), None)


def figures(trial: dict[str, Any]) -> dict[str, float]:
    """Each metric of each recipe with its interval, by a name; seconds, which differ each time, are left out."""
    return {
        f"{recipe['name']} {metric} {which}": float(value)
        for recipe in trial["recipes"]
        for metric, values in recipe["metrics"].items()
        for which, value in values.items()
        if value is not None
    }


def differing(first: dict[str, float], other: dict[str, float]) -> str:
    """By how much two demos differ, in words."""
    if first.keys() != other.keys():
        return f"other figures: {', '.join(sorted(first.keys() ^ other.keys())[:3])}"
    most = max(first, key=lambda name: abs(first[name] - other[name]))
    gap = abs(first[most] - other[most])
    return f"figures differ by up to {gap:.1g} ({most})" if gap else "the same figures to the last digit"


def tried(python: str, file: Path) -> tuple[dict[str, float], str]:
    """Install a file in an empty environment and run the demo; returns its figures, and the seconds in words."""
    place = Path(tempfile.mkdtemp(prefix="chiasm-release-"))
    clean = {name: own for name, own in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")}
    seconds = []
    own = place / "venv" / "bin"
    for command in (
        [python, "-m", "venv", str(place / "venv")],
        [str(own / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-c", str(LOCK),
         f"{file.resolve()}[demo]"],
        [str(own / "chiasm"), "demo"],
    ):  # fmt: skip
        begun = time.monotonic()
        done = subprocess.run(
            command, cwd=place, env={**clean, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False
        )
        if done.returncode:
            sys.exit(f"{file.name} does not run on {python}: see {place}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        seconds.append(time.monotonic() - begun)
    trial = json.loads((place / "chiasm-demo" / "trial.json").read_text(encoding="utf-8"))
    shutil.rmtree(place)
    told = f"Python {trial['versions']['Python']}, torch {trial['versions']['torch']}"
    return figures(trial), f"{told}: installed in {seconds[1]:.0f} s, the demo in {seconds[2]:.0f} s"


def _runs(path: str) -> bool:
    """Whether it is a Python: pyenv gives a name to every version it holds, and runs the chosen one alone."""
    return subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0


def main() -> None:
    """Try every file on every Python that is here, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pythons", nargs="+", required=True, help="names or paths of interpreters")
    parser.add_argument("files", nargs="+", type=Path)
    asked = parser.parse_args()
    first: dict[str, float] | None = None
    for name in asked.pythons:
        python = interpreter(name)
        if python is None:
            print(f"{name} is not here: nothing was tried on it", flush=True)
        for file in asked.files if python else ():
            found, words = tried(python, file)
            compared = "" if first is None else f"; {differing(first, found)}"
            first = first or found
            print(f"{file.name} runs the demo on {words}{compared}", flush=True)
    if first is None:
        sys.exit("no Python of those asked for is here: name one with PYTHONS=")


if __name__ == "__main__":
    main()
