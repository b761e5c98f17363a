"""Numbers as text, with the same digits wherever a number stands on the page."""

from __future__ import annotations

import math
from collections.abc import Sequence

from chiasm.metrics.scores import METRICS, Metric
from chiasm.shown import NOT_ESTIMABLE
from chiasm.shown import interval as interval
from chiasm.shown import number as number


def rounded(value: float | None, significant: int = 3) -> str:
    """Format with so many significant digits and no exponent; what describes patients is never given exactly."""
    if value is None or not math.isfinite(value):
        return NOT_ESTIMABLE
    if value == 0:
        return "0"
    digits = max(0, significant - 1 - math.floor(math.log10(abs(value))))
    text = f"{float(f'{value:.{significant}g}'):,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def percent(share: float) -> str:
    """Format a share of patients as a whole percentage, `<1 %` where it would round to nothing."""
    return "<1 %" if 0 < share < 0.005 else f"{100 * share:.0f} %"


def duration(seconds: float) -> str:
    """Format seconds as seconds, minutes or hours, whichever reads best."""
    if seconds < 0.05:
        return "<0.1 s"
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"


def count(n: int, noun: str, plural: str = "") -> str:
    """Format a number with its noun: `1 patient`, `2,000 patients`."""
    return f"{n:,} {noun if n == 1 else plural or noun + 's'}"


def sentence(text: str) -> str:
    """Begin a text with a capital letter, and leave the rest as it is."""
    return text[:1].upper() + text[1:]


def listing(items: Sequence[str]) -> str:
    """Join items as `a, b and c`."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}" if items else ""


def metric_of(kind: str, name: str) -> Metric:
    """Return the metric of this id."""
    return next(metric for metric in METRICS[kind] if metric.id == name)


def better(metric: Metric) -> str:
    """Say in which direction, or at which value, a metric is best."""
    if metric.higher_is_better is None:
        return f"ideal is {metric.ideal:g}"
    return "higher is better" if metric.higher_is_better else "lower is better"
