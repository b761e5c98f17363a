"""Run the guides and write below each block of bash what it printed: `python website/screens.py [guide.md ...]`.

A block of text right below a block of bash is the screen, so that no line of it is typed by hand. Blocks run in their
order in one empty folder, those of Python in one namespace, as a reader's do; what goes to standard error is not shown.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```(python|bash)\n(.*?)^```\n(?:\n```text\n.*?^```\n)?", re.MULTILINE | re.DOTALL)
SHOWN = re.compile(r"\n```text\n(?:(?!```).*\n)*```\n\Z")
# Runs blocks in their order; what each writes to standard output is handed back.
RUN = """
import contextlib, io, json, subprocess, sys
module = sys.modules["page"] = type(sys)("page")
said = []
for language, text in json.load(sys.stdin):
    if language == "python":
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(compile(text, "page", "exec"), module.__dict__)
        said.append(out.getvalue())
    else:
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", text], capture_output=True, text=True)
        if done.returncode:
            sys.exit(text + done.stdout + done.stderr)
        said.append(done.stdout)
print(json.dumps(said))
"""


def rewritten(text: str, place: Path) -> str:
    """The page with the screens of its blocks anew; only where a screen stands is one written."""
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "CHIASM_STORE": str(place / "store"), "OMP_NUM_THREADS": "1", "COLUMNS": "100",
    }  # fmt: skip
    (place / "work").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", RUN], input=json.dumps([found[:2] for found in BLOCK.findall(text)]),
        cwd=place / "work", env=environment, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        sys.exit(done.stderr[-4000:])
    screens = iter(json.loads(done.stdout.splitlines()[-1]))

    def shown(found: re.Match[str]) -> str:
        screen = next(screens).strip("\n").replace(f"{(place / 'work').resolve()}/", "")
        lines = "\n".join(line.rstrip() for line in screen.splitlines())
        return SHOWN.sub(lambda _: f"\n```text\n{lines}\n```\n", found[0])

    return BLOCK.sub(shown, text)


def main(names: list[str]) -> None:
    """Rewrite these guides, else all of them."""
    guides = ROOT / "docs" / "guides"
    for page in [guides / name for name in names] or sorted(guides.glob("*.md")):
        with tempfile.TemporaryDirectory() as place:
            page.write_text(rewritten(page.read_text(encoding="utf-8"), Path(place)), encoding="utf-8")
        print(page.name)


if __name__ == "__main__":
    main(sys.argv[1:])
