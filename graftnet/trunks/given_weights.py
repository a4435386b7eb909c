"""Weights that a person names: found by what a person typed, with their own input, and where both come from."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from foundation.records import read_record
from graftnet import __version__
from graftnet.errors import ConfigError
from graftnet.project.config import CONFIG_NAME
from graftnet.project.folder import Project, open_project
from graftnet.trunks.inputs import chosen_input, set_by_hand
from trunk.backbones.find import find_backbone
from trunk.errors import TrunkError
from trunk.own_input import file_input, timm_input, torchvision_input
from trunk.pretrained import load, timm_trunk
from trunk.records import TrunkShape
from trunk.sources import PACKAGES, Source, others, published
from trunk.trunk import Trunk, trunk_from_weights
from trunk.weights_file import named_tensors, read_weights

KINDS = ("package", "torchvision", "timm")


class Given(NamedTuple):
    """A trunk, and what its record says of where it is from."""

    trunk: Trunk
    record: dict[str, Any]


def given_weights(project: Project, source: str) -> Given:
    """The trunk that ``source`` means (see :func:`graftnet.trunks.bring.bring`), with this project's input.

    Raises:
        ConfigError, TrunkError: there is none, it cannot be had, it does not fit, or is of another backbone.
    """
    record: dict[str, Any] = {"source": source, "version": __version__}
    kind, _, name = source.partition(":")
    path = Path(source).expanduser()
    if source == "imagenet" or (kind in KINDS and name):
        chosen = best(project.config.trunk.backbone) if source == "imagenet" else [named(kind, name)]
        require_configured(project, chosen[0].backbone, source)  # before a download
        trunk, origin, record["source"] = first_to_be_had(project, chosen)
    elif folder := trunk_folder(path):
        trunk, origin = Trunk.load(folder), "the trunk that was brought"
        before = read_record(folder / "trunk.json", TrunkShape)
        record |= {"attributes": before["attributes"]} if "attributes" in before else {}
        origin = before.get("input_from", origin)
    elif path.is_dir() or not path.exists():
        raise ConfigError(
            f"{source} is no trunk: give a weights file, a trunk folder, another project's folder, 'imagenet' or "
            f"'timm:NAME'; 'graftnet trunk use' alone lists what can be had."
        )
    else:
        trunk, origin = file_trunk(project, path)
    by_hand = set_by_hand(project)  # another project's, or a folder's, keeps the rest
    asked = replace(trunk.preprocessing, **by_hand)
    notes = trunk.notes
    if asked != trunk.preprocessing:
        trunk = Trunk(trunk.backbone, trunk.chain, asked)
    record["input_from"] = origin + (f"; {', '.join(by_hand)} of {CONFIG_NAME}" if by_hand else "")
    return Given(trunk, record | ({"notes": list(notes)} if notes else {}))


def require_configured(project: Project, backbone: str, source: str) -> None:
    """Raises: ConfigError where weights are of another backbone than the project's, which nothing could use."""
    if backbone != project.config.trunk.backbone:
        raise ConfigError(
            f"{source} is a {backbone}, but trunk.backbone in {project.folder / CONFIG_NAME} is "
            f"{project.config.trunk.backbone!r}; set it to {backbone!r} first, or take weights that `graftnet trunk "
            f"use` lists for it."
        )


def trunk_folder(path: Path) -> Path | None:
    """The folder of the trunk that a path means: a project's in use, a trunk's own, or the one a weights file is of."""
    if (path / CONFIG_NAME).is_file():
        return open_project(path).current_trunk
    folder = path.parent if path.name == "weights.safetensors" and path.is_file() else path
    return folder if (folder / "trunk.json").is_file() else None


def best(backbone: str) -> list[Source]:
    """The weights of a backbone that ImageNet trained, in the order to try: those here, then one of each library's.

    Raises:
        TrunkError: nobody published any, or there is no such backbone.
    """
    find_backbone(backbone)
    found = published(backbone)
    usable = [source for source in found if source.here or source.kind != "package"] or found
    # Of a library's further weights none can be had where its first cannot.
    firsts = {source.kind: source for source in reversed(usable)}
    if usable:
        return [source for source in usable if source.here or source is firsts[source.kind]]
    instead = next(iter(others(backbone)))
    raise TrunkError(
        f"There are no published weights of {backbone}; train it with `graftnet trunk train`, or set trunk.backbone to "
        f"{instead.backbone!r} or another that `graftnet trunk use` lists."
    )


def first_to_be_had(project: Project, sources: list[Source]) -> tuple[Trunk, str, str]:
    """The trunk of the first of these weights that can be loaded, where its input is from, and the weights' call.

    Raises:
        TrunkError: the last one's, with the names of the others that were tried.
    """
    for source in sources[:-1]:
        try:
            return (*published_trunk(project, source), source.call)
        except TrunkError:
            continue  # the next one; if none can be had, the last says so
    try:
        return (*published_trunk(project, sources[-1]), sources[-1].call)
    except TrunkError as error:
        before = ", ".join(source.call for source in sources[:-1])
        raise TrunkError(f"{error} ({before} could not be had either.)" if before else str(error)) from error


def named(kind: str, name: str) -> Source:
    """The weights of this kind and name; timm's need not be in our table.

    Raises:
        TrunkError: there are none.
    """
    if kind == "timm":
        backbone = name.partition(".")[0]
        known = [source for source in published(backbone) if source.kind == "timm"]
        of_name = [source for source in known if name in (source.name, source.backbone)]
        return of_name[0] if of_name else Source(backbone, "timm", name, 0.0)
    table = {source.call: source for source in (*PACKAGES, *others("")) if source.kind == kind}
    if f"{kind}:{name}" not in table:
        raise TrunkError(f"There are no weights {kind}:{name}; there are {', '.join(table)}.")
    return table[f"{kind}:{name}"]


def published_trunk(project: Project, source: Source) -> tuple[Trunk, str]:
    """The trunk of published weights, and where its input is from."""
    size, shaped = project.config.trunk.image_size, partial(chosen_input, project)
    if source.kind == "timm" and not source.megabytes:
        return timm_trunk(source.name, size, shaped), timm_input(source.name, size).origin
    own = torchvision_input(size) if source.kind == "torchvision" else timm_input(model_of(source), size)
    return load(source, size, shaped), own.origin


def model_of(source: Source) -> str:
    """The model, for a package's weights, or the weights whose configuration timm has."""
    return source.name if source.kind == "timm" else source.backbone


def file_trunk(project: Project, path: Path) -> tuple[Trunk, str]:
    """The trunk of a file of weights of the configured backbone, and where its input is from."""
    backbone, size = project.config.trunk.backbone, project.config.trunk.image_size
    weights = read_weights(path, backbone)
    own = file_input(path, named_tensors(weights, str(path)).weights, backbone, size)
    return trunk_from_weights(weights, backbone, chosen_input(project, own.preprocessing), source=str(path)), own.origin
