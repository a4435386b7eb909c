"""A search killed with SIGKILL, again and again, ends with the architecture and figures of one that ran through."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.graftnet.commands.test_bad_input import make_features
from tests.untimed import untimed

CONFIG = """
[search]
nodes = 2
widths = [4]
epochs = 3
warmup_epochs = 1
batch_size = 16
updates_per_epoch = 2
samples_per_update = 2
candidates = 4
retrain_top = 2
hidden = 8

[retrain]
epochs = 3
batch_size = 16
repeats = 2
"""
# The history's length at which each run is killed; the last run is let through.
KILL_AT = (1, 3, 6, 9, 14, 17)


def start(folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "graftnet", "search", "--features", "mine.npz", "--device", "cpu", "--json"]
    root = str(Path(__file__).parents[3])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": root}
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def records_in(folder: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in folder.rglob("history.jsonl"))


def kill_at(folder: Path, records: int) -> bool:
    """Start the search and kill it as soon as its history has this many lines; False when it ended before."""
    process = start(folder)
    try:
        while process.poll() is None:
            if records_in(folder) >= records:
                process.send_signal(signal.SIGKILL)
                process.wait()
                return process.returncode == -signal.SIGKILL
            time.sleep(0.001)
        return False
    finally:
        process.communicate()


def finish(folder: Path) -> dict[str, Any]:
    process = start(folder)
    out, error = process.communicate()
    assert process.returncode == 0, error.decode()
    answer = json.loads(out.decode().splitlines()[-1])
    result: dict[str, Any] = json.loads((folder / Path(answer["folder"]) / "result.json").read_text())
    return dict(untimed(result))


def timeless_history(folder: Path) -> list[dict[str, Any]]:
    (path,) = folder.rglob("history.jsonl")
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in path.read_text().splitlines()]


@pytest.mark.slow
def test_sigkill_at_many_points_changes_nothing(tmp_path: Path) -> None:
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "graftnet.toml").write_text(CONFIG)
        np.savez(tmp_path / name / "mine.npz", **make_features())  # type: ignore[arg-type]
    whole = finish(tmp_path / "whole")
    kills = [kill_at(tmp_path / "killed", records) for records in KILL_AT]
    assert sum(kills) >= len(KILL_AT) - 1, "the search ended before it could be killed"
    assert finish(tmp_path / "killed") == whole
    assert timeless_history(tmp_path / "killed") == timeless_history(tmp_path / "whole")
    assert not list((tmp_path / "killed").rglob("*.part")) or sum(kills)
