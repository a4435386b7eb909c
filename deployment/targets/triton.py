"""Write a bundle as a model repository of NVIDIA's Triton Inference Server: trunk, branches, and an ensemble of them.

    trunk/config.pbtxt            trunk/1/model.onnx
    branch_<attribute>/...        its scores carry labels.txt, the values in order; its threshold is a parameter
    graftnet/config.pbtxt         the ensemble: images to every attribute's scores, the trunk once

Each branch is a model of its own, so adding an attribute adds a folder and changes the ensemble's config.pbtxt alone.
There is no server to try it on here: the folder is checked against the ONNX files, and the ensemble is played through
onnxruntime, step by step as config.pbtxt says, on the bundle's golden images.

config.pbtxt is in protocol buffers' text format: a message is a dict, a repeated message a list of dicts, a list
of plain values is written in brackets, a word in capitals (an enumeration's value) is a `Word`.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deployment.bundle.joined import input_name
from deployment.errors import BundleError
from deployment.runtime.checks import golden_error
from deployment.runtime.exported import Exported, open_session
from deployment.runtime.files import output_key, read_checked, shape_of
from foundation.folders import replaced_folder

Floats = npt.NDArray[np.float32]
ENSEMBLE, TRUNK, VERSION = "graftnet", "trunk", "1"
MARKER = "graftnet/config.pbtxt"


def write_repository(bundle: Path, destination: Path, *, largest_batch: int = 64) -> Path:
    """Write the model repository of a bundle, and return its folder.

    Raises: BundleError for a folder that is no bundle, or whose files changed; UserError for a destination that is
    somebody's own folder; RuntimeError when the ensemble does not give the bundle's golden scores.
    """
    exported = Exported(bundle)
    if exported.bundle_folder != bundle:
        raise BundleError(f"{bundle} is one branch: name a bundle")
    index = exported.bundle
    with replaced_folder(destination, MARKER) as written:
        maps = {part.name: part.shape[1:] for part in exported.session(bundle / "trunk.onnx").get_outputs()}
        given = input_name(index["branches"])
        images = _tensor("image", [3, *shape_of(index["preprocessing"])])
        outputs = [_tensor(name, shape) for name, shape in maps.items()]
        trunk = read_checked(bundle / "trunk.onnx", index["files"]["trunk.onnx"])
        _write_model(written, TRUNK, trunk, [images], outputs, largest_batch)
        steps = [_step(TRUNK, {"image": given}, {name: f"trunk/{name}" for name in maps})]
        scores = []
        for name, folder in exported.branches.items():
            contract, model = exported.contracts[name], f"branch_{name}"
            if odd := next((value for value in contract["values"] if len(value.splitlines()) != 1), None):
                raise BundleError(f"value {odd!r} of {name} has no line of its own in Triton's labels.txt: rename it")
            data = read_checked(folder / "branch.onnx", contract["files"]["branch.onnx"])
            features = _tensor("features", contract["input"]["shape"][1:])
            output = _tensor("scores", [len(contract["values"])])
            threshold = contract["threshold"]
            parameters = {} if threshold is None else {"threshold": repr(threshold)}
            labelled = [{**output, "label_filename": "labels.txt"}]
            _write_model(written, model, data, [features], labelled, largest_batch, parameters)
            (written / model / "labels.txt").write_text("\n".join(contract["values"]) + "\n", encoding="utf-8")
            features_name = f"trunk/{index['outputs'][output_key(contract)]}"
            steps.append(_step(model, {"features": features_name}, {"scores": name}))
            scores.append({**output, "name": name})
        head = {"name": ENSEMBLE, "platform": "ensemble", "max_batch_size": largest_batch}
        ensemble = {
            **head,
            "input": [{**images, "name": given}],
            "output": scores,
            "ensemble_scheduling": {"step": steps},
        }
        (written / ENSEMBLE / VERSION).mkdir(parents=True)
        # An ensemble has no file of its own; without one, the version's folder is lost on many ways of copying.
        (written / ENSEMBLE / VERSION / ".keep").touch()
        (written / ENSEMBLE / "config.pbtxt").write_text(dumps(ensemble), encoding="utf-8")
        worst = golden_error(exported, play(written, exported.golden_images()))
        if worst > index["tolerance"]:
            raise RuntimeError(f"the ensemble's scores differ from the bundle's by {worst:.2e}")
    return destination


def play(repository: Path, images: Floats) -> dict[str, Floats]:
    """Images (N, 3, S, S) -> {attribute: scores}, the ensemble's steps one after the other through onnxruntime.

    Every model's config.pbtxt is compared with its ONNX file on the way. Raises: BundleError where they do not agree.
    """
    ensemble = read_config(repository / ENSEMBLE)
    tensors = {ensemble["input"][0]["name"]: images}
    for step in ensemble["ensemble_scheduling"]["step"]:
        folder = repository / step["model_name"]
        config = read_config(folder)
        session = open_session((folder / VERSION / "model.onnx").read_bytes(), folder)
        for side, parts in (("input", session.get_inputs()), ("output", session.get_outputs())):
            real = {part.name: (part.type, list(part.shape[1:])) for part in parts}
            said = {part["name"]: ("tensor(float)", part["dims"]) for part in config[side]}
            if real != said:
                raise BundleError(f"{folder / 'config.pbtxt'} says its {side} is {said}, model.onnx has {real}")
        inputs = {part["key"]: tensors[part["value"]] for part in step["input_map"]}
        wanted = {part["key"]: part["value"] for part in step["output_map"]}
        tensors |= zip(wanted.values(), session.run(list(wanted), inputs), strict=True)
    return {part["name"]: tensors[part["name"]] for part in ensemble["output"]}


def read_config(folder: Path) -> dict[str, Any]:
    """A model's config.pbtxt, with lists where Triton reads several. Raises: BundleError naming what is wrong."""
    path = folder / "config.pbtxt"
    try:
        config = loads(path.read_text(encoding="utf-8"))
        if config["name"] != folder.name:
            raise ValueError(f"its name {config['name']!r} is not that of its folder")
    except (OSError, ValueError, KeyError) as error:
        raise BundleError(f"{path} cannot be read ({error}): write the repository again") from error
    steps = _listed(config.get("ensemble_scheduling", {}), "step")
    for step in steps:
        step |= {side: _listed(step, side) for side in ("input_map", "output_map")}
    return {
        **config,
        "input": _listed(config, "input"),
        "output": _listed(config, "output"),
        "ensemble_scheduling": {"step": steps},
    }


