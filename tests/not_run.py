"""What a run of the tests could not try, by reason, with the command that brings what was missing."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

# (pattern of the reason of a skip, what to do about it); a reason that none fits is shown alone
COMMANDS = (
    (r"could not import '|not installed", "make test  (installs what the tests need in .venv)"),
    (r"real cohorts|recordings are not there", "put the real cohorts in shared/data beside the repository"),
    (r"not a git checkout", "git clone, and make test in the clone"),
    (r"root writes anywhere|attacker can write", "run it as a user who is not root"),
)


def command_for(reason: str) -> str:
    """What would let a test run that was skipped for this reason; "" where nothing is known."""
    return next((command for pattern, command in COMMANDS if re.search(pattern, reason)), "")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    reasons = Counter[str]()
    for report in terminalreporter.stats.get("skipped", ()):
        told = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reasons[told.removeprefix("Skipped: ")] += 1
    if reasons:
        terminalreporter.section("not run")
    for reason, times in sorted(reasons.items()):
        command = command_for(reason)
        terminalreporter.write_line(f"{times} x {reason}{f' -> {command}' if command else ''}")
