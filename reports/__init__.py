"""Records to pages: what a search found, drawn and compared, as one self-contained HTML file."""

from reports.errors import ReportError
from reports.page import write_report

__all__ = ["ReportError", "write_report"]
