"""Export a branch: plain source, ONNX, weights, golden arrays."""

from branches.export.folder import export_branch

__all__ = ["export_branch"]
