"""Findings of the check that the owner of a cohort accepts, each with a reason."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chiasm.errors import Problem, error

UNMADE = "unmade-finding"
LATER = ("too-good", "partly-shared", "unknown-training", "weights-saw-cohort")  # of a trial, its sources and weights
DECODED = (  # findings reported when sources are opened, by `file_problems`
    "unread-source",
    "source-note",
    "missing-package",
    "same-picture",
    "without-index",
    "events-after-index",
    "outcome-code",
    "record-length-follows-outcome",
    "pretrained-on-cohort",
)
BY_SCREEN = "identifying-"  # findings of the screen for identifiers, which is not made unless it is asked for
NAME = re.compile(r"[a-z][a-z0-9-]*(:.+)?")


@dataclass(frozen=True)
class Finding:
    """A problem and the reason why it is accepted, None if it is not."""

    problem: Problem
    reason: str | None = None

    @property
    def words(self) -> str:
        """Description of the problem and its modality, without a file name."""
        of = self.problem.modality
        return self.problem.what + (f" (modality '{of}')" if of else "")

    @property
    def leak(self) -> bool:
        """True for a leak that nobody has accepted, which rules out a plain verdict."""
        return self.problem.leak and self.reason is None


def settle(problems: Sequence[Problem], accepted: Mapping[str, str]) -> list[Finding]:
    """Pair every problem with the reason why it is accepted; none is left out, and an error is never accepted.

    `accepted` maps `finding` (all modalities) or `finding:modality` to a reason; the more specific key wins.
    """
    return [Finding(problem, _reason(problem, accepted)) for problem in problems]


def unmade(problems: Sequence[Problem], accepted: Mapping[str, str], later: Sequence[str] = LATER) -> list[Problem]:
    """Return an error for each name in `accepted` that no warning has; names in `later` are known only afterwards."""
    made = {name for problem in problems if problem.severity == "warning" for name in _names(problem)}
    listed = ", ".join(sorted({problem.finding for problem in problems if problem.severity == "warning"})) or "none"
    found = []
    for name in accepted:
        if name not in made and name.partition(":")[0] not in later and not name.startswith(BY_SCREEN):
            what = f"a finding is accepted that was not made: '{name}'; the check made {listed}"
            found.append(error(what, "take it out or correct the name", finding=UNMADE))
    return found


def unfit(accepted: Mapping[str, object], path: str | None) -> list[Problem]:
    """Check a table of accepted findings by itself: report malformed names and missing reasons."""
    found = []
    for name, reason in accepted.items():
        if not NAME.fullmatch(str(name)):
            what, fix = "a finding is accepted by what is no name of one", 'write finding = "reason"'
            found.append(error(what, fix, path=path, finding="manifest-value"))
        elif not isinstance(reason, str) or not reason.strip():
            what = f"the finding '{name}' is accepted without a reason"
            found.append(
                error(
                    what, f'write why, as in {name.partition(":")[0]} = "reason"', path=path, finding="manifest-value"
                )
            )
    return found


def _names(problem: Problem) -> tuple[str, ...]:
    return (f"{problem.finding}:{problem.modality}", problem.finding) if problem.modality else (problem.finding,)


def _reason(problem: Problem, accepted: Mapping[str, str]) -> str | None:
    if problem.severity == "error":
        return None
    return next((accepted[name] for name in _names(problem) if name in accepted), None)
