"""Report of a trial as one self-contained HTML file."""

from __future__ import annotations

from chiasm.report.page import write_report

__all__ = ["write_report"]
