"""A new project folder: the commented graftnet.toml, an empty data folder, and runs/ kept out of git."""

import json
from importlib.resources import files
from pathlib import Path

from graftnet.config import CONFIG_NAME
from graftnet.errors import ConfigError


def template(name: str) -> str:
    """The commented graftnet.toml of a project with this name; every setting at its default."""
    text = (files("graftnet") / "graftnet.toml.template").read_text(encoding="utf-8")
    return text.replace('"@NAME@"', json.dumps(name))


def write_project(folder: Path) -> Path:
    """Make ``folder`` a project and return the path of its graftnet.toml.

    Raises:
        ConfigError: it is one already, or is a file.
    """
    config = folder / CONFIG_NAME
    if config.exists():
        raise ConfigError(f"{config} is there already; edit it, or choose another folder.")
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file; choose another name for the project's folder.")
    (folder / "data").mkdir(parents=True, exist_ok=True)
    ignore = folder / ".gitignore"
    if not ignore.exists():
        ignore.write_text("runs/\n", encoding="utf-8")
    config.write_text(template(folder.resolve().name), encoding="utf-8")
    return config
