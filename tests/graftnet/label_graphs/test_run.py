"""The label graph of a project: joined on content, compared once, resumed, exported, and refused where it must be."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from graftnet.cli import run
from graftnet.errors import ConfigError
from graftnet.label_graphs.plan import joined, plan_graph
from graftnet.label_graphs.run import run_graph
from graftnet.project.folder import Project, open_project
from graftnet.trunks.versions import open_trunk
from label_graph.gain import verdict_of
from label_graph.saved import load_classifiers
from label_graph.scores import combine, thresholds_of, together
from label_graph.settings import GraphSettings
from subdatasets.attribute import Attribute
from subdatasets.subdataset import Example, SubDataset
from tests.graftnet.grafts import make_grafts

CPU = torch.device("cpu")
QUICK = """
[label_graph]
epochs = 4
hidden = 8
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Two yes/no attributes and one of three values on the same pictures, a branch grafted for each."""
    folder = make_grafts(tmp_path_factory.mktemp("graphs") / "project").folder
    with open(folder / "graftnet.toml", "a", encoding="utf-8") as file:
        file.write(QUICK)
    return open_project(folder)


@pytest.fixture(scope="module")
def finished(project: Project) -> Path:
    trunk = open_trunk(project, CPU)
    return run_graph(plan_graph(project, trunk, [], seed=0, device=CPU), trunk, device=CPU)


def read(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return found


def test_a_run_compares_every_way_to_score_the_labels(finished: Path):
    result = read(finished)
    names = [label["name"] for label in result["per_label"]]
    assert names == ["bright", "corner", "shape=a", "shape=b", "shape=c"]
    assert set(result["methods"]) == {"cooccurrence", "identity", "none", "branches", "combined"}
    for method in result["methods"].values():
        assert method["labels"] == 5
        for split in ("val", "test"):
            assert 0 <= method[split]["map"] <= 1
            assert {"cf1", "of1", "mean_accuracy", "top3_of1", "image_f1"} <= set(method[split])
    assert set(result["gains"]) == {
        *("cooccurrence over identity", "cooccurrence over none", "cooccurrence over branches"),
        *("combined over branches", "combined over cooccurrence"),
    }
    gain = result["gains"]["cooccurrence over none"]
    test = {name: found["test"]["map"] for name, found in result["methods"].items()}
    assert gain["map"] == pytest.approx(test["cooccurrence"] - test["none"], abs=1e-6)
    assert gain["low"] <= gain["map"] <= gain["high"]
    assert 0 <= result["combination"]["branch_weight"] <= 1
    assert not result["graph"]["estimated"]
    assert "On test, the label graph reaches" in result["verdict"]
    settings = GraphSettings(tau=0.5)
    assert ", which has no edge at tau 0.5, reaches" in verdict_of(result, settings, edges=0)
    # the three shapes exclude each other
    assert np.array(result["graph"]["probability"])[2:, 2:].tolist() == np.eye(3).tolist()


def test_the_history_tells_every_epoch_of_every_graph(finished: Path):
    records = [json.loads(line) for line in (finished / "history.jsonl").read_text().splitlines()]
    epochs = [(record["graph"], record["epoch"]) for record in records if record["kind"] == "epoch"]
    assert epochs == [(graph, n) for graph in ("none", "identity", "cooccurrence") for n in (1, 2, 3, 4)]
    assert not (finished / "training").exists()


def test_the_classifiers_are_a_constant_of_the_chosen_graph(finished: Path, project: Project):
    module, record = load_classifiers(finished)
    result = read(finished)
    assert [label.name for label in record.labels] == [label["name"] for label in result["per_label"]]
    assert record.thresholds == tuple(result["thresholds"]["cooccurrence"])
    assert record.fingerprint == open_trunk(project, CPU).fingerprint
    assert module.linear.weight.shape == (5, record.feature_shape[0])


def test_a_finished_run_is_not_done_again_and_another_seed_is_another_run(
    finished: Path, project: Project, monkeypatch: pytest.MonkeyPatch
):
    trunk = open_trunk(project, CPU)
    assert plan_graph(project, trunk, [], seed=1, device=CPU).folder != finished
    assert plan_graph(project, trunk, ["corner", "bright"], seed=0, device=CPU).folder != finished

    def fail(*_: Any, **__: Any) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr("graftnet.label_graphs.run.train_label_graph", fail)
    assert run_graph(plan_graph(project, trunk, [], seed=0, device=CPU), trunk, device=CPU) == finished


def test_a_stopped_run_continues_and_ends_the_same(finished: Path, project: Project, monkeypatch: pytest.MonkeyPatch):
    before = read(finished)
    trunk = open_trunk(project, CPU)
    plan = plan_graph(project, trunk, [], seed=0, device=CPU)
    monkeypatch.setattr("label_graph.training.SAVE_EVERY", 0.0)

    def stop(stage: str, done: int, total: int, figures: Any) -> None:
        if stage == "label graph: identity" and done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_graph(plan, trunk, device=CPU, progress=stop, force=True)
    assert not plan.finished
    heard: list[tuple[str, int]] = []
    run_graph(plan, trunk, device=CPU, progress=lambda stage, done, *_: heard.append((stage, done)))
    assert heard[:2] == [("label graph: identity", 3), ("label graph: identity", 4)]
    after = read(finished)
    for record in (before, after):
        for graph in ("none", "identity", "cooccurrence"):
            del record["methods"][graph]["seconds"]
    assert {key: before[key] for key in ("methods", "gains", "per_label", "combination")} == {
        key: after[key] for key in ("methods", "gains", "per_label", "combination")
    }


def test_the_command_trains_reports_lists_and_exports(
    finished: Path, project: Project, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    where = ["--project", str(project.folder)]
    assert run(["graph", "train", *where, "--json", "--device", "cpu"]) == 0
    answer = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert answer["folder"] == str(finished)
    assert Path(answer["report"]).read_text().count("<svg") == 3
    assert run(["graph", "train", *where, "--device", "cpu"]) == 0
    text = capsys.readouterr().out
    assert "label graph" in text
    assert "branches + graph" in text
    assert run(["graph", "list", *where, "--json"]) == 0
    runs = json.loads(capsys.readouterr().out.splitlines()[-1])["runs"]
    assert [one["folder"] for one in runs] == [str(finished)]
    assert run(["graph", "report", *where]) == 0
    assert capsys.readouterr().out.strip() == answer["report"]
    assert run(["graph", "export", str(tmp_path / "out"), *where]) == 0
    assert (tmp_path / "out" / "label_graph.onnx").exists()


def test_mistakes_are_one_sentence(project: Project, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    where = ["--project", str(project.folder)]
    assert run(["graph", "train", "brigt", *where]) == 2
    assert "did you mean bright?" in capsys.readouterr().err
    assert run(["graph", "train", "bright", *where, "--device", "cpu"]) == 2
    assert "needs two labels or more, bright is one" in capsys.readouterr().err
    (tmp_path / "graftnet.toml").write_text("")
    assert run(["graph", "export", "--project", str(tmp_path)]) == 2
    assert "no label graph yet" in capsys.readouterr().err


def test_word_nodes_need_their_file(project: Project):
    table = project.config.label_graph.model_copy(update={"nodes": "words", "words": "glove.txt"})
    config = project.config.model_copy(update={"label_graph": table})
    with pytest.raises(ConfigError, match=r"there is no .*glove\.txt"):
        plan_graph(Project(project.folder, config), open_trunk(project, CPU), [], seed=0, device=CPU)


def subdataset(name: str, rows: list[tuple[str, int, str]]) -> SubDataset:
    examples = tuple(Example(Path(f"/{file}"), value, split) for file, value, split in rows)
    return SubDataset(Attribute(name, ("no", "yes")), examples, Path(f"{name}.csv"))


def test_what_an_attribute_says_in_another_split_is_not_known():
    hat = subdataset("hat", [("a", 1, "train"), ("b", 0, "train"), ("c", 1, "test")])
    bag = subdataset("bag", [("copy of a", 1, "test"), ("b", 1, "train")])
    hashes = {Path("/a"): "A", Path("/copy of a"): "A", Path("/b"): "B", Path("/c"): "C"}
    data = joined([hat, bag], hashes)
    assert data.contents == ("A", "B", "C")
    assert data.table.splits == ("test", "train", "test")
    # the hat's branch was trained on image A, so its label cannot be tested there
    assert data.table.states.tolist() == [[-1, 1], [0, 1], [1, -1]]
    assert data.rows("test").tolist() == [0, 2]
    assert data.columns("bag") == [1]


def test_counts_are_estimated_where_sub_datasets_share_no_image(project: Project, tmp_path: Path):
    folder = tmp_path / "apart"
    folder.mkdir()
    (folder / "graftnet.toml").write_text((project.folder / "graftnet.toml").read_text())
    for part in ("runs", "data"):
        (folder / part).mkdir()
    (folder / "runs" / "trunk").symlink_to(project.trunks)
    for number, name in enumerate(("bright", "corner")):
        lines = (project.data / f"{name}.csv").read_text().splitlines()
        kept = [line for place, line in enumerate(lines[1:]) if place // 4 % 2 == number]
        rows = [line.replace("images/", f"{project.data}/images/", 1) for line in kept]
        (folder / "data" / f"{name}.csv").write_text("\n".join([lines[0], *rows]) + "\n")
    apart = open_project(folder)
    trunk = open_trunk(apart, CPU)
    result = read(run_graph(plan_graph(apart, trunk, [], seed=0, device=CPU), trunk, device=CPU))
    assert result["graph"]["estimated"]
    assert result["graph"]["estimated_pairs"] == 2
    assert all(edge["estimated"] for edge in result["graph"]["edges"])
    assert set(result["methods"]) == {"cooccurrence", "identity", "none"}  # no branch in this project
    assert result["combination"] is None


def test_the_combination_takes_the_better_half():
    rng = np.random.default_rng(0)
    states = (rng.random((200, 3)) < 0.4).astype(np.int8)
    good, noise = (0.1 + 0.8 * states).astype(np.float64), rng.random((200, 3))
    assert combine(good, noise, states).weight > 0.5
    assert combine(noise, good, states).weight < 0.5
    combination = combine(np.where([True, True, False], noise, np.nan), good, states)
    found = combination.scores(np.where([True, True, False], noise, np.nan), good)
    np.testing.assert_allclose(found[:, 2], good[:, 2], rtol=1e-6)  # no branch: the graph's own
    assert together(good, states, thresholds_of(good, states))["map"] == 1.0
