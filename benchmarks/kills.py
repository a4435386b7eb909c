"""Kill every long command at random moments, call it again until it is done, compare with a run that nothing stopped.

    python -m benchmarks.kills [--kills 50] [--seed 0] [--folder DIR]

On a project of scikit-learn's digits that the script makes: trunk train, trunk probe, cache, search, search --all, tune
depth, graph train, report, export. A lap is one fresh project and all of these; each command that is to be killed is
started, killed with SIGKILL at a random moment of what it takes undisturbed, and called again, at most `PER_COMMAND`
times. Laps follow until there were so many kills. After a lap the records, but for times, and the weights must be those
of the undisturbed project, nothing half-written may be left, and no lock be held. Prints one JSON line; exit code 1
where a lap differs.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sklearn.datasets import load_digits

from foundation.errors import UserError
from foundation.locks import only_one
from subdatasets.importing.arrays import import_labels
from tests.untimed import untimed

HOUSE = Path(__file__).parents[1]
PICTURES = 240
PER_COMMAND = 3  # kills of one command in a lap
LAPS = 40  # projects, at most
ENDING = 60.0  # seconds that a killed command's own processes may take to notice and end
CONFIG = """
[trunk]
backbone = "small_cnn"
image_size = 16
freeze_depth = 2
steps = 12
batch_size = 16
warmup_steps = 2
validate_every = 4
checkpoint_every = 4
flip = false

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

