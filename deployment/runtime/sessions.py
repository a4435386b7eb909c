"""ONNX bytes as an onnxruntime session, on the CPU or the GPU."""

import platform
from pathlib import Path

import onnxruntime

from deployment.errors import BundleError

DEVICES = ("cpu", "cuda", "auto")


def open_session(
    data: bytes, path: Path, *, threads: int = 0, device: str = "cpu", quiet: bool = True
) -> onnxruntime.InferenceSession:
    """A session of an ONNX file's bytes; `path` is only named in errors.

    The bytes are whole: weights beside the file are not read. `threads` 0 is onnxruntime's own choice. Raises:
    BundleError when the bytes are no ONNX model that this onnxruntime runs, or there is no such device.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4 if quiet else 3
    options.intra_op_num_threads = threads
    # A session's threads would go on spinning after a run, on the cores that the next session and the decoders need.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(data, options, providers=providers(device))
    except BundleError:
        raise
    except Exception as error:  # onnxruntime has an exception for every kind of broken model
        raise BundleError(f"{path} is no model that onnxruntime {onnxruntime.__version__} runs ({error})") from error
    if device == "cuda" and "CUDAExecutionProvider" not in session.get_providers():
        # onnxruntime only warns when the libraries of CUDA do not load, and computes on the CPU.
        raise BundleError(
            "onnxruntime cannot use its CUDA provider here (CUDA or cuDNN does not load): see its warning"
        )
    return session


def processor() -> str:
    """What this machine computes with, in words."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def providers(device: str) -> list[str]:
    """Execution providers for a device, the CPU last. Raises: BundleError when onnxruntime has no CUDA but must."""
    if device not in DEVICES:
        raise BundleError(f"the device must be one of {', '.join(DEVICES)}, is {device!r}")
    cuda = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    if device == "cuda" and not cuda:
        raise BundleError(
            "this onnxruntime has no CUDA provider: pip install onnxruntime-gpu in its place, or choose the device cpu"
        )
    return [*(["CUDAExecutionProvider"] if cuda and device != "cpu" else []), "CPUExecutionProvider"]
