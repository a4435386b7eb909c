"""Histories survive torn lines, full disks and resuming; nothing but whole records is ever read."""

import json
import math
import subprocess
import sys

import numpy as np
import pytest
import torch

from foundation.errors import UserError
from foundation.history import History, read_history


def test_records_come_back_in_order(tmp_path) -> None:
    history = History(tmp_path / "deep" / "history.jsonl")
    history.append("child_epoch", epoch=1, loss=0.1 + 0.2, name="größe\n")
    history.append("control", values=[1, (2, None)], nested={"ok": True})
    assert read_history(history.path) == [
        {"kind": "child_epoch", "epoch": 1, "loss": 0.1 + 0.2, "name": "größe\n"},
        {"kind": "control", "values": [1, [2, None]], "nested": {"ok": True}},
    ]
    assert history.size == history.path.stat().st_size
    assert history.path.read_bytes().count(b"\n") == 2


def test_arrays_become_lists_and_what_is_not_finite_becomes_null(tmp_path) -> None:
    history = History(tmp_path / "history.jsonl")
    history.append(
        "x", a=np.float64(0.5), b=np.array([1.0, math.nan]), c=torch.tensor([[1, 2]]), d=math.inf, e=np.int64(3)
    )
    assert read_history(history.path) == [{"kind": "x", "a": 0.5, "b": [1.0, None], "c": [[1, 2]], "d": None, "e": 3}]
    json.loads(history.path.read_text(), parse_constant=pytest.fail)


@pytest.mark.parametrize(
    "torn", [b"{", b'{"kind": "b"', b'{"kind": "b"}', b"\0" * 40, b"\0\0\0\n", b'"kind"\n', b"\xff\n", b"\n"]
)
def test_a_torn_last_line_is_ignored_on_reading_and_cut_on_opening(tmp_path, torn) -> None:
    path = tmp_path / "history.jsonl"
    History(path).append("a", n=1)
    whole = path.read_bytes()
    path.write_bytes(whole + torn)
    assert read_history(path) == [{"kind": "a", "n": 1}]
    again = History(path)
    assert path.read_bytes() == whole
    again.append("c")
    assert [record["kind"] for record in read_history(path)] == ["a", "c"]


def test_every_cut_of_a_file_reads_as_the_records_before_it(tmp_path) -> None:
    path = tmp_path / "history.jsonl"
    history, sizes = History(path), [0]
    for n in range(3):
        history.append("r", n=n, text="ü")
        sizes.append(history.size)
    data = path.read_bytes()
    for cut in range(len(data) + 1):
        path.write_bytes(data[:cut])
        assert len(read_history(path)) == sum(size <= cut for size in sizes[1:])


def test_truncate_returns_to_a_checkpoint(tmp_path) -> None:
    history = History(tmp_path / "history.jsonl")
    history.append("a")
    size = history.size
    history.append("b")
    resumed = History(history.path)
    resumed.truncate(size)
    resumed.append("c")
    assert [record["kind"] for record in read_history(history.path)] == ["a", "c"]
    resumed.truncate(0)
    assert read_history(history.path) == []


def test_truncate_refuses_what_cannot_be(tmp_path) -> None:
    history = History(tmp_path / "history.jsonl")
    history.append("a")
    with pytest.raises(UserError, match=r"history\.jsonl has 14 bytes where its checkpoint counts 15"):
        history.truncate(15)
    with pytest.raises(UserError, match="inside a record"):
        history.truncate(3)
    assert len(read_history(history.path)) == 1


def test_damage_before_the_last_line_is_named(tmp_path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_bytes(b'{"kind": "a"}\nnonsense\n{"kind": "b"}\n')
    with pytest.raises(UserError, match="line 2"):
        read_history(path)


def test_a_record_that_cannot_be_written_leaves_no_trace(tmp_path) -> None:
    history = History(tmp_path / "history.jsonl")
    history.append("a")
    with pytest.raises(TypeError, match="object"):
        history.append("b", thing=object())
    history.append("c")
    assert [record["kind"] for record in read_history(history.path)] == ["a", "c"]


@pytest.mark.skipif(sys.platform == "win32", reason="RLIMIT_FSIZE is POSIX")
def test_a_full_disk_leaves_whole_lines(tmp_path) -> None:
    """A limit on the file's size stands in for the disk: the write that hits it is cut short."""
    script = """
import resource, signal, sys
from pathlib import Path
from foundation.history import History, read_history
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
history = History(Path(sys.argv[1]))
history.append("a", text="x" * 50)
resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
try:
    history.append("b", text="x" * 50)
except OSError:
    assert history.path.stat().st_size == history.size
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    history.append("c")
assert [record["kind"] for record in read_history(history.path)] == ["a", "c"]
assert "torch" not in sys.modules
"""
    result = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "h.jsonl"], capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 0, result.stderr
