"""The front door's part of a training by several ranks."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from trunk.errors import TrunkError
from trunk.pretraining.ranks import ranks_of_torchrun

TOML = """[trunk]
backbone = "small_cnn"
image_size = 16
freeze_depth = 2
steps = 4
batch_size = 8
warmup_steps = 1
validate_every = 4
"""


def as_rank(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    for name, value in {
        "MASTER_ADDR": "localhost",
        "MASTER_PORT": "1",
        "RANK": "1",
        "LOCAL_RANK": "1",
        **values,
    }.items():
        monkeypatch.setenv(name, value)


def test_without_torchrun_a_process_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    with ranks_of_torchrun(torch.device("cpu")) as (ranks, device):
        assert (ranks.rank, ranks.count, device) == (0, 1, torch.device("cpu"))
    as_rank(monkeypatch, RANK="0", WORLD_SIZE="1")
    with ranks_of_torchrun(torch.device("mps")) as (ranks, device):
        assert (ranks.first, device.type) == (True, "mps")


def test_devices_that_ranks_cannot_share_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    as_rank(monkeypatch, WORLD_SIZE="2")
    with pytest.raises(TrunkError, match="not on mps; give --device cpu"), ranks_of_torchrun(torch.device("mps")):
        pass
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    with (
        pytest.raises(TrunkError, match=r"more ranks than the 1 GPU\(s\) .* --nproc-per-node 1"),
        ranks_of_torchrun(torch.device("cuda")),
    ):
        pass


@pytest.mark.slow
def test_torchrun_trains_one_trunk_and_says_so_once(tmp_path: Path) -> None:
    data, rng = tmp_path / "data", np.random.default_rng(0)
    for name in ("left", "dark"):
        for split in ("train", "val"):
            for value in ("no", "yes"):
                folder = data / name / split / value
                folder.mkdir(parents=True)
                for number in range(6):
                    pixels = rng.integers(0, 100 if value == "yes" else 256, (16, 16, 3), dtype=np.uint8)
                    Image.fromarray(pixels).save(folder / f"{number}.png")
    (tmp_path / "graftnet.toml").write_text(TOML, encoding="utf-8")
    call = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "graftnet"]
    call += ["trunk", "train", "--device", "cpu", "--json"]
    done = subprocess.run(
        [*call, "--project", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [answer["attributes"] for answer in answers] == [["dark", "left"]]
    assert (Path(answers[0]["folder"]) / "weights.safetensors").exists()
    current = json.loads((tmp_path / "runs" / "trunk" / "current.json").read_text(encoding="utf-8"))
    assert current["version"] == Path(answers[0]["folder"]).name
