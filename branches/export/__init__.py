"""Export a branch: plain source, ONNX, weights, golden arrays."""
