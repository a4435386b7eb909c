"""Readers against records that nobody wrote so: an answer or one sentence, nothing run, nothing written elsewhere.

`make test` tries 200 changed records per reader, `make fuzz` 2,000 (or FUZZ=N). The records are real ones, those of
the project and the bundle of `tests/graftnet/old_world.zip`.
"""

import os
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch

from branches.branch import Branch
from branches.export.source import branch_source
from branches.saved import load_branch
from deployment.runtime.files import read_bundle, read_contract
from foundation.history import History, read_history
from graftnet.bundles.tree import grafted_branch, newest_on, search_of
from graftnet.cli import run
from graftnet.label_graphs.calls import graph_run
from graftnet.project.config import parse_config
from graftnet.project.folder import Project, open_project
from graftnet.searches.calls import found_in
from graftnet.searches.standing import changes_since
from graftnet.studies.records import apply_study, read_study
from graftnet.studies.run import studies_in
from graftnet.terminal.failures import explain
from graftnet.trunks.served import history, served, trunk_status
from label_graph.saved import load_classifiers
from nas.audit.run import read_result
from nas.candidates import candidates_history, read_ranking
from nas.errors import SearchError
from nas.job.origin import require_same
from nas.job.scores import read_scores
from nas.limits.latency import Latencies
from reports.summaries.search import read_records
from tests.fuzz.later import ANEW, LATER, write_later
from tests.fuzz.mutations import mutated
from tests.graftnet.test_old_world import ARCHIVE
from trunk.trunk import Trunk, load_trunk

COUNT = int(os.environ.get("FUZZ", "200"))
COMMANDS = max(3, COUNT // 100)  # of the command line, which takes longer
LOOP = "runs/searches/loop/52e13bf5337e"
FORBIDDEN = (
    "os.system",
    "subprocess.Popen",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "socket.connect",
    "pickle.find_class",
)


class Guard:
    """Hears, while it is on, of every file that is opened for writing and of every program that is started."""

    def __init__(self) -> None:
        self.home: Path | None = None
        self.heard: list[str] = []
        sys.addaudithook(self.hear)

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.home is None:
            return
        if event in FORBIDDEN:
            self.heard.append(f"{event} {arguments[:1]}")
        elif event == "open" and isinstance(arguments[0], str | os.PathLike):
            flags = arguments[2]
            path = os.path.abspath(os.fspath(arguments[0]))
            writes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            if writes and not path.startswith((str(self.home), "/dev/", "/proc/")) and not path.endswith(".pyc"):
                self.heard.append(f"open {path}")


GUARD = Guard()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    torch.set_num_threads(1)
    with zipfile.ZipFile(ARCHIVE) as archive:
        archive.extractall(tmp_path / "home")
    monkeypatch.chdir(tmp_path / "home" / "project")
    # What an export tries its source on lies in a temporary folder, which is allowed, and is to be empty afterwards.
    temporary = tmp_path / "home" / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    write_later(tmp_path / "home")
    yield tmp_path / "home"
    assert not list(temporary.iterdir())
    assert [path.name for path in tmp_path.iterdir()] == ["home"]
    assert not list(tmp_path.rglob("RAN"))


def project_of(home: Path) -> Project:
    return open_project(home / "project")


def trunk_of(home: Path) -> Path:
    return home / "project/runs/trunk/8a8f7ff07ac1"


def current(home: Path) -> object:
    project = project_of(home)
    return project.current_trunk, project.tree, served(project), history(project), trunk_status(project)


def config(home: Path) -> object:
    folder, project = home / "project" / LOOP, project_of(home)
    known = {
        "attribute": "loop",
        "values": ["0", "1"],
        "seed": 0,
        "device": "cpu",
        "settings": {},
        "data": {"digest": "0"},
    }
    told = list(changes_since(folder, {**known, "data": "0", "order": "0", "fingerprint": "0" * 64}))
    newest_on(project, "loop", "0" * 64)
    project.begun("loop")
    with suppress(SearchError):  # of another search, and the sentence says so
        require_same(folder, {**known, "data": {"digest": "0"}, "codec": None})
    return told


def result(home: Path) -> object:
    folder, project = home / "project" / LOOP, project_of(home)
    read_records(folder)
    return (
        project.results("loop"),
        project.next_in_sequence("loop"),
        project.latest("loop"),
        found_in(folder, folder),
        read_result(folder / "result.json"),
    )


def branch(home: Path) -> object:
    module, record = load_branch(home / "project" / LOOP / "branch")
    assert isinstance(module, Branch)
    search_of(project_of(home), "loop")
    return compile(branch_source(module, record)[0], "branch.py", "exec")


def grafted(home: Path) -> object:
    project = project_of(home)
    return load_branch(grafted_branch(project, project.tree, "range"))


def study(home: Path) -> object:
    project = project_of(home)
    (folder,) = (home / "project/runs/studies").glob("*/")
    text = (home / "project/graftnet.toml").read_text()
    try:
        return read_study(folder), studies_in(project), apply_study(project, "loop")
    finally:
        parse_config((home / "project/graftnet.toml").read_text())  # whatever was written can be read
        (home / "project/graftnet.toml").write_text(text)


def graph_result(home: Path) -> object:
    (folder,) = (home / "project/runs/label_graph").glob("*/")
    return graph_run(folder, folder)


def graph_record(home: Path) -> object:
    (folder,) = (home / "project/runs/label_graph").glob("*/")
    return load_classifiers(folder)


def search_history(home: Path) -> object:
    path = home / "project" / LOOP / "history.jsonl"
    read_records(path.parent)
    History(path).require(0)
    return read_history(path)


READERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "current": ("project/runs/trunk/current.json", current),
    "trunk": ("project/runs/trunk/8a8f7ff07ac1/trunk.json", lambda home: Trunk.load(trunk_of(home))),
    "weights": (
        "project/runs/trunk/8a8f7ff07ac1/weights.safetensors",
        lambda home: load_trunk(
            trunk_of(home) / "weights.safetensors", "small_cnn", Trunk.load(trunk_of(home)).preprocessing
        ),
    ),
    "config": (f"project/{LOOP}/config.json", config),
    "result": (f"project/{LOOP}/result.json", result),
    "candidates": (
        f"project/{LOOP}/candidates.json",
        lambda home: (read_ranking(home / "project" / LOOP), candidates_history(home / "project" / LOOP)),
    ),
    "history": (f"project/{LOOP}/history.jsonl", search_history),
    "latencies": (
        f"project/{LOOP}/latencies.json",
        lambda home: Latencies(home / "project" / LOOP, (48, 4, 4), 2, device=torch.device("cpu")),
    ),
    "scores": (f"project/{LOOP}/scores.safetensors", lambda home: read_scores(home / "project" / LOOP)),
    "branch": (f"project/{LOOP}/branch/branch.json", branch),
    "branch's weights": (f"project/{LOOP}/branch/weights.safetensors", branch),
    "tree": ("project/runs/tree/range/branch.json", grafted),
    "study": ("project/runs/studies/depth-loop-d7034799fe00/study.json", study),
    "label graph": ("project/runs/label_graph/aca7fb5a4265/label_graph.json", graph_record),
    "label graph's result": ("project/runs/label_graph/aca7fb5a4265/result.json", graph_result),
    "graftnet.toml": ("project/graftnet.toml", project_of),
    "predictions": (f"project/{LOOP}/predictions.csv", lambda home: read_records(home / "project" / LOOP)),
    "pictures": (f"project/{LOOP}/pictures.json", lambda home: read_records(home / "project" / LOOP)),
    "bundle": ("bundle/bundle.json", lambda home: read_bundle(home / "bundle")),
    "contract": ("bundle/loop/branch.json", lambda home: read_contract(home / "bundle" / "loop")),
    **LATER,
}


