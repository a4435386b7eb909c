"""Join the trunk and every branch to one ONNX graph: images in, one output per attribute, named by it.

The trunk is in it once. The parts are those of the bundle, node by node: each branch's names get the attribute before
them, and its features are the trunk's map of its depth.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import onnx
from onnx import compose, version_converter

from deployment.errors import BundleError
from deployment.runtime.files import output_key

JOINED = "graftnet.onnx"


def joined_graph(folder: Path, bundle: Mapping[str, Any]) -> onnx.ModelProto:
    """`graftnet.onnx` of the bundle in `folder` with this index. Raises: BundleError for a part that is no ONNX file.

    Shapes: images (N, 3, S, S) -> per attribute, in the bundle's order, scores (N, values).
    """
    trunk = _load(folder / "trunk.onnx")
    branches = {name: _load(folder / part["folder"] / "branch.onnx") for name, part in bundle["branches"].items()}
    trunk, *grafts = _of_one_version([trunk, *branches.values()])
    whole, joints = compose.add_prefix(trunk, "trunk/"), []
    joined: onnx.ModelProto | None = None
    for graft, (name, part) in zip(grafts, bundle["branches"].items(), strict=True):
        prefix = f"branch/{name}/"
        output = bundle["outputs"][output_key(part)]
        joints.append((f"trunk/{output}", f"{prefix}{graft.graph.input[0].name}"))
        graft = compose.add_prefix(graft, prefix)
        # Branches first, the trunk last: every merge copies both sides, and the trunk is by far the largest.
        joined = graft if joined is None else compose.merge_models(joined, graft, io_map=[])
    assert joined is not None
    outputs = [output.name for output in joined.graph.output]
    joined = compose.merge_models(whole, joined, io_map=joints, outputs=outputs)
    _rename(
        joined.graph,
        {whole.graph.input[0].name: input_name(bundle["branches"]), **dict(zip(outputs, branches, strict=True))},
    )
    joined.graph.name, joined.producer_name, joined.producer_version = "graftnet", "graftnet", ""
    del joined.metadata_props[:]
    versions = {entry.domain: entry.version for entry in joined.opset_import}  # merging repeats them
    del joined.opset_import[:]
    joined.opset_import.extend(onnx.helper.make_opsetid(domain, version) for domain, version in versions.items())
    onnx.checker.check_model(joined)
    return joined


def input_name(attributes: Iterable[str]) -> str:
    """`image`, or where an attribute is called so, `image_`: every name in a graph is there once."""
    name, taken = "image", set(attributes)
    while name in taken:
        name += "_"
    return name


def _load(path: Path) -> onnx.ModelProto:
    try:
        return onnx.load(str(path), load_external_data=False)
    except Exception as error:  # protobuf's errors have no common class
        raise BundleError(f"{path} is no ONNX file ({error}): export the bundle again") from error


def _of_one_version(models: list[onnx.ModelProto]) -> list[onnx.ModelProto]:
    """The same models with one operator set and one file version: parts may have been written by different releases."""
    version = max(entry.version for model in models for entry in model.opset_import if not entry.domain)
    newest = max(model.ir_version for model in models)
    same = []
    for model in models:
        if any(entry.version < version for entry in model.opset_import if not entry.domain):
            model = version_converter.convert_version(model, version)
        model.ir_version = newest
        same.append(model)
    return same


def _rename(graph: onnx.GraphProto, names: Mapping[str, str]) -> None:
    """Give values other names, wherever they are written or read."""
    for value in (*graph.input, *graph.output, *graph.value_info):
        value.name = names.get(value.name, value.name)
    for node in graph.node:
        for side in (node.input, node.output):
            side[:] = [names.get(name, name) for name in side]
