"""A search that is current answers without torch, and whatever it was decided from is watched."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from graftnet.project.folder import Project, open_project
from graftnet.searches.current import Call, Current, recall, remember
from graftnet.searches.plan import SearchPlan
from graftnet.searches.run import plan_search
from graftnet.trunks.versions import open_trunk
from subdatasets.files import stamps
from tests.graftnet.searches.test_run import make_project
from tests.graftnet.searches.test_standing import pretend_finished
from tests.reports.search_folder import write_search

CALL = Call("bright", 0, "cpu")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> SearchPlan:
    """A search that seems to be finished."""
    folder = tmp_path_factory.mktemp("current")
    project = make_project(folder, 80)
    device = torch.device("cpu")
    plan = plan_search(project, open_trunk(project, device), "bright", seed=0, device=device)
    pretend_finished(plan)
    write_search(plan.folder.with_name("made"), attribute="bright", epochs=2, proposals=8, retrained=2)
    for name in ("result.json", "history.jsonl"):
        shutil.copy(plan.folder.with_name("made") / name, plan.folder / name)
    shutil.rmtree(plan.folder.with_name("made"))
    (plan.folder / "report.html").write_text("a page")
    return plan


@pytest.fixture
def remembered(made: SearchPlan, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The project, opened anew, in which the search is noted as current."""
    monkeypatch.setattr(stamps, "RACY", 0)
    remember(made.project, CALL, made, made.folder, made.folder / "report.html")
    return open_project(made.project.folder)


def test_what_is_current_is_recalled_until_something_changes(remembered: Project, made: SearchPlan) -> None:
    found = Current(made.folder, made.folder / "report.html")
    assert recall(remembered, CALL) == found
    assert recall(remembered, CALL._replace(seed=1)) is None
    assert recall(remembered, CALL._replace(device="auto")) is None
    config = remembered.config.search.model_copy(update={"epochs": 99})
    other = remembered.config.model_copy(update={"search": config})
    assert recall(Project(remembered.folder, other), CALL) is None
    assert recall(remembered, CALL) == found


def touched(path: Path) -> Callable[[], None]:
    """Give a file another time; what undoes it."""
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    return lambda: os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize("what", ["image", "table", "weights", "current trunk", "result", "page", "probes", "search"])
def test_all_that_it_was_decided_from_is_watched(what: str, remembered: Project, made: SearchPlan) -> None:
    if what == "probes":
        (remembered.runs / "probes").mkdir()
        undo: Callable[[], None] = (remembered.runs / "probes").rmdir
    elif what == "search":
        (made.folder.with_name("another")).mkdir()
        undo = made.folder.with_name("another").rmdir
    else:
        undo = touched(
            {
                "image": made.subdataset.examples[-1].path,
                "table": made.subdataset.source,
                "weights": remembered.current_trunk / "weights.safetensors",
                "current trunk": remembered.current_trunk_file,
                "result": made.folder / "result.json",
                "page": made.folder / "report.html",
            }[what]
        )
    assert recall(remembered, CALL) is None
    undo()


def test_an_image_that_may_change_unseen_is_not_vouched_for(made: SearchPlan) -> None:
    undo = touched(made.subdataset.examples[0].path)
    remember(made.project, CALL, made, made.folder, made.folder / "report.html")
    undo()
    assert recall(made.project, CALL) is None


def test_what_is_damaged_or_leads_elsewhere_is_no_answer(remembered: Project) -> None:
    file = remembered.runs / "standing" / "bright"
    whole = file.read_bytes()
    head, _, rest = whole.partition(b"\n")
    elsewhere = json.dumps(json.loads(head) | {"search": "../../elsewhere"}).encode() + b"\n" + rest
    for data in (b"", b"{}\n", whole[:-9], head + b"\n" + b"x" * 50, elsewhere):
        file.write_bytes(data)
        assert recall(remembered, CALL) is None
    file.unlink()
    assert recall(remembered, CALL) is None


def test_a_current_search_imports_no_torch_and_opens_no_image(remembered: Project) -> None:
    program = (
        "import sys, graftnet.searches.search_all; from graftnet.searches.calls import search_one\n"
        "from pathlib import Path; from subdatasets import image_files; image_files._stamped = None\n"
        "found = search_one(Path(sys.argv[1]), 'bright', seed=None, device='cpu', force=False)\n"
        "print(found.record['verdict']); assert not {'torch', 'timm', 'jinja2'} & {*sys.modules}"
    )
    found = subprocess.run(
        [sys.executable, "-c", program, str(remembered.folder)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout.strip()
