"""Number format of a project's cached features: as `trunk.feature_precision` says, "auto" as it is measured."""

import torch

from foundation.files import read_json_if_whole, write_json
from graftnet.project.folder import Project
from trunk.features.precision import BOUND, bfloat16_error
from trunk.precision import resolve_precision
from trunk.trunk import Trunk


def feature_precision(project: Project, trunk: Trunk, device: torch.device) -> str:
    """ "float32" or "bfloat16": what `trunk` computes the project's features in.

    "auto" is bfloat16 where the device has it and the features stay within :data:`BOUND` of those in float32; that is
    measured once per trunk and kind of device, and kept beside the caches.
    """
    asked = project.config.trunk.feature_precision
    resolved = resolve_precision(asked, device)
    if asked != "auto" or resolved == "float32":
        return resolved
    path = project.cache / f"{trunk.fingerprint[:16]}-{device.type}.precision.json"
    about = {"fingerprint": trunk.fingerprint, "device": device.type, "bound": BOUND}
    record = read_json_if_whole(path)
    if {key: record.get(key) for key in about} != about or not isinstance(record.get("relative_error"), float):
        error = bfloat16_error(trunk)
        # JSON has no infinity: what is no number is farther than any bound.
        record = {**about, "relative_error": min(error, 1e9), "precision": "bfloat16" if error <= BOUND else "float32"}
        write_json(path, record)
    return "bfloat16" if record["relative_error"] <= BOUND else "float32"
