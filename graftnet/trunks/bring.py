"""Weights from elsewhere as versions of a project's trunks: published ones, files, folders, another project's."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from foundation.provenance import timestamp
from foundation.records import read_record
from graftnet import __version__
from graftnet.errors import ConfigError
from graftnet.project.config import CONFIG_NAME
from graftnet.project.folder import Project, open_project
from graftnet.trunks.inputs import chosen_input, set_by_hand
from trunk.pretrained import imagenet_trunk, timm_trunk
from trunk.records import TrunkShape
from trunk.trunk import Trunk, load_trunk


def bring(project: Project, source: str) -> Path:
    """Existing weights as a version of the project's trunks, which nothing uses yet.

    ``source``: ``imagenet``; ``timm:NAME``; a weights file of the configured backbone in its library's names; a trunk
    folder; or another project, whose trunk is taken.
    """
    table = project.config.trunk
    path = Path(source).expanduser()
    record: dict[str, Any] = {"source": source, "version": __version__}
    if (path / CONFIG_NAME).is_file():
        path = open_project(path).current_trunk
    if source == "imagenet":
        trunk = imagenet_trunk(table.image_size, partial(chosen_input, project))
    elif source.startswith("timm:"):
        trunk = timm_trunk(source.removeprefix("timm:"), table.image_size, partial(chosen_input, project))
    elif (path / "trunk.json").is_file():
        trunk = Trunk.load(path)
        record.update(learnt_from(path))
    elif path.is_dir() or not path.exists():
        raise ConfigError(
            f"{source} is no trunk: give a weights file, a trunk folder, another project's folder, 'imagenet' or "
            f"'timm:NAME'."
        )
    else:
        trunk = load_trunk(path, table.backbone, chosen_input(project))
    asked = replace(trunk.preprocessing, **set_by_hand(project))  # another project's, or a folder's, keeps the rest
    if asked != trunk.preprocessing:
        trunk = Trunk(trunk.backbone, trunk.chain, asked)
    folder = project.trunks / trunk.fingerprint[:12]
    if not (folder / "trunk.json").exists():
        keep(trunk, folder, record)
    return folder


def learnt_from(folder: Path) -> dict[str, Any]:
    """What a trunk's record says of the attributes it was trained on, for the record of its copy."""
    record = read_record(folder / "trunk.json", TrunkShape)
    return {key: record[key] for key in ("attributes",) if key in record}


def keep(trunk: Trunk, folder: Path, record: dict[str, Any]) -> None:
    """Write a trunk's folder; ``trunk.json`` comes last and makes it whole."""
    table = {"blocks": len(trunk.chain), "shapes": [list(shape) for shape in trunk.shapes]}
    trunk.save(folder, {**record, **table, "created": timestamp()})
