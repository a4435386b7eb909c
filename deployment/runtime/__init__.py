"""Run and verify an exported branch or bundle with numpy, onnxruntime and Pillow; `runtime.pyz` packs this folder."""

from deployment.runtime.runtime import Runtime

__all__ = ["Runtime"]