@pytest.mark.parametrize("reader", READERS)
def test_a_reader_answers_or_says_one_sentence(reader: str, home: Path) -> None:
    name, read = READERS[reader]
    (path,) = home.glob(name)
    original = path.read_bytes()
    read(home)  # as it is, it can be read; and what is imported only now is imported
    refused = 0
    for number, content in enumerate(mutated(original, COUNT, seed=len(reader))):
        path.write_bytes(content)
        GUARD.home = home
        try:
            read(home)
        except Exception as error:
            GUARD.home = None
            sentence, code = explain(error, home)
            assert (code, "\n" in sentence) == (2, False), f"{number}: {content[:2000]!r}: {sentence}"
            refused += 1
        finally:
            GUARD.home = None
        assert not GUARD.heard, f"{number}: {content[:2000]!r}"
    path.write_bytes(original)
    read(home)
    assert refused >= min(COUNT, 200) // 50 or reader in ("predictions", "pictures", *ANEW)


CALLS: dict[str, tuple[str, ...]] = {
    "current": ("trunk", "status"),
    "trunk": ("trunk", "status"),
    "wide trunk": ("trunk", "status"),
    "probe": ("report", "loop"),
    "splits": ("data", "check", "plain"),
    "config": ("graft", "loop"),
    "result": ("report", "loop"),
    "branch": ("graft", "loop"),
    "tree": ("export", "range", "--out", "out"),
    "study": ("tune", "apply", "loop"),
    "label graph's result": ("graph", "list"),
    "bundle": ("verify", "../bundle"),
}


@pytest.mark.parametrize("reader", CALLS)
def test_a_command_ends_with_a_sentence(reader: str, home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (path,) = home.glob(READERS[reader][0])
    original = path.read_bytes()
    assert run(list(CALLS[reader])) == 0, capfd.readouterr().err  # as it is
    for number, content in enumerate(mutated(original, 15 + COMMANDS, seed=7)):
        if number % 5 and number < 15:
            continue  # of whole files that are no records, a few
        path.write_bytes(content)
        GUARD.home = home
        try:
            code = run(list(CALLS[reader]))
        finally:
            GUARD.home = None
        said = capfd.readouterr()
        assert code in (0, 2) or (reader == "bundle" and code == 1), f"{number}: {content[:2000]!r}: {said.err}"
        assert "A bug" not in said.err
        assert "Traceback" not in said.err
        heard, GUARD.heard = [line for line in GUARD.heard if "subprocess" not in line], []
        assert not heard, f"{number}: {content[:2000]!r}"


def test_the_guard_hears(home: Path) -> None:
    GUARD.home = home
    os.system("true")
    (home.parent / "beside").touch()
    GUARD.home = None
    heard, GUARD.heard = GUARD.heard, []
    (home.parent / "beside").unlink()
    assert [line.split()[0] for line in heard] == ["os.system", "open"]
