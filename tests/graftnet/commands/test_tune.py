"""`graftnet tune` by command line: a study, its record and report, what it changes, and what the next search does."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest

from graftnet.cli import run
from graftnet.commands.tune import DepthOptions
from graftnet.project.config import CONFIG_NAME, LabelGraphTable, config_of
from graftnet.project.folder import open_project
from graftnet.searches.features import cache_of
from graftnet.studies.plan import TuneRequest
from graftnet.studies.records import default_storage, newest_study, read_study, standing_value
from graftnet.trunks.versions import open_trunk
from nas.tuning.depth_knobs import DEPTH_KNOBS
from nas.tuning.gcn import gcn_knobs
from nas.tuning.storage import sqlite_url
from tests.graftnet.searches.test_run import CPU, make_project
from tests.nas.studying import unsynced
from tests.untimed import untimed

QUICK = ("--epochs", "2", "--draws", "1", "--device", "cpu")


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    with unsynced():
        yield


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a study of six trials over three depths, the tail among the spaces."""
    folder = tmp_path_factory.mktemp("tuned")
    make_project(folder, 60)
    trials = ("--trials", "6", "--depths", "5,3,4", "--with-tail")
    assert run(["tune", "depth", "bright", *trials, *QUICK, "--project", str(folder)]) == 0
    return folder


