"""Run the demo on a folder of photographs: published weights where there are any, and a branch per question."""

import time
from pathlib import Path
from typing import Any

import typer

from graftnet.commands.demos.steps import finish, require_own, say
from graftnet.data.imports import import_into
from graftnet.errors import ConfigError
from graftnet.project.config import CONFIG_NAME
from graftnet.project.first_settings import first_settings
from graftnet.project.folder import open_project
from graftnet.project.machine import choose_device
from graftnet.project.toml_edit import set_values, write_project
from graftnet.studies.probe import probe_call
from graftnet.terminal.output import show_progress
from graftnet.trunks.versions import train_trunk, use_trunk
from subdatasets.image_files import is_image_file

MARK = "# The project of `graftnet demo --photos`; it is written anew by every demo."
# The questions of a first look are answered in minutes, not with the care of a search that is to be deployed.
SETTINGS: dict[tuple[str, ...], int] = {
    ("search", "epochs"): 12,
    ("search", "candidates"): 32,
    ("search", "retrain_top"): 4,
    ("retrain", "repeats"): 2,
}
QUICK: dict[tuple[str, ...], int] = {
    ("search", "epochs"): 5,
    ("search", "candidates"): 16,
    ("search", "retrain_top"): 2,
    ("retrain", "epochs"): 8,
}


def run_photos_demo(photos: Path, folder: Path, *, quick: bool, seed: int, device: str) -> tuple[dict[str, Any], str]:
    """Make a project of the photographs and go all the way; returns the record and the closing text.

    photos: a folder per value of one question, or a folder per question with those inside.

    Raises:
        ConfigError: ``folder`` is something else than a demo's project. DataError: the photographs cannot be used.
    """
    started = time.monotonic()
    questions = questions_in(photos)
    require_own(folder, MARK)
    (folder / CONFIG_NAME).unlink(missing_ok=True)
    say(f"graftnet init {folder} --images {photos}", "backbone, size and weights that suit these pictures")
    config = write_project(folder, first_settings(photos))
    changes = SETTINGS | QUICK if quick else SETTINGS
    config.write_text(f"{MARK}\n{set_values(config.read_text(encoding='utf-8'), changes)}", encoding="utf-8")
    project = open_project(folder)
    for name, source in questions.items():
        say(f"graftnet data import {source} --name {name}", "a folder per value")
        if name not in project.sources():
            import_into(project, source, name, seed=seed)
    if project.config.trunk.weights:
        say("graftnet trunk use imagenet", f"{project.config.trunk.backbone}, as ImageNet trained it")
        use_trunk(project, project.config.trunk.weights)
    else:
        say("graftnet trunk train", "a small network, trained on all questions by the dynamic graph")
        with show_progress() as progress:
            train_trunk(project, seed=seed, device=choose_device(device), progress=progress)
    names = list(questions)[: 1 if quick else None]
    say(
        f"graftnet trunk probe {' '.join(names)}",
        "what each depth is worth; the searches follow its advice",
    )
    typer.echo(probe_call(folder, names, device=device)[1].splitlines()[-1], err=True)
    return finish(project, names, seed=seed, device=device, started=started)


def questions_in(photos: Path) -> dict[str, Path]:
    """Attribute -> its folder: the folder itself where its folders hold images, else each folder in it.

    Raises:
        ConfigError: there are no images in folders.
    """
    folders = [path for path in sorted(photos.iterdir()) if path.is_dir() and not path.name.startswith(".")]
    if any(is_image_file(path) for folder in folders for path in folder.iterdir() if path.is_file()):
        return {photos.resolve().name: photos}
    inner = {folder.name: folder for folder in folders if any(path.is_dir() for path in folder.iterdir())}
    if not inner:
        raise ConfigError(
            f"{photos} holds no images in folders; make a folder per value (hat/no/*.jpg, hat/yes/*.jpg), or one with "
            f"such a folder per question."
        )
    return inner
