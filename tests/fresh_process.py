"""The peak of memory of a process of its own, the imports included."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

import pytest

pytest.importorskip("resource")  # POSIX alone has it: whoever imports this is skipped elsewhere


def peak_megabytes(lines: Sequence[str], *arguments: str) -> float:
    """Run lines of Python, and return the most memory that they took; not less than this process has taken.

    A child's peak begins with that of the process that forked it, so a small process in between forks it.
    """
    last = "import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    between = "import subprocess, sys; print(subprocess.run(sys.argv[1:], stdout=-1, text=True, check=True).stdout)"
    whole = [sys.executable, "-W", "ignore", "-c", "\n".join([*lines, last]), *arguments]
    found = subprocess.run(
        [sys.executable, "-c", between, *whole], capture_output=True, text=True, check=True, timeout=900
    )
    return int(found.stdout.split()[-1]) / (1 << 20 if sys.platform == "darwin" else 1 << 10)
