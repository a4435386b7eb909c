"""A branch that somebody else made: nothing in its record runs, is read as a path, or is taken for what it is not."""

import ast
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from branches.branch import Branch
from branches.errors import BranchError
from branches.export import source
from branches.export.alone import Alone
from branches.export.folder import export_branch
from branches.export.source import branch_source
from branches.saved import BranchRecord, load_branch, save_branch
from search_spaces import macro_space

SPACE = macro_space(2, widths=(4,))
SHAPE = (3, 4, 4)


def made() -> tuple[Branch, BranchRecord]:
    architecture = SPACE.architecture([0] * len(SPACE.decisions))
    record = BranchRecord("bald", ("no", "yes"), SHAPE, 2, "f" * 64, threshold=0.5, architecture=architecture)
    return Branch(architecture, SHAPE, 2).eval(), record


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_branch(tmp_path / "bald", *made())
    return tmp_path / "bald"


def rewritten(folder: Path, **entries: Any) -> Path:
    path = folder / "branch.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))
    return folder


RUNS = "__import__('pathlib').Path('ran').touch()"


@pytest.mark.parametrize(
    ("entries", "named"),
    [
        ({"threshold": RUNS}, "'threshold' input should be a valid number"),
        ({"threshold": [0.5]}, "'threshold'"),
        ({"threshold": True}, "'threshold'"),
        ({"threshold": 1.5}, "'threshold' input should be less than or equal to 1"),
        ({"fingerprint": f'" + {RUNS} + "'}, "'fingerprint' should be hex digits"),
        ({"feature_shape": [RUNS, 4, 4]}, "'feature_shape.0'"),
        ({"feature_shape": [3, 4]}, "'feature_shape'"),
        ({"feature_shape": [3, 4, 10**12]}, "'feature_shape.2'"),
        ({"freeze_depth": f"2\n{RUNS}"}, "'freeze_depth'"),
        ({"freeze_depth": 2.5}, "'freeze_depth'"),
        ({"values": ["no", RUNS.encode().hex(), 3]}, "'values.2'"),
        ({"values": ["no"]}, "'values'"),
        ({"values": "no"}, "'values'"),
        ({"values": ["no", "\ud800"]}, "half a character"),
        ({"backbone": {"a": 1}}, "'backbone'"),
        ({"metrics": 3}, "'metrics'"),
        ({"metrics": {"val": [1]}}, "'metrics.val'"),
        ({"architecture": None}, "'architecture'"),
        ({"architecture": {"space": "macro", "settings": {"nodes": 10**9}, "choices": {}}}, "nodes must be"),
        ({"architecture": {"space": RUNS, "settings": {}, "choices": {}}}, "there is no search space"),
        ({"architecture": {}}, "needs its architecture"),
        ({"architecture": {"tail": True}, "backbone": "os.system"}, "There is no backbone"),
    ],
)
def test_a_value_of_another_kind_is_named(folder: Path, entries: dict[str, Any], named: str) -> None:
    with pytest.raises(BranchError, match=r"branch\.json") as caught:
        export_branch(rewritten(folder, **entries), folder.parent / "out")
    assert named in str(caught.value)
    assert not (folder.parent / "out").exists()
    assert not list(folder.parent.rglob("ran"))


@pytest.mark.parametrize(
    "name",
    [
        "../../../x",
        "/abs",
        "..",
        ".",
        "",
        ".hidden",
        "a/b",
        "a\\b",
        "a\nb",
        "a\x00b",
        "a:b",
        "CON",
        "nul.txt",
        "x" * 300,
        "ends ",
        "ends.",
        3,
        None,
    ],
)
def test_a_name_is_a_plain_name(folder: Path, name: object) -> None:
    with pytest.raises(BranchError, match="'attribute'"):
        load_branch(rewritten(folder, attribute=name))


@pytest.mark.parametrize("linked", ["branch.json", "weights.safetensors"])
def test_a_link_in_a_received_folder_is_not_followed(folder: Path, linked: str) -> None:
    (folder / linked).rename(folder.parent / linked)
    (folder / linked).symlink_to(folder.parent / linked)
    with pytest.raises(BranchError, match="is a link"):
        load_branch(folder)


@pytest.mark.parametrize(
    "entries",
    [
        {"attribute": f'bald""" \n{RUNS}\n"""'},
        {"attribute": "bald\\"},
        {"values": (f'"\n{RUNS}', f"\r\n{RUNS}\u2028\x0c{RUNS}")},
        {"fingerprint": f'"\n{RUNS}\n"'},
        {"threshold": 0.25},
    ],
)
def test_whatever_a_record_says_it_is_a_literal_in_the_source(entries: dict[str, Any]) -> None:
    """Even where a record was made in Python and never read."""
    branch, record = made()
    usual, odd = (ast.parse(branch_source(branch, made)[0]) for made in (record, replace(record, **entries)))
    shapes = [[type(node).__name__ for node in ast.walk(tree)] for tree in (usual, odd)]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("entries", [{"threshold": RUNS}, {"freeze_depth": RUNS}, {"feature_shape": (RUNS, 4, 4)}])
def test_what_is_no_number_is_not_written_as_one(entries: dict[str, Any]) -> None:
    branch, record = made()
    with pytest.raises((TypeError, ValueError)):
        branch_source(branch, replace(record, **entries))


def test_the_source_is_tried_in_another_process(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = folder.parent / "process"
    line = f"Path({str(told)!r}).write_text(str(__import__('os').getpid()))\n\n\nclass Branch("
    monkeypatch.setattr(source, "TEMPLATE", source.TEMPLATE.replace("class Branch(", line.replace("{", "{{")))
    export_branch(folder, folder.parent / "out")
    assert int(told.read_text()) != os.getpid()


def test_a_source_that_does_not_run_is_told_and_the_next_one_is_tried_again(tmp_path: Path) -> None:
    alone = Alone()
    for text, named in (
        ("import branches", "ModuleNotFoundError: branches"),
        ("raise SystemExit", "SystemExit"),
        ("import os; os._exit(3)", "could not be tried"),
        ("print('[1]')", "has no attribute 'load'"),
    ):
        (tmp_path / "branch.py").write_text(text)
        with pytest.raises(RuntimeError, match=named):
            alone.scores(tmp_path / "branch.py", torch.zeros(1))
    (tmp_path / "branch.py").write_text("def load(folder):\n    return lambda inputs: inputs + 1\n")
    assert alone.scores(tmp_path / "branch.py", torch.zeros(2))["scores"].tolist() == [1, 1]
    process = alone.process
    alone.stop()
    assert process is not None
    assert process.poll() is not None
    assert not (tmp_path / "__pycache__").exists()
