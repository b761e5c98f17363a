"""Python code in a process of its own that has nothing of ours in memory, and need not import torch and pandas anew.

It is forked from a process that has imported a few packages and nothing else, one for each process of tests; where
several run side by side (`forks.py`) these are forked before anything of ours is imported. What it imports of chiasm it
imports anew, and of the others matplotlib, jinja2, lifelines, xgboost and transformers.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TextIO

PACKAGES = (
    "numpy", "pandas", "pyarrow.parquet", "pydantic", "safetensors.numpy", "scipy.stats", "sklearn.linear_model",
    "torch",
)  # fmt: skip
SERVER = (
    f"import {', '.join(PACKAGES)}"
    + """
import json, os, resource, sys, traceback
own = sorted(name for name in sys.modules if name.partition(".")[0] == "chiasm")
assert not own, own
for line in sys.stdin:
    code, words, place, environment, out, err = json.loads(line)
    child = os.fork()
    if child:
        ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        spent = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        print(ended, sum(one.ru_utime + one.ru_stime for one in spent), flush=True)
        continue
    for number, file in ((1, out), (2, err)):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.stdout, sys.stderr = open(1, "w"), open(2, "w")
    os.chdir(place)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[1:1] = [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.argv[:] = ["-c", *words]
    ended = 0
    try:
        exec(compile(code, "<string>", "exec"), {"__name__": "__main__"})
    except SystemExit as left:
        if not isinstance(left.code, int | None):
            print(left.code, file=sys.stderr)
        ended = left.code if isinstance(left.code, int) else int(left.code is not None)
    except BaseException:
        traceback.print_exc()
        ended = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(ended)
"""
)

SPENT = {"seconds": 0.0}
"""CPU seconds of the process that forks and of those that it forked, of which this one hears only when it ends."""


def run_young(
    code: str, *words: str, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the code as `python -c` would, with these arguments, and return how it ended and what it said."""
    ask, answer = _server()
    with tempfile.TemporaryDirectory() as folder:
        out, err = (Path(folder) / name for name in ("out", "err"))
        asked = [code, words, str(cwd or Path.cwd()), dict(os.environ if env is None else env), str(out), str(err)]
        print(json.dumps(asked), file=ask, flush=True)
        said = answer.readline()
        assert said, "the process that others are forked from has ended"
        ended, SPENT["seconds"] = int(said.split()[0]), float(said.split()[1])
        return subprocess.CompletedProcess(code, ended, out.read_text(), err.read_text())


BEGUN: list[tuple[TextIO, TextIO]] = []
"""Where each process of `begin` is asked, and where it answers; a process of tests leaves its own alone in here."""


def forks_asked(words: Sequence[str]) -> int:
    """How many processes these arguments of pytest ask for (`--forks 2`), before pytest has read them."""
    asked = " ".join(words).replace("--forks=", "--forks ").split()
    return int(asked[asked.index("--forks") + 1]) if "--forks" in asked else 0


def begin() -> None:
    """Fork the process that others are forked from out of this one, which has nothing of ours in memory yet.

    The packages are imported here, where the tests need them too: by itself it would import them a second time.
    """
    for name in PACKAGES:
        import_module(name)
    asked, told = os.pipe(), os.pipe()
    if os.fork():
        os.close(asked[0])
        os.close(told[1])
        BEGUN.append((os.fdopen(asked[1], "w"), os.fdopen(told[0])))
        for file in BEGUN[-1]:
            atexit.register(file.close)  # the other ends with its input
        return
    try:
        os.dup2(asked[0], 0)
        os.dup2(told[1], 1)
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))  # what the process of tests has open is not held open
        sys.stdin, sys.stdout = open(0, closefd=False), open(1, "w", closefd=False)  # noqa: SIM115
        sys.meta_path[:] = [own for own in sys.meta_path if not type(own).__module__.startswith("_pytest")]
        gc.enable()  # conftest.py has it off until the tests are collected
        warnings.resetwarnings()
        for kind in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):  # as in a new one
            warnings.simplefilter("ignore", kind)
        exec(compile(SERVER, "<string>", "exec"), {"__name__": "__main__"})
    finally:
        os._exit(0)


@cache
def _server() -> tuple[TextIO, TextIO]:
    if BEGUN:
        return BEGUN[0]
    server = subprocess.Popen([sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    atexit.register(_end, server)
    assert server.stdin is not None and server.stdout is not None
    return server.stdin, server.stdout


def _end(server: subprocess.Popen[str]) -> None:
    """Close its input, at which it ends."""
    server.communicate()