@pytest.fixture
def folder(tuned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    copy = Path(shutil.copytree(tuned, tmp_path / "copy", symlinks=True))
    monkeypatch.chdir(copy)
    return copy


def answered(capfd: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    capfd.readouterr()
    assert run([*arguments, "--json"]) == 0
    record: dict[str, Any] = json.loads(capfd.readouterr().out.splitlines()[-1])
    return record


def test_the_record_says_all_and_test_was_not_looked_at(folder: Path) -> None:
    project = open_project(folder)
    study = newest_study(project, "bright")
    record = read_study(study)
    assert (record["study"], record["attribute"], record["depths"]) == ("depth", "bright", [3, 4, 5])
    assert record["settled"] == record["wanted"] == len(record["trials"]) == 6
    assert record["trials"][0]["setting"]["freeze_depth"] == 4  # the project's own
    assert record["depth_before"] == 4
    assert {trial["setting"]["freeze_depth"] for trial in record["trials"]} <= {3, 4, 5}
    assert record["picked"]["trial"] in record["front"]
    assert record["storage"] == sqlite_url(default_storage(project)).replace(str(folder), str(record_home(record)))
    page = (study / "report.html").read_text(encoding="utf-8")
    assert "Trial" in page
    assert {knob["name"] for knob in record["knobs"]} == DEPTH_KNOBS.keys() - {"parameter_penalty"}  # of one draw
    for knob in (knob["name"] for knob in record["knobs"]):  # each is recorded and shown
        assert any(knob in trial["setting"] for trial in record["trials"]), knob
        assert knob.replace("_", " ") in page, knob
    cache = cache_of(project, open_trunk(project, CPU))
    assert {depth: len(cache.read_index(depth)[1]) for depth in (3, 4, 5)} == dict.fromkeys((3, 4, 5), 45)  # of 60


def record_home(record: dict[str, Any]) -> Path:
    """The folder in which the study was made, of which the test's is a copy."""
    return Path(record["storage"].removeprefix("sqlite:///")).parents[2]


def test_a_study_continues_and_a_finished_one_is_found(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    call = ("tune", "depth", "bright", "--depths", "3,4,5", "--with-tail", *QUICK)
    before = read_study(newest_study(open_project(folder), "bright"))
    again = answered(capfd, *call, "--trials", "6")
    assert again["name"] == before["name"]
    assert read_study(Path(again["folder"]))["trials"] == before["trials"]
    more = answered(capfd, *call, "--trials", "7")
    assert (more["name"], more["settled"]) == (before["name"], 7)
    assert read_study(Path(more["folder"]))["trials"][:6] == before["trials"]
    other = answered(capfd, *call, "--trials", "1", "--seed", "7")
    assert other["name"] != before["name"]
    assert [one["name"] for one in answered(capfd, "tune", "list")["studies"]] == [before["name"], other["name"]]


def test_the_same_call_gives_the_same_trials(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = read_study(newest_study(open_project(folder), "bright"))
    shutil.rmtree(folder / "runs" / "studies")
    again = answered(capfd, "tune", "depth", "bright", "--trials", "3", "--depths", "3,4,5", "--with-tail", *QUICK)
    kept = untimed(read_study(Path(again["folder"]))["trials"])
    assert kept == untimed(before["trials"])[:3]


def test_what_is_applied_is_searched_next(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["search", "bright", "--device", "cpu"]) == 0
    record = read_study(newest_study(open_project(folder), "bright"))
    study, trial = newest_study(open_project(folder), "bright"), record["trials"][1]
    setting = {**record["trials"][0]["setting"], "freeze_depth": 3, "space": "micro", "pooling": "bilinear"}
    trial |= {"state": "finished", "setting": {**setting, "learning_rate": 0.00423}}
    (study / "study.json").write_text(json.dumps(record))
    text = (folder / CONFIG_NAME).read_text()
    applied = answered(capfd, "tune", "apply", "bright", "--trial", "1")
    assert (folder / CONFIG_NAME).read_text().startswith(text)
    project = open_project(folder)
    own, setting = config_of(project.config, "bright"), trial["setting"]
    for name in setting:  # each is applied
        key = ("attributes", "bright", *DEPTH_KNOBS[name].key)
        assert standing_value(project, key) in (setting[name], [setting[name]]), name
    assert own.trunk.freeze_depth == setting["freeze_depth"]
    assert own.search.space == setting["space"]
    assert own.search.widths == (setting["width"],)
    assert own.search.poolings == (setting["pooling"],)
    assert own.retrain.learning_rate == setting["learning_rate"]
    assert config_of(project.config, "corner").search == project.config.search
    keys = {change["key"]: change["now"] for change in applied["changes"]}
    assert keys["attributes.bright.retrain.learning_rate"] == setting["learning_rate"]
    assert answered(capfd, "tune", "apply", "bright", "--trial", "1")["changes"] == []
    assert run(["search", "bright", "--device", "cpu"]) == 0
    said = capfd.readouterr()
    assert "bright is searched anew" in said.err
    assert f"retrain.learning_rate 0.002 -> {setting['learning_rate']}" in said.err
    result = json.loads((open_project(folder).latest_search("bright") / "result.json").read_text())
    assert result["freeze_depth"] == setting["freeze_depth"]
    # The study itself is the same one still.
    call = ("tune", "depth", "bright", "--trials", "6", "--depths", "3,4,5", "--with-tail", *QUICK)
    assert answered(capfd, *call)["name"] == record["name"]


def test_a_tail_is_applied_as_a_branch_by_hand(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    study = newest_study(open_project(folder), "bright")
    record = read_study(study)
    record["trials"][1] |= {
        "state": "finished",
        "setting": {
            "freeze_depth": 5,
            "space": "tail",
            "pooling": "average",
            "learning_rate": 3e-3,
            "weight_decay": 0.1,
        },
    }
    (study / "study.json").write_text(json.dumps(record))
    changes = answered(capfd, "tune", "apply", "bright", "--trial", "1")["changes"]
    assert {change["key"]: change["now"] for change in changes} == {
        "attributes.bright.branch.kind": "tail",
        "attributes.bright.trunk.freeze_depth": 5,
        "attributes.bright.controls.tail_learning_rate": 3e-3,
        "attributes.bright.controls.tail_weight_decay": 0.1,
    }
    assert run(["search", "bright", "--device", "cpu"]) == 0
    result = json.loads((open_project(folder).latest_search("bright") / "result.json").read_text())
    assert (result["strategy"], result["freeze_depth"]) == ("by-hand", 5)


@pytest.mark.slow
def test_two_workers_share_a_study(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(folder / "runs" / "studies")
    call = ("tune", "depth", "bright", "--trials", "4", "--depths", "3,4,5", "--with-tail", *QUICK)
    found = answered(capfd, *call, "--workers", "2")
    record = read_study(Path(found["folder"]))
    assert [one["trial"] for one in record["trials"]] == list(range(4))
    assert record["importances"].keys() == {"score", "second"}


def test_the_label_graph_is_tuned_and_applied(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert {knob.name for knob in gcn_knobs(4, words=True)} <= LabelGraphTable.model_fields.keys()  # each is applied
    found = answered(capfd, "tune", "gcn", "--trials", "4", "--device", "cpu")
    assert found["picked"]["rule"] == "best"
    assert (found["attribute"], found["second"], found["metric"]) == (None, None, "mAP")
    record = read_study(Path(found["folder"]))
    assert record["labels"]
    assert record["trials"][0]["setting"]["tau"] == 0.1  # the project's own
    changes = answered(capfd, "tune", "apply", "gcn", "--trial", "1")["changes"]
    assert {change["key"].partition(".")[0] for change in changes} == {"label_graph"}
    assert open_project(folder).config.label_graph.tau == record["trials"][1]["setting"]["tau"]
    assert answered(capfd, "tune", "gcn", "--trials", "4", "--device", "cpu")["name"] == found["name"]
    assert answered(capfd, "tune", "show", "gcn")["name"] == found["name"]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (("tune", "depth", "blond"), "has no sub-dataset for 'blond'"),
        (("tune", "depth", "bright", "--second", "macs"), "--second must be one of parameters, latency, is 'macs'."),
        (("tune", "depth", "bright", "--depths", "3;4"), "--depths must be whole numbers"),
        (("tune", "depth", "bright", "--depths", "9"), "freeze_depth of small_cnn must lie between 1 and 6, is 9."),
        (("tune", "depth", "bright", "--depths", "6", "--with-tail"), "which leaves no tail"),
        (("tune", "depth", "bright", "--pick", "worst"), "--pick must be one of smallest_within, best, is 'worst'."),
        (("tune", "depth", "bright", "--storage", "here"), "The storage 'here' is no URL"),
        (("tune", "depth", "bright", "--storage", "oracles://x/y"), "SQLAlchemy does not know"),
        (("tune", "apply", "corner"), "There is no study of corner"),
        (("tune", "apply", "blond"), "has no sub-dataset for 'blond'"),
        (("tune", "apply", "bright", "--trial", "99"), "--trial 99 is not a finished trial"),
        (("tune", "show", "gcn"), "There is no study of gcn"),
    ],
)
def test_mistakes_get_one_sentence(
    folder: Path, capfd: pytest.CaptureFixture[str], call: tuple[str, ...], said: str
) -> None:
    assert run(list(call)) == 2
    error = capfd.readouterr().err.strip().splitlines()[-1]
    assert said in error


def test_the_dashboard_opens_the_study(folder: Path) -> None:
    dashboard = pytest.importorskip("optuna_dashboard", reason="needs the extra dashboard")
    project = open_project(folder)
    app = dashboard.wsgi(sqlite_url(default_storage(project)))

    def got(path: str) -> Any:
        environment: dict[str, Any] = {"PATH_INFO": path}
        setup_testing_defaults(environment)
        statuses: list[str] = []
        body = b"".join(app(environment, lambda status, _headers, _error=None: statuses.append(status)))
        assert statuses[0].startswith("200")
        return json.loads(body)

    (study,) = got("/api/studies")["study_summaries"]
    record = read_study(newest_study(project, "bright"))
    assert study["study_name"] == record["name"]
    shown = got(f"/api/studies/{study['study_id']}")
    states = [trial["state"] for trial in shown["trials"]]
    assert states.count("Complete") + states.count("Pruned") == 6
    assert shown["directions"] == ["maximize", "minimize"]


def test_reports_need_neither_optuna_nor_torch(folder: Path) -> None:
    study = newest_study(open_project(folder), "bright")
    code = (
        "import sys; from pathlib import Path; from reports.study import write_study_report; "
        f"write_study_report(Path({str(study)!r})); "
        "assert not {'optuna', 'torch', 'sqlalchemy'} & set(sys.modules), 'a report imports them'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])


def test_options_have_the_defaults_of_a_request() -> None:
    request = TuneRequest(Path(), "depth")
    options = vars(DepthOptions())
    assert options.pop("depths") is None  # as a user writes them; () in a request
    assert options == {name: getattr(request, name) for name in options}
