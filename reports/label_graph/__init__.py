"""The page of a label graph's run."""

from reports.label_graph.page import write_label_graph_report

__all__ = ["write_label_graph_report"]
