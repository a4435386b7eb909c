"""Weights from elsewhere as versions of a project's trunks: published ones, files, folders, another project's."""

from pathlib import Path
from typing import Any

from foundation.provenance import timestamp
from graftnet.project.folder import Project
from graftnet.trunks.given_weights import given_weights, require_configured
from trunk.trunk import Trunk


def bring(project: Project, source: str, *, for_use: bool = False) -> Path:
    """Existing weights as a version of the project's trunks, which nothing uses yet.

    ``source``: ``imagenet``, the best published weights of the configured backbone; ``timm:NAME`` and what else
    `trunk.sources` lists; a weights file of the configured backbone in its library's names; a trunk folder; or another
    project, whose trunk is taken. ``for_use``: as the project's trunk, which is of its backbone.
    """
    trunk, record = given_weights(project, source)
    if for_use:
        require_configured(project, trunk.backbone, source)
    folder = project.trunks / trunk.fingerprint[:12]
    if not (folder / "trunk.json").exists():
        keep(trunk, folder, record)
    return folder


def keep(trunk: Trunk, folder: Path, record: dict[str, Any]) -> None:
    """Write a trunk's folder; ``trunk.json`` comes last and makes it whole."""
    table = {"blocks": len(trunk.chain), "shapes": [list(shape) for shape in trunk.shapes]}
    trunk.save(folder, {**record, **table, "created": timestamp()})
