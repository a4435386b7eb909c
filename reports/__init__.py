"""Records to pages: what a search found, drawn and compared, as one self-contained HTML file; and one over all."""

from reports.card import write_card
from reports.errors import ReportError
from reports.fleet.page import write_fleet_report
from reports.search.compare import write_comparison
from reports.search.page import write_report

__all__ = ["ReportError", "write_card", "write_comparison", "write_fleet_report", "write_report"]