[label_graph]
epochs = 3
"""
COMMANDS = (
    ("trunk", "train"),
    ("trunk", "probe"),
    ("cache",),
    ("search", "loop"),
    ("search", "--all"),
    ("tune", "depth", "even", "--trials", "2", "--depths", "1,2", "--epochs", "1", "--draws", "1"),
    ("graph", "train"),
    ("report",),
    ("export", "--all"),
)
BETWEEN = {"report": (("graft", "loop"), ("graft", "even"))}  # done before this command, and not killed
RECORDS = ("result.json", "architecture.json", "study.json", "candidates.json", "label_graph.json")
# What two runs need not agree on besides times: how often a trial was begun, by whom, files that hold times, lengths.
LOOSE = (
    *("killed", "number", "worker", "created", "sha256", "files", "front", "machine", "seconds", "storage", "digest"),
    *("history", "milliseconds"),
)


class Lap(NamedTuple):
    """What came of one project: kills by command, and everything that is not as it should be."""

    kills: Counter[str]
    faults: list[str]


def make_project(folder: Path) -> Path:
    """A project of some digits with two attributes."""
    digits = load_digits()
    pictures = (digits.images[:PICTURES] * (255 / 16)).astype(np.uint8).repeat(2, axis=1).repeat(2, axis=2)
    numbers = digits.target[:PICTURES]
    labels = {
        "loop": ["yes" if number in (0, 6, 8, 9) else "no" for number in numbers],
        "even": ["yes" if number % 2 == 0 else "no" for number in numbers],
    }
    folder.mkdir(parents=True)
    (folder / "graftnet.toml").write_text(CONFIG, encoding="utf-8")
    import_labels(pictures, labels, folder / "data", seed=0)
    return folder


def start(project: Path, command: tuple[str, ...]) -> subprocess.Popen[str]:
    """The command in a process group of its own, so that what it leaves running is found."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONPATH": str(HOUSE)}
    device = () if command[0] in ("report", "graft", "export") else ("--device", "cpu")
    return subprocess.Popen(
        [sys.executable, "-m", "graftnet", *command, *device],
        cwd=project,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def done(project: Path, command: tuple[str, ...]) -> str:
    """Let the command end; "" or what it said when it failed."""
    process = start(project, command)
    said = process.communicate()[1]
    return "" if process.returncode == 0 else f"{' '.join(command)} exits {process.returncode}: {said.strip()[-300:]}"


def killed(project: Path, command: tuple[str, ...], after: float) -> tuple[bool, str]:
    """Whether the command was killed so many seconds after its start, and what went wrong with that."""
    process = start(project, command)
    try:
        said = process.communicate(timeout=after)[1]
    except subprocess.TimeoutExpired:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stderr.close()  # type: ignore[union-attr]
        return True, "" if ended(process.pid) else f"{' '.join(command)}: processes of its own outlive it"
    wrong = f"{' '.join(command)} exits {process.returncode}: {said.strip()[-300:]}" if process.returncode else ""
    return False, wrong


def ended(group: int) -> bool:
    """Whether all of a killed command's processes end by themselves; what does not is ended."""
    last = time.monotonic() + ENDING
    while time.monotonic() < last:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    os.killpg(group, signal.SIGKILL)
    return False


def lap(project: Path, seconds: dict[str, float], budget: int, rng: random.Random) -> Lap:
    """All commands on a fresh project, `budget` kills spread over them as it happens."""
    kills: Counter[str] = Counter()
    faults: list[str] = []
    chosen = set(rng.sample(range(len(COMMANDS)), min(budget, len(COMMANDS))))
    for index, command in enumerate(COMMANDS):
        name = " ".join(command[:2])
        faults += [wrong for before in BETWEEN.get(command[0], ()) if (wrong := done(project, before))]
        for _ in range(PER_COMMAND if index in chosen else 0):
            if kills.total() >= budget:
                break
            was_killed, wrong = killed(project, command, rng.uniform(0.1, 0.8) * seconds[name])
            faults += [wrong] if wrong else []
            if not was_killed:
                break
            kills[name] += 1
        faults += [wrong] if (wrong := done(project, command)) else []
    return Lap(kills, faults + left_overs(project))


def left_overs(project: Path) -> list[str]:
    """Half-written files and folders, and locks that are held, though nobody is at work."""
    found = []
    for path in sorted(project.rglob("*")):
        name = path.relative_to(project).as_posix()
        if path.suffix in (".part", ".tmp"):
            found.append(f"{name} is left over")
        elif path.suffix == ".lock" and path.name.startswith("."):
            try:
                with only_one(path.with_name(path.name[1:].removesuffix(".lock"))):
                    pass
            except UserError:
                found.append(f"{name} is held")
    return found


def results(project: Path) -> dict[str, Any]:
    """What two runs must agree on: records without times by their place, and the bytes of every weight."""
    runs = project / "runs"
    found: dict[str, Any] = {}
    for path in sorted(runs.rglob("*")):
        name = path.relative_to(runs).as_posix()
        if name.startswith("cache/"):
            continue
        if path.name in RECORDS or (name.startswith("probes/") and path.suffix == ".json"):
            found[name] = without(untimed(json.loads(path.read_text(encoding="utf-8"))), project)
        elif path.name == "weights.safetensors" or path.suffix == ".onnx":
            found[name] = path.read_bytes()
        elif path.suffix in (".html", ".csv"):
            found[name] = "there"  # a page tells times
    return found


def without(value: Any, project: Path) -> Any:
    """A record without what two runs need not agree on, and without the project's own place."""
    if isinstance(value, dict):
        return {key: without(entry, project) for key, entry in value.items() if key not in LOOSE}
    if isinstance(value, list):
        return [without(entry, project) for entry in value]
    return value.replace(str(project), "PROJECT") if isinstance(value, str) else value


def differences(whole: dict[str, Any], other: dict[str, Any]) -> Iterator[str]:
    """Names of what is missing, more, or not the same."""
    for name in sorted({*whole, *other}):
        if name not in other:
            yield f"{name} is missing"
        elif name not in whole:
            yield f"{name} is there besides"
        elif whole[name] != other[name]:
            yield f"{name} differs{inside(whole[name], other[name])}"


def inside(one: Any, other: Any, place: str = "") -> str:
    """Where two records part, to look at."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted({*one, *other}, key=str):
            if one.get(key) != other.get(key):
                return inside(one.get(key), other.get(key), f"{place}.{key}")
    return f" at {place}" if place else ""


def main() -> None:
    """Measure the undisturbed project, then laps of kills."""
    options = argparse.ArgumentParser()
    options.add_argument("--kills", type=int, default=50)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--folder", type=Path)
    given = options.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="graftnet-kills-"))
    rng = random.Random(given.seed)
    whole, seconds, faults = make_project(folder / "whole"), {}, []
    for command in COMMANDS:
        faults += [wrong for before in BETWEEN.get(command[0], ()) if (wrong := done(whole, before))]
        began = time.monotonic()
        faults += [wrong] if (wrong := done(whole, command)) else []
        seconds[" ".join(command[:2])] = time.monotonic() - began
    faults += left_overs(whole)
    expected, kills, laps = results(whole), Counter[str](), 0
    while kills.total() < given.kills and not faults and laps < LAPS:
        laps += 1
        project = make_project(folder / f"lap{laps}")
        came = lap(project, seconds, given.kills - kills.total(), rng)
        kills += came.kills
        faults += [f"lap {laps}: {fault}" for fault in (*came.faults, *differences(expected, results(project)))]
    record = {
        "kills": kills.total(),
        "by_command": dict(kills),
        "laps": laps,
        "compared": len(expected),
        "faults": faults,
        "seconds": {name: round(value, 2) for name, value in seconds.items()},
        "seed": given.seed,
        "folder": str(folder),
    }
    sys.stdout.write(json.dumps(record) + "\n")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
