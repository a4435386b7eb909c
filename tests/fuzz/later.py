"""Records of what came later than `tests/graftnet/old_world.zip`: written into its project, and their readers."""

import csv
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from foundation.files import write_json
from graftnet.commands.trunk import describe
from graftnet.data.checks import check_project
from graftnet.pages.fleet_record import probes_of
from graftnet.project.folder import Project, open_project
from graftnet.searches.features import cache_of
from graftnet.trunks import precision
from graftnet.trunks.advice import attribute_depth, depth_in_use, probe_file, probes_on, read_probe, shared_advice
from graftnet.trunks.served import trunk_status, versions
from graftnet.trunks.start import start_of_current
from reports.drawing.depths import depths_section
from reports.summaries.search import read_records
from trunk.features.averages import AverageCache
from trunk.features.cache import file_checksum
from trunk.preprocessing import Preprocessing
from trunk.trunk import Trunk, load_trunk

TRUNKS = "project/runs/trunk"
OLD = f"{TRUNKS}/8a8f7ff07ac1"
WIDE = f"{TRUNKS}/wide"
ROWS = 3
PAGES = "pages/runs/searches/loop/1"  # a search with little to read but the probe of its trunk
CPU = torch.device("cpu")


def project_of(home: Path) -> Project:
    return open_project(home / "project")


@cache
def old_trunk(home: Path) -> Trunk:
    return Trunk.load(home / OLD)


def write_later(home: Path) -> None:
    """A trunk of rectangles that began from another, a probe, its averages, a measured precision, noted splits."""
    project, old = project_of(home), old_trunk(home)
    seen = Preprocessing((8, 12), white=1023, fit="crop", crop=0.9, decoding="scaled")
    wide = load_trunk(home / OLD / "weights.safetensors", "small_cnn", seen)
    start = {"version": "8a8f7ff07ac1", "fingerprint": old.fingerprint}
    about = {"source": "a file", "input_from": "timm", "notes": ["as it is"], "start": start, "settings": {}}
    wide.save(home / WIDE, {**about, "created": "2026-12-01T00:00:00"})
    score = {"auroc": 0.75, "low": 0.5, "high": 0.9}
    shape = dict(zip(("channels", "height", "width"), old.shapes[0], strict=True))
    depths: list[dict[str, Any]] = [
        {"depth": depth, "name": f"block {depth}", **shape, **score, "milliseconds": 0.1} for depth in (1, 2)
    ]
    probe: dict[str, Any] = {
        "attribute": "loop",
        "fingerprint": old.fingerprint,
        "backbone": "small_cnn",
        "depths": depths,
    }
    probe |= {"joined": score, "covariance": [[0.1, 0.0], [0.0, 0.1]], "advised": 1, "images": {"train": 9, "val": 9}}
    write_json(probe_file(project, old.fingerprint, "loop"), probe)
    write_json(home / PAGES / "result.json", {"fingerprint": old.fingerprint})
    (home / "pages/runs/probes").symlink_to(home / "project/runs/probes")
    averages = AverageCache(cache_of(project, old))
    rows = np.ones((ROWS, sum(averages.widths)), np.float32)
    averages.write([(f"{number:064x}", row) for number, row in enumerate(rows)])
    with open(home / "project/data/plain.csv", "w", newline="") as file:
        written = csv.writer(file)
        written.writerow(("path", "label"))
        written.writerows((f"../photos/{number:02}.png", "no" if number % 2 else "yes") for number in range(32))
    plain(home)  # which notes its splits
    write_json(home / IMPORTED, {"values": ["no", "yes"], "passed_over": {"others": 1}, **json_of(home / NOTES)})
    auto(home)


def json_of(path: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads(path.read_text())
    return found


NOTES, IMPORTED = "project/runs/splits/plain.json", "project/data/plain.import.json"


def plain(home: Path) -> object:
    project = project_of(home)
    return project.read("plain"), check_project(project, [project.source("plain")])


def wide_trunk(home: Path) -> object:
    project = project_of(home)
    describe(home / WIDE, "Using", True)
    current = project.current_trunk_file
    before = current.read_text()
    write_json(current, {"version": "wide", "tree": "tree"})
    try:
        start_of_current(project_of(home))
    finally:
        current.write_text(before)
    return Trunk.load(home / WIDE), versions(project), trunk_status(project)


def probe(home: Path) -> object:
    project = open_project(home / "project")
    free = project.config.trunk.model_copy(update={"freeze_depth": 0})
    object.__setattr__(project, "config", project.config.model_copy(update={"trunk": free}))
    fingerprint = old_trunk(home).fingerprint
    depths_section(read_records(home / PAGES).probe, "", "")
    probes_of(project, old_trunk(home))
    shared_advice(probes_on(project, fingerprint))
    return (
        read_probe(project, fingerprint, "loop"),
        attribute_depth(project, fingerprint, "loop"),
        depth_in_use(project),
    )


def averages_of(home: Path) -> AverageCache:
    return AverageCache(cache_of(project_of(home), old_trunk(home)))


def averages(home: Path) -> object:
    """The shard as it is; a damaged one is deleted, so what it leaves is written anew by the test."""
    cache = averages_of(home)
    (record,) = cache.folder.glob("*.json")
    array = record.with_suffix(".npy")
    whole = array.read_bytes()
    try:
        return cache.read(list(cache.read_index()[1]))
    finally:
        array.write_bytes(whole)


def averaged_rows(home: Path) -> object:
    """The array, whose checksum the record of somebody else would give rightly."""
    cache = averages_of(home)
    (array,) = cache.folder.glob("*.npy")
    record = array.with_suffix(".json")
    told = record.read_bytes()
    write_json(record, {**json_of(record), "sha256": file_checksum(array)})
    try:
        return cache.read(list(cache.read_index()[1]))
    finally:
        record.write_bytes(told)


def auto(home: Path) -> object:
    """What "auto" kept of a measurement, where the device has bfloat16."""
    project = project_of(home)
    free = project.config.trunk.model_copy(update={"feature_precision": "auto"})
    object.__setattr__(project, "config", project.config.model_copy(update={"trunk": free}))
    with (
        patch.object(precision, "resolve_precision", return_value="bfloat16"),
        patch.object(precision, "bfloat16_error", return_value=0.05),
    ):
        return precision.feature_precision(project, old_trunk(home), CPU)


# Reader -> where its record lies (as a pattern), and the call.
LATER: dict[str, tuple[str, Callable[[Path], object]]] = {
    "wide trunk": (f"{WIDE}/trunk.json", wide_trunk),
    "probe": ("project/runs/probes/*/loop.json", probe),
    "averages": ("project/runs/cache/*/averages/*.json", averages),
    "averaged rows": ("project/runs/cache/*/averages/*.npy", averaged_rows),
    "precision": ("project/runs/cache/*.precision.json", auto),
    "splits": (NOTES, plain),
    "import": (IMPORTED, plain),
}
# Of these what is damaged counts as not there, and is done anew.
ANEW = ("averages", "averaged rows", "precision", "splits", "import")