def _write_model(
    repository: Path,
    name: str,
    data: bytes,
    inputs: list[dict[str, Any]],
    outputs: list[dict[str, Any]],
    largest_batch: int,
    parameters: Mapping[str, str] | None = None,
) -> None:
    config = {
        "name": name,
        "platform": "onnxruntime_onnx",
        "max_batch_size": largest_batch,
        "input": inputs,
        "output": outputs,
        "dynamic_batching": {},
        "parameters": [{"key": key, "value": {"string_value": value}} for key, value in (parameters or {}).items()],
    }
    (repository / name / VERSION).mkdir(parents=True)
    (repository / name / VERSION / "model.onnx").write_bytes(data)
    text = dumps({key: value for key, value in config.items() if value != []})
    (repository / name / "config.pbtxt").write_text(text, encoding="utf-8")


def _tensor(name: str, shape: list[int]) -> dict[str, Any]:
    return {"name": name, "data_type": Word("TYPE_FP32"), "dims": list(shape)}


def _step(model: str, inputs: Mapping[str, str], outputs: Mapping[str, str]) -> dict[str, Any]:
    sides = {"input_map": inputs, "output_map": outputs}
    mapped = {side: [{"key": key, "value": value} for key, value in names.items()] for side, names in sides.items()}
    return {"model_name": model, "model_version": -1, **mapped}


def _listed(message: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    value = message.get(name, [])
    return value if isinstance(value, list) else [value]


class Word(str):
    """An enumeration's value, written without quotes."""

    __slots__ = ()


def dumps(message: Mapping[str, Any], indent: str = "") -> str:
    """The message as text, one field a line."""
    lines = []
    for name, value in message.items():
        for field in value if isinstance(value, list) and value and isinstance(value[0], dict) else [value]:
            if isinstance(field, dict):
                lines.append(f"{indent}{name} {{\n{dumps(field, indent + '  ')}{indent}}}\n")
            elif isinstance(field, list):
                lines.append(f"{indent}{name}: [{', '.join(map(_plain, field))}]\n")
            else:
                lines.append(f"{indent}{name}: {_plain(field)}\n")
    return "".join(lines)


def loads(text: str) -> dict[str, Any]:
    """What `dumps` wrote; a field that comes several times is a list. Raises: ValueError for other text."""
    tokens = re.findall(r'"(?:[^"\\]|\\.)*"|[A-Za-z_][A-Za-z0-9_]*|-?[0-9][0-9.eE+-]*|[{}\[\]:,]|\S', text)
    message, rest = _message(tokens, 0)
    if rest < len(tokens):
        raise ValueError(f"{tokens[rest]!r} stands behind the end of the message")
    return message


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, Word) else json.dumps(value, ensure_ascii=False)


def _message(tokens: list[str], at: int) -> tuple[dict[str, Any], int]:
    fields: dict[str, Any] = {}
    while at < len(tokens) and tokens[at] != "}":
        name = tokens[at]
        if not re.fullmatch(r"[A-Za-z_]\w*", name) or at + 1 >= len(tokens):
            raise ValueError(f"{name!r} is no field's name, or nothing follows it")
        value: Any
        if tokens[at + 1] == "{":
            value, at = _message(tokens, at + 2)
            if at >= len(tokens):
                raise ValueError(f"the message {name} is not closed")
            at += 1
        elif tokens[at + 1] == ":" and tokens[at + 2 : at + 3] == ["["]:
            end = tokens.index("]", at)
            value, at = [_value(token) for token in tokens[at + 3 : end] if token != ","], end + 1
        elif tokens[at + 1] == ":" and at + 2 < len(tokens):
            value, at = _value(tokens[at + 2]), at + 3
        else:
            raise ValueError(f"neither a colon nor a brace follows {name!r}")
        earlier = fields.get(name)
        fields[name] = value if earlier is None else [*(earlier if isinstance(earlier, list) else [earlier]), value]
    return fields, at


def _value(token: str) -> Any:
    if token[0] == '"' or token[0] in "-0123456789":
        return json.loads(token)
    if token in ("true", "false"):
        return token == "true"
    if not token.isidentifier():
        raise ValueError(f"{token!r} is no value")
    return Word(token)
