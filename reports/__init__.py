"""Records to pages: what a search found, drawn and compared, as one self-contained HTML file; and one over all."""

from reports.card import write_card
from reports.compare import write_comparison
from reports.errors import ReportError
from reports.fleet import write_fleet_report
from reports.page import write_report

__all__ = ["ReportError", "write_card", "write_comparison", "write_fleet_report", "write_report"]
