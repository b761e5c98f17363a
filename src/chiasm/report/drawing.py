"""Pictures as SVG inside the page: one style, colours safe for the colour-blind, and a text alternative."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chiasm.palette import CHANGED, COMBINED, FAINT, FONT, INK, QUIET, SERIES, SINGLE

__all__ = [
    "CHANGED", "COMBINED", "DPI", "FAINT", "FORMATS", "INK", "MARKERS", "MARKS", "NARROW", "QUIET", "SERIES", "SINGLE",
    "WIDTH", "NewSheet", "Picture", "open_sheet", "own_sheet", "quiet_rows", "require_format", "sheet", "style",
    "wrapped",
]  # fmt: skip

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# For each side of the verdict: the colour, shape and filling of its marks, and what they mean.
MARKS = {
    "single": (SINGLE, "o", "white", "reads one modality"),
    "combined": (COMBINED, "s", COMBINED, "combines modalities"),
    "aside": (CHANGED, "D", CHANGED, "without a say: its one-modality forms lack"),
    "reference": (QUIET, "|", QUIET, "for reference: presence, null, best-available"),
}
MARKERS = ("o", "s", "^", "D", "v", "P")
WIDTH = 8.4  # inches: the width of the text on screen, and of A4 between its margins when printed
NARROW = 3.6  # inches: the width of the text on a phone
FORMATS = ("svg", "pdf", "png")
DPI = 300
_NOTHING: dict[str, dict[str, None]] = {
    "svg": {"Date": None, "Creator": None, "Format": None, "Type": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "png": {"Software": None},
}
_MEASURED = "DejaVu Sans"  # ships with matplotlib; wider than the fonts above, so that nothing can overlap
_STYLE: dict[str, Any] = {
    "font.family": [_MEASURED],
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "text.color": INK,
    "legend.frameon": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "svg.fonttype": "none",
    "pdf.fonttype": 42,  # letters that an editor can change
    "svg.hashsalt": "chiasm",
}


NewSheet = Callable[[float, float], "Figure"]
"""Makes the empty figure of a picture from its height and width in inches."""


@dataclass(frozen=True)
class Picture:
    """Drawn figure: its main `axes`, from left to right, and a `text` for readers who cannot see it."""

    figure: Figure
    axes: tuple[Axes, ...]
    text: str

    @property
    def width(self) -> int:
        """Width in pixels of a screen."""
        return round(self.figure.get_figwidth() * 96)

    @property
    def source(self) -> str:
        """The picture as a data URL of SVG for the page; equal figures give equal bytes."""
        drawn = self.stored("svg").decode("utf-8")
        drawn = drawn[drawn.index("<svg") :].replace(f"'{_MEASURED}'", FONT)
        return f"data:image/svg+xml;base64,{base64.b64encode(drawn.encode('utf-8')).decode('ascii')}"

    def stored(self, kind: str) -> bytes:
        """The picture as a file of one of `FORMATS`, without date or maker; equal figures give equal bytes."""
        buffer = io.BytesIO()
        with style():
            self.figure.savefig(buffer, format=kind, metadata=_NOTHING[kind], dpi=DPI)
        return buffer.getvalue()


def require_format(path: Path) -> str:
    """Return the format that a picture's name asks for, one of `FORMATS`.

    Raises:
        ValueError: another ending.
    """
    kind = path.suffix.lstrip(".")
    if kind not in FORMATS:
        raise ValueError(f"'{path.name}' must end in one of {', '.join(FORMATS)}: the picture is written as one")
    return kind


@contextmanager
def style() -> Iterator[None]:
    """Draw in the style of the page, whatever the user has set, and restore the user's settings afterwards."""
    from matplotlib.style import context

    with context(["default", _STYLE]):
        yield


def sheet(height: float, width: float) -> Figure:
    """Make an empty figure for the page, kept apart from every figure that the user may have open."""
    return _drawn_once()(figsize=(width, height), layout="constrained")


@cache
def _drawn_once() -> type[Figure]:
    """Make the class of figures that are drawn once when they are saved.

    matplotlib draws a figure twice, the first time without ink, for the sake of its layout; here the layout is computed
    alone, which takes a quarter off, and the file is the same.
    """
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    class DrawnOnce(Figure):
        def draw(self, renderer: Any) -> None:
            engine = self.get_layout_engine()
            if isinstance(engine, ConstrainedLayoutEngine) and self.canvas.is_saving():
                engine.execute(self)  # afterwards it is taken away, and the figure drawn again
            else:
                super().draw(renderer)

    return DrawnOnce


def own_sheet(height: float, width: float) -> Figure:
    """Make an empty figure for a file, on white paper."""
    figure = sheet(height, width)
    figure.set_facecolor("white")
    return figure


def open_sheet(height: float, width: float) -> Figure:
    """Make an empty figure that a notebook shows and `matplotlib.pyplot` knows, on white paper."""
    from matplotlib.pyplot import figure

    return figure(figsize=(width, height), layout="constrained", facecolor="white")


def quiet_rows(axes: Axes) -> None:
    """Remove the frame and ticks beside rows with names on the left."""
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)


def wrapped(name: str, width: int = 30) -> str:
    """Break a long name of a recipe into several lines, after a mark of its own."""
    lines, line = [], ""
    for piece in re.split(r"(?<=[,:=+_ -])", name):
        if line and len(line) + len(piece) > width:
            lines.append(line)
            line = ""
        line += piece
    return "\n".join([*lines, line])
