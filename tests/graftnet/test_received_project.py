"""A project from somebody else, or a damaged one: it runs nothing, writes nowhere else, and is never silently wrong."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from graftnet.cli import run
from graftnet.project.folder import open_project
from tests.graftnet import test_old_world

world = test_old_world.world
SEARCH = "runs/searches/loop/52e13bf5337e"
RUNS = "__import__('pathlib').Path('RAN').touch()"


def changed(path: Path, **entries: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The sentence that a command ends with."""
    capsys.readouterr()
    assert run(list(words)) == 2
    said = capsys.readouterr().err
    assert "A bug" not in said
    assert len(said.splitlines()) == 1
    return said


@pytest.mark.parametrize(
    ("entries", "named"),
    [
        ({"threshold": RUNS}, "'threshold'"),
        ({"attribute": "../../../x"}, "'attribute' should be a plain name"),
        ({"attribute": "range"}, "holds a branch of 'range'"),
        ({"fingerprint": f'"\n{RUNS}\n"'}, "'fingerprint'"),
    ],
)
@pytest.mark.parametrize(("place", "command"), [(f"{SEARCH}/branch", "graft"), ("runs/tree/loop", "export")])
def test_a_branch_of_somebody_elses_is_refused(
    place: str, command: str, entries: dict[str, Any], named: str, world: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed(world / "project" / place / "branch.json", **entries)
    before = files(world)
    sentence = refused(capsys, command, "loop")
    assert place.split("/")[-1] in sentence
    assert named in sentence
    assert {name for name in files(world) - before if ".lock" not in name} == set()


@pytest.mark.parametrize("tree", ["../..", "/tmp", "../../outside", ".", "", "tree/../..", 3, None, "tree\x00"])
@pytest.mark.parametrize("command", ["graft", "export"])
def test_the_tree_lies_in_the_project(
    tree: object, command: str, world: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed(world / "project/runs/trunk/current.json", tree=tree)
    before = files(world)
    assert "current.json cannot be read ('tree'" in refused(capsys, command, "loop")
    assert files(world) == before


@pytest.mark.parametrize("link", ["runs/tree", "runs/tree/loop", "runs/trunk/8a8f7ff07ac1", "runs/searches/loop"])
def test_a_link_that_leads_out_of_the_project_is_not_followed(
    link: str, world: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = world / "project" / link
    shutil.move(path, world / "outside")
    path.symlink_to(world / "outside")
    before = files(world / "outside")
    assert "leads out of" in refused(capsys, "graft", "loop")
    assert files(world / "outside") == before


def test_runs_as_a_whole_may_be_a_link_to_another_disk(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.move(world / "project/runs", world / "disk")
    (world / "project/runs").symlink_to(world / "disk")
    assert run(["graft", "loop"]) == 0


def again(world: Path, name: str, **entries: Any) -> Path:
    """Another finished search beside the one that is there."""
    folder = world / "project" / SEARCH
    shutil.copytree(folder, folder.with_name(name))
    changed(folder.with_name(name) / "result.json", **entries)
    return folder.with_name(name)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"created": "2026-11-30T10:00:00"}, {"created": "2026-11-30T11:00:00"}),
        ({"created": "2026-11-30T11:00:00", "sequence": 1}, {"created": "2026-11-30T10:00:00", "sequence": 2}),
        ({"created": "2099-01-01T00:00:00"}, {"created": "2026-11-30T10:00:00", "sequence": 1}),
    ],
)
@pytest.mark.parametrize("copied", [lambda a, b: (a, b), lambda a, b: (b, a)])
def test_the_newest_search_is_the_one_that_says_so(
    copied: Callable[..., tuple[Path, Path]], first: dict[str, Any], second: dict[str, Any], world: Path
) -> None:
    """Whichever file a copy happened to write last."""
    older, newer = again(world, "a", **first), again(world, "b", **second)
    shutil.rmtree(world / "project" / SEARCH)
    for when, folder in enumerate(copied(older, newer)):
        os.utime(folder / "result.json", (1000 + when, 1000 + when))
    project = open_project(world / "project")
    assert [folder.name for folder in project.results("loop")] == ["a", "b"]
    assert project.latest_search("loop") == newer


def test_a_damaged_newest_result_is_told_of_and_no_other_taken(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (again(world, "b") / "result.json").write_text('{"sequence": 9')
    (world / "project/runs/searches/loop/b/config.json").write_text("torn")
    assert "b/config.json cannot be read" in refused(capsys, "graft", "loop")


def test_a_search_that_is_asked_for_again_becomes_the_newest_by_record(world: Path) -> None:
    other = again(world, "b", sequence=3)
    project = open_project(world / "project")
    assert project.latest("loop") == other
    assert project.next_in_sequence("loop") == 4
    from graftnet.searches.plan import SearchPlan

    class Plan(SearchPlan):
        @property
        def attribute(self) -> str:
            return "loop"

        @property
        def folder(self) -> Path:
            return world / "project" / SEARCH

    before = json.loads((world / "project" / SEARCH / "result.json").read_text())
    Plan(project, None, {}, None, {}, "").make_newest()  # type: ignore[arg-type]
    after = json.loads((world / "project" / SEARCH / "result.json").read_text())
    assert after == {**before, "sequence": 4}
    assert project.latest("loop") == world / "project" / SEARCH


def test_graft_says_when_a_result_is_not_what_is_asked_for_now(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = world / "project/graftnet.toml"
    config.write_text(config.read_text().replace("epochs = 2\n", "epochs = 5\n"))
    assert run(["graft", "loop", "--json"]) == 0
    said = capsys.readouterr()
    assert "is not current" in said.err
    assert "search.epochs 2 -> 5" in said.err
    assert json.loads(said.out.splitlines()[-1])["current"] is False
    (world / "project/data/loop.csv").unlink()
    assert run(["graft", "loop"]) == 0
    assert "cannot be told" in capsys.readouterr().err


DAMAGES = {
    "truncated": lambda data: data[: len(data) // 2],
    "empty": lambda data: b"",
    "null": lambda data: b"null",
    "list": lambda data: b"[1]",
    "latin-1": lambda data: "größe".encode("latin-1"),
    "nothing in it": lambda data: b"{}",
    "NaN": lambda data: b'{"version": NaN, "backbone": NaN}',
    "huge": lambda data: b'{"version": ' + b"9" * 5000 + b"}",
    "deep": lambda data: b'{"a": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize(
    ("file", "command"),
    [
        ("runs/trunk/current.json", ("trunk", "status")),
        ("runs/trunk/8a8f7ff07ac1/trunk.json", ("graft", "loop")),
        (f"{SEARCH}/config.json", ("graft", "loop")),
        (f"{SEARCH}/branch/branch.json", ("graft", "loop")),
        ("runs/tree/loop/branch.json", ("export", "loop")),
        ("runs/studies/depth-loop-d7034799fe00/study.json", ("tune", "apply", "loop")),
        ("runs/label_graph/aca7fb5a4265/label_graph.json", ("graph", "export")),
        ("runs/label_graph/aca7fb5a4265/result.json", ("graph", "list")),
    ],
)
def test_a_damaged_file_is_one_sentence_that_names_it(
    file: str, command: tuple[str, ...], damage: str, world: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = world / "project" / file
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    assert str(path) in refused(capsys, *command)
