"""Code in a process of its own, forked from this one, so that nothing is imported anew, and as new as can be in it.

What it does to modules, settings and the working folder stays in it. It has a session of its own, by which whatever it
starts is found.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Collection
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from chiasm.compute.memo import forget

A_TRIAL_IMPORTS = (
    "chiasm.api.encoding", "chiasm.api.models", "chiasm.api.retrieval", "chiasm.api.trials", "chiasm.cli",
    "chiasm.report", "jinja2", "lifelines", "matplotlib.figure", "scipy.stats", "sklearn.linear_model",
    "torch._dynamo", "xgboost",
)  # fmt: skip


def forked(function: Callable[[], object]) -> int:
    """Fork a process that calls the function and ends: with 0, or where something is raised with 1. Its number."""
    for name in A_TRIAL_IMPORTS:  # here, where the next one has them too
        import_module(name)
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        os.setsid()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        warnings.resetwarnings()  # a warning is none of the errors that the tests make of it
        warnings.simplefilter("default")
        forget()
        function()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)  # whatever happens: else a second process would go on with the tests


def living(sessions: Collection[int]) -> list[int]:
    """The processes of these sessions that have not ended."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            state, _, _, session = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(session) in sessions and state != "Z":
            found.append(int(entry.name))
    return found
