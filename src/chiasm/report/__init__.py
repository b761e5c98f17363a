"""Report of a trial as one self-contained HTML file, and its pictures one by one."""

from __future__ import annotations

from chiasm.report.page import write_report
from chiasm.report.plots import Plots

__all__ = ["Plots", "write_report"]
