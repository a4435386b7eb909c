"""The queue on Ray: a task whose worker is killed continues in another one, and ends as if nothing had happened."""

import json
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest
import torch

from graftnet.cli import run
from graftnet.project.folder import open_project
from graftnet.searches.run import search_attribute
from tests.graftnet.fleets import NAMES, figures, finish, kill, make_digits, start_fleet, states, worker_in_mid_search

pytest.importorskip("ray", reason="needs Ray: pip install 'graftnet[ray]'")


@pytest.mark.slow
def test_a_task_whose_worker_is_killed_continues_elsewhere(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    project = make_digits(tmp_path / "digits")
    alone = open_project(Path(shutil.copytree(project.folder, tmp_path / "alone")))
    for name in NAMES:
        search_attribute(alone, name, seed=0, device=torch.device("cpu"))
    driver = start_fleet(project.folder, "--on", "ray")
    attribute, worker = worker_in_mid_search(driver, project.folder)
    kill(worker)
    code, record, error = finish(driver)
    assert code == 0, error
    assert states(record) == dict.fromkeys(NAMES, "searched")
    assert f"{attribute}: its worker (" in error
    assert f"process {worker}) died; it continues in another (" in error
    assert figures(project) == figures(alone)
    assert epochs_of(project.latest_search(attribute)) == epochs_of(alone.latest_search(attribute))


def test_an_address_that_is_none_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        silent = f"127.0.0.1:{taken.getsockname()[1]}"
        for address, expected in ((silent, "No Ray cluster answers"), ("ray://head:10001", "auto or HOST:PORT")):
            project = make_folder(tmp_path / expected[:4])
            call = ["search", "--all", "--on", "ray", "--address", address, "--project", str(project), "--json"]
            assert run(call) == 2
            assert expected in json.loads(capsys.readouterr().out.splitlines()[-1])["error"]


def make_folder(folder: Path) -> Path:
    """A project with a sub-dataset that nobody reads."""
    (folder / "data").mkdir(parents=True)
    (folder / "graftnet.toml").touch()
    (folder / "data" / "bald.csv").touch()
    return folder


def epochs_of(search: Path) -> list[Any]:
    """How many records of each kind a history has: work that was done twice is there once."""
    lines = (search / "history.jsonl").read_text().splitlines()
    return sorted(line.partition(",")[0] for line in lines)
