"""Weights files as people have them: the dictionary inside that is meant, the prefix of its names, what does not fit.

Nothing in a file is run: `.safetensors` files hold plain tensors, `.pth` files are read weights-only.
"""

import difflib
import json
import pickle
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from foundation.errors import RecordError
from foundation.records import check
from trunk.backbones.chain import BACKBONES
from trunk.errors import TrunkError
from trunk.preprocessing import Preprocessing
from trunk.records import PreprocessingShape

# Where a training's file keeps the weights; a running average of them comes first, as in timm.
AVERAGED = ("state_dict_ema", "model_ema", "ema_state_dict", "ema")
INSIDE = (*AVERAGED, "state_dict", "model_state_dict", "model_state", "model", "weights")
COMPILED = ("_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.")  # anywhere in a name
BETTER = ("ema", "teacher", "averaged")  # of two networks of one shape in a file: what is meant to be used
MOST_PARTS = 16  # of a name, that may be a prefix
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
METADATA = "trunk"  # the key under which a trunk's own weights file says what its input is
# What a file that does not fit may be.
GUESSES = (
    "small_cnn",
    "inception_v3",
    *("resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "wide_resnet50_2", "resnext50_32x4d"),
    *("tf_efficientnet_lite0", "tf_efficientnet_lite1", "tf_efficientnet_lite2", "efficientnet_b0", "efficientnet_b2"),
    *("mobilenetv2_100", "mobilenetv3_small_100", "mobilenetv3_large_100", "densenet121", "vgg16", "vgg16_bn"),
    *("tresnet_m", "convnext_tiny", "regnety_008", "vit_small_patch16_224", "vit_base_patch16_224"),
)
ALIKE = 0.8  # of the names and shapes of both together


class Fitted(NamedTuple):
    """Weights under a backbone's names, float32, and sentences about how they were found."""

    weights: dict[str, Tensor]
    notes: tuple[str, ...]


def read_weights(path: Path, backbone: str) -> Any:
    """What a `.safetensors` or `.pth` file holds.

    Raises:
        TrunkError: there is none, it cannot be read, or it holds more than plain tensors.
    """
    if not path.is_file():
        raise TrunkError(f"There is no weights file {path}; give a .safetensors or .pth file of {backbone}.")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except (
        SafetensorError,
        RuntimeError,
        ValueError,
        EOFError,
        OSError,
        LookupError,
        TypeError,
        AttributeError,
    ) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise TrunkError(f"{path} cannot be read as weights ({first}); give a .safetensors or .pth file.") from error
    except pickle.UnpicklingError as error:
        raise TrunkError(
            f"{path} is no file of plain tensors: it is something else, or holds pickled objects, which are never "
            f"loaded; save the model's state_dict()."
        ) from error


def stated_input(path: Path) -> Preprocessing | None:
    """The input that a trunk's own weights file says in its metadata; None for any other file."""
    if path.suffix != ".safetensors":
        return None
    try:
        with safe_open(path, framework="pt") as file:
            record = json.loads((file.metadata() or {}).get(METADATA, "null"))
        stated = record.get("preprocessing") if isinstance(record, dict) else None
        if not isinstance(stated, dict):
            return None
        check(stated, PreprocessingShape, path)
        return Preprocessing.from_json(stated)
    except (SafetensorError, RecordError, OSError, ValueError, RecursionError):
        return None


def named_tensors(weights: Any, source: str) -> Fitted:
    """The dictionary of named tensors that is meant, as it stands in the file.

    Raises:
        TrunkError: there is none.
    """
    notes: list[str] = []
    if isinstance(weights, dict):
        held = [key for key in INSIDE if isinstance(weights.get(key), dict) and weights[key]]
        if held:
            if held[0] in AVERAGED:
                besides = next((key for key in held if key not in AVERAGED), None)
                notes.append(
                    f"weights: their running average ({held[0]})" + (f", rather than {besides}" if besides else "")
                )
            weights = weights[held[0]]
    if not isinstance(weights, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in weights.items()
    ):
        raise TrunkError(f"{source} is not a dictionary of named tensors; save the model's state_dict().")
    return Fitted({bare(name): value for name, value in weights.items()}, tuple(notes))


def bare(name: str) -> str:
    """A weight's name without what compiling and wrapping put into it."""
    for part in COMPILED:
        name = name.replace(part, "")
    return name


def fit(weights: Any, needed: Mapping[str, Tensor], backbone: str, source: str, *, whole: bool = True) -> Fitted:
    """Weights as they were read -> those that a backbone needs, float32.

    A prefix that makes the names fit is taken off; a classifier of any size and auxiliary heads are left out.

    whole: refuse weights that belong inside the blocks and that the backbone has no place for.

    Raises:
        TrunkError: some are missing, of another shape, left over, of a kind that cannot be widened, or no numbers.
    """
    named, notes = named_tensors(weights, source)
    if odd := next((name for name, value in named.items() if not plain(value)), None):
        raise TrunkError(
            f"{source} holds {odd!r} as a sparse, quantised or empty tensor; save the weights as plain ones."
        )
    prefixes = prefixes_of(named, needed)
    if prefixes[0]:
        also = f", not {prefixes[1] or 'those without a prefix'}" if len(prefixes) > 1 else ""
        notes = (*notes, f"names: without their prefix {prefixes[0]}{also}")
    given = under(named, prefixes[0])
    missing = [name for name in needed if name not in given]
    wrong = [name for name in needed if name in given and given[name].shape != needed[name].shape]
    if missing or wrong:
        raise TrunkError(
            f"{source} does not fit {backbone}: {len(missing)} weights are missing and {len(wrong)} have another shape "
            f"(first: {(missing or wrong)[0]}{hint(missing, needed, given)}); {looks_like(named, backbone)}."
        )
    if whole and (surplus := left_over(given, needed, backbone)):
        raise TrunkError(
            f"{source} does not fit {backbone}: it has no place for {len(surplus)} of the weights (first: "
            f"{surplus[0]}); {looks_like(named, backbone)}."
        )
    if odd := next((name for name in needed if given[name].dtype not in FLOATS), None):
        kind = str(given[odd].dtype).removeprefix("torch.")
        raise TrunkError(
            f"{source} holds {odd!r} as {kind}, which is not the weights themselves; save them in float16 or more."
        )
    floats = {name: given[name].float() for name in needed}
    if odd := next((name for name, value in floats.items() if not bool(value.isfinite().all())), None):
        raise TrunkError(
            f"{source} has weights that are no numbers (first: {odd}); give others, these would train nothing."
        )
    return Fitted(floats, notes)


def plain(value: Tensor) -> bool:
    """Whether a tensor of somebody's file can be copied into a weight."""
    return value.layout == torch.strided and not value.is_quantized and not value.is_meta and not value.is_complex()


def prefixes_of(named: Mapping[str, Tensor], needed: Mapping[str, Tensor]) -> list[str]:
    """What to take off the names so that most fit, by shape and else by name; the best first, equally good ones after.

    Of networks of one shape in a file, a running average or a teacher comes first, then the one without a prefix.
    """
    shapes: Counter[str] = Counter()
    names: Counter[str] = Counter({"": 0})
    for name, value in named.items():
        parts = name.split(".")
        for start in range(min(len(parts), MOST_PARTS)):
            rest = ".".join(parts[start:])
            if rest in needed:
                prefix = name.removesuffix(rest)
                names[prefix] += 1
                shapes[prefix] += value.shape == needed[rest].shape
    most = max((shapes[prefix], count) for prefix, count in names.items())
    best = [prefix for prefix, count in names.items() if (shapes[prefix], count) == most]
    return sorted(best, key=lambda prefix: (not any(word in prefix for word in BETTER), prefix != ""))


def under(named: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The weights whose names begin so, without it."""
    return {name.removeprefix(prefix): value for name, value in named.items() if name.startswith(prefix)}


def left_over(given: Collection[str], needed: Collection[str], backbone: str) -> list[str]:
    """The names of weights that stand inside the backbone's blocks, and that it does not have."""
    inside = {name.partition(".")[0] for name in needed} - heads_of(backbone)
    return [
        name
        for name in given
        if name not in needed and name.partition(".")[0] in inside and not name.endswith("num_batches_tracked")
    ]


def heads_of(backbone: str) -> set[str]:
    """The modules of a backbone that hold its classifier, which may be of any size and shape."""
    if backbone in BACKBONES:
        return {"fc", "AuxLogits"}
    from timm.models import get_pretrained_cfg  # timm takes a second to import, and most files fit

    settings = get_pretrained_cfg(backbone)
    stated = settings.classifier if settings else None
    return {str(head).partition(".")[0] for head in ([stated] if isinstance(stated, str) else stated or [])}


def hint(missing: list[str], needed: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> str:
    """``; did you mean NAME?``: of the weights that have the missing one's shape and no other use, the closest name."""
    if not missing:
        return ""
    free = [name for name, value in given.items() if name not in needed and value.shape == needed[missing[0]].shape]
    close = difflib.get_close_matches(missing[0], free[:1000], n=1, cutoff=0)
    return f"; did you mean {close[0]}?" if close else ""


def looks_like(named: Mapping[str, Tensor], backbone: str) -> str:
    """What to do about weights that do not fit, with a guess at what they are."""
    scores = {name: alike(named, name) for name in GUESSES if name != backbone}
    best = max(scores, key=lambda name: scores[name])
    if scores[best] < ALIKE:
        return "give weights of this backbone or set trunk.backbone"
    return f"they look like {best}: give weights of this backbone or set trunk.backbone to {best!r}"


def alike(named: Mapping[str, Tensor], backbone: str) -> float:
    """The share of names and shapes, of a file's and a backbone's together, that both have (0 to 1)."""
    import timm

    with torch.device("meta"):
        model: nn.Module = (
            BACKBONES[backbone].build() if backbone in BACKBONES else timm.create_model(backbone, pretrained=False)
        )
    theirs = {name: value for name, value in model.state_dict().items() if value.dim()}
    ours = {name: value for name, value in under(named, prefixes_of(named, theirs)[0]).items() if value.dim()}
    both: int = sum(name in theirs and value.shape == theirs[name].shape for name, value in ours.items())
    return both / max(1, len(ours.keys() | theirs.keys()))
