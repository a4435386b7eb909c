"""A project of two digit attributes, small enough to be searched in seconds, and what a test needs to disturb it."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from graftnet.commands.demos.digits import import_digits
from graftnet.project.folder import Project, open_project
from graftnet.trunks.versions import train_trunk
from tests.signals import heed_interrupts
from tests.untimed import untimed

NAMES = ("even", "has-loop")
CONFIG = """
[trunk]
backbone = "small_cnn"
image_size = 16
freeze_depth = 5
steps = 4
batch_size = 8
warmup_steps = 2
precision = "float32"

[search]
nodes = 1
widths = [4]
epochs = 8
warmup_epochs = 1
updates_per_epoch = 1
samples_per_update = 2
reward_images = 100
candidates = 4
retrain_top = 1
hidden = 8

[retrain]
epochs = 2
repeats = 1

[controls]
tail_epochs = 1
"""


def make_digits(folder: Path) -> Project:
    """Two attributes and a trunk, nothing searched."""
    folder.mkdir()
    (folder / "graftnet.toml").write_text(CONFIG)
    import_digits(folder / "data", seed=0)
    for source in (folder / "data").glob("*.csv"):
        head, *lines = source.read_text().splitlines()
        # Each lacks some of the other's images, so that searches one by one compute other batches than the fleet.
        kept = {"even": lines[:-70], "has-loop": lines[33:]}
        if source.stem in kept:
            source.write_text("\n".join([head, *kept[source.stem]]) + "\n")
        else:
            source.unlink()
    project = open_project(folder)
    train_trunk(project, seed=0, device=torch.device("cpu"))
    return project


def start_fleet(folder: Path, *options: str) -> subprocess.Popen[str]:
    """`graftnet search --all`, each search on one thread."""
    command = [sys.executable, "-m", "graftnet", "search", "--all", "--device", "cpu", "--json", *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=heed_interrupts,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, dict[str, Any], str]:
    """Exit code, the JSON object and standard error."""
    out, error = process.communicate(timeout=900)
    lines = out.splitlines()
    return process.returncode, json.loads(lines[-1]) if lines else {}, error


def states(record: dict[str, Any]) -> dict[str, str]:
    return {each["attribute"]: each["state"] for each in record["searches"]}


def worker_in_mid_search(process: subprocess.Popen[str], folder: Path, epochs: int = 2) -> tuple[str, int]:
    """Wait until an unfinished search has so many epochs; its attribute and the process that holds its lock."""
    while process.poll() is None:
        for history in (folder / "runs" / "searches").glob("*/*/history.jsonl"):
            search = history.parent
            done = history.read_text().count('"kind": "child_epoch"')
            if done >= epochs and not (search / "candidates.json").exists():
                holder = (search.parent / f".{search.name}.lock").read_text()
                found = re.search(r"process (\d+)", holder)
                assert found, holder
                return search.parent.name, int(found[1])
        time.sleep(0.002)
    raise AssertionError(f"no search could be caught in the middle: {process.communicate()}")


def kill(process: int) -> None:
    os.kill(process, signal.SIGKILL)


def gone(process: int) -> bool:
    """Whether a process has ended, within a minute."""
    for _ in range(6000):
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        state = Path(f"/proc/{process}/stat")
        if state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.01)
    return False


def figures(project: Project) -> dict[str, dict[str, Any]]:
    """Every attribute's newest result, without dates, seconds and the command."""
    found = {}
    for name in NAMES:
        result = json.loads((project.latest_search(name) / "result.json").read_text())
        found[name] = untimed(result)
    return found
