"""Progress of work that takes more than a second: a bar in a terminal or notebook, elsewhere an occasional line."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any

from chiasm.shown import visible

if TYPE_CHECKING:  # rich is imported by what draws with it, since help draws nothing
    from rich.progress import Progress

SECONDS_BEFORE_BAR = 0.5
SECONDS_BETWEEN_FRAMES = 0.1
SECONDS_BETWEEN_LINES = 10.0
BAR = 30  # signs of a bar in a notebook


@contextmanager
def followed(what: str, given: Callable[..., None] | None) -> Iterator[Callable[..., None]]:
    """Yield the callback that was given; without one a bar where somebody watches, and nothing in a script.

    Both are called with (finished, all), or with (name, finished, all) where the work has parts with a name.
    """
    if given is not None or not is_watched():
        yield given or _unseen
        return
    with Progressing(what, at_once=False) as own:
        yield lambda *told: own.named(*told) if len(told) == 3 else own(*told)


def is_watched() -> bool:
    """True in a terminal and in a notebook, where a bar can be drawn; False where standard error goes to a file."""
    return "ipykernel" in sys.modules or (sys.stderr is not None and sys.stderr.isatty())


def _unseen(*told: Any) -> None:
    """No-op progress callback."""


def hint(text: str) -> None:
    """Print a line that is not part of the result on standard error."""
    print(visible(text), file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """Format seconds as `3.2 s`, `45 s`, `2 min 05 s` or `3 h 20 min`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


class Progressing:
    """Progress callback with the time left: a bar in a terminal, elsewhere an occasional line on standard error."""

    def __init__(self, what: str, *, at_once: bool = True) -> None:
        """Name what is counted; `at_once` False shows no bar until the work has taken half a second."""
        from rich.console import Console

        self.what = what
        self.at_once = at_once
        self.name = ""
        self.start = self.last = time.monotonic()
        self.bar: Progress | None = None
        self.line: Any = None  # in a notebook: the output that is written anew
        self.console = Console(stderr=True)

    def __enter__(self) -> Progressing:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def named(self, name: str, done: int, everything: int) -> None:
        """Report progress like a call, with a separate bar for each name."""
        if name != self.name:
            self._stop()
            self.name = name
            self.start = self.last = time.monotonic()
        if everything:
            self(done, everything)

    def _stop(self) -> None:
        if self.bar is not None:
            self.bar.stop()
        self.bar = self.line = None

    def __call__(self, done: int, everything: int) -> None:
        """Report that `done` of `everything` are finished."""
        now = time.monotonic()
        drawn = self.bar is not None or self.line is not None
        if self.console.is_terminal or self.console.is_jupyter:
            if self.at_once or drawn or now - self.start >= SECONDS_BEFORE_BAR:
                self._draw(done, everything, now) if self.console.is_terminal else self._write(done, everything, now)
            return
        told = self.at_once or self.last > self.start
        if now - self.last >= SECONDS_BETWEEN_LINES or (done == everything and told):
            self.last = now
            hint(self._told(done, everything, now))

    def _told(self, done: int, everything: int, now: float) -> str:
        spent = now - self.start
        left = f", about {duration(spent / done * (everything - done))} left" if 0 < done < everything else ""
        return f"{self._label}{done:,} of {everything:,} {self.what}, {duration(spent)}{left}"

    def _write(self, done: int, everything: int, now: float) -> None:
        """Write one line of a notebook anew; a bar of rich's would need widgets that may not be installed."""
        if self.line is not None and done < everything and now - self.last < SECONDS_BETWEEN_FRAMES:
            return
        from IPython.display import display  # type: ignore[import-not-found,unused-ignore]  # whoever is here has it

        self.last = now
        full = BAR * done // everything
        shown = {"text/plain": f"{'#' * full}{'.' * (BAR - full)}  {visible(self._told(done, everything, now))}"}
        if self.line is None:
            self.line = display(shown, raw=True, display_id=True)  # type: ignore[no-untyped-call,unused-ignore]
        else:
            self.line.update(shown, raw=True)

    @property
    def _label(self) -> str:
        return f"{self.name}: " if self.name else ""

    def _draw(self, done: int, everything: int, now: float) -> None:
        # No auto-refresh thread, because worker processes are forked while the bar is on the screen.
        if self.bar is None:
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar

            columns = (
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
            )
            self.bar = Bar(
                *columns, TextColumn("left"), TimeRemainingColumn(), console=self.console, auto_refresh=False
            )
            self.bar.start()
            self.task = self.bar.add_task(visible(self._label + self.what), total=everything)
        elif done < everything and now - self.last < SECONDS_BETWEEN_FRAMES:
            return
        self.last = now
        self.bar.update(self.task, completed=done, total=everything)  # work may be added on the way
        self.bar.refresh()
