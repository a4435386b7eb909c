"""Run the demo on scikit-learn's digits: everything GraftNet does, once, without a download."""

import time
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits

from graftnet.commands.demos.steps import finish, require_own, say
from graftnet.project.config import CONFIG_NAME
from graftnet.project.folder import Project, open_project
from graftnet.project.machine import choose_device
from graftnet.terminal.output import show_progress
from graftnet.trunks.versions import train_trunk
from subdatasets.importing.arrays import import_labels

FULL = {
    "STEPS": 600,
    "SEARCH_EPOCHS": 12,
    "CANDIDATES": 32,
    "RETRAIN_TOP": 4,
    "RETRAIN_EPOCHS": 12,
    "REPEATS": 3,
}
QUICK = {"STEPS": 200, "SEARCH_EPOCHS": 5, "CANDIDATES": 16, "RETRAIN_TOP": 2, "RETRAIN_EPOCHS": 8, "REPEATS": 2}
SIDE = 16
BRIGHTEST = 16  # of scikit-learn's 8 x 8 pictures
ATTRIBUTES: dict[str, Callable[[int], bool]] = {
    "has-loop": lambda digit: digit in (0, 6, 8, 9),
    "even": lambda digit: digit % 2 == 0,
    "greater-than-four": lambda digit: digit > 4,
    "seven": lambda digit: digit == 7,
}


def run_demo(folder: Path, *, quick: bool, seed: int, device: str) -> tuple[dict[str, Any], str]:
    """Make the project and go all the way; returns the record and the closing text.

    Raises:
        ConfigError: ``folder`` is something else than a demo's project.
    """
    started = time.monotonic()
    project = make_project(folder, quick=quick)
    say("graftnet data import", "1,797 pictures of digits as four attributes")
    if not project.sources():
        import_digits(project.data, seed=seed)
    say("graftnet trunk train", "one small backbone, trained on all attributes by the dynamic graph")
    with show_progress() as progress:
        train_trunk(project, seed=seed, device=choose_device(device), progress=progress)
    names = list(ATTRIBUTES)[: 1 if quick else None]
    return finish(project, names, seed=seed, device=device, started=started)


def make_project(folder: Path, *, quick: bool) -> Project:
    """Write the demo's graftnet.toml; a demo's folder from before is used again.

    Raises:
        ConfigError: ``folder`` holds something else.
    """
    text = (files("graftnet.project") / "demo.toml.template").read_text(encoding="utf-8")
    require_own(folder, text.splitlines()[0])
    for name, value in (QUICK if quick else FULL).items():
        text = text.replace(f"@{name}@", str(value))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG_NAME).write_text(text, encoding="utf-8")
    return open_project(folder)


def load_pictures() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Pictures uint8 (1797, SIDE, SIDE) and their digits."""
    digits = load_digits()
    small = (digits.images * (255 / BRIGHTEST)).astype(np.uint8)
    large = [Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.BICUBIC) for picture in small]
    return np.stack([np.asarray(picture) for picture in large]), digits.target.astype(np.int64)


def import_digits(destination: Path, *, seed: int) -> None:
    """Write the pictures once and one sub-dataset per attribute; all share the same splits."""
    pictures, digits = load_pictures()
    labels = {name: ["yes" if holds(digit) else "no" for digit in digits] for name, holds in ATTRIBUTES.items()}
    import_labels(pictures, labels, destination, seed=seed)
