"""A project from Python: what its methods leave and return is what the commands of their names leave and print."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
import torch
from nbclient import NotebookClient

from graftnet import Project
from graftnet.cli import run
from graftnet.errors import ConfigError
from graftnet.pages.notebook import Search
from graftnet.project.folder import open_project
from nas.job.run import run_job
from nas.settings import JobData
from reports import write_report
from reports.tables import candidates, history, methods, predictions, results
from tests.graftnet.commands.test_bad_input import make_features
from tests.graftnet.searches.test_kill import CONFIG as SMALL
from tests.graftnet.searches.test_run import CPU, make_project
from tests.untimed import untimed
from trunk.features.source import ArrayFeatures, LabelledFeatures


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Two attributes, the first one searched."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("people")
    make_project(folder, 96)
    project = Project(folder)
    project.search("bright", seed=0, device="cpu")
    return project


def last_line(capsys: pytest.CaptureFixture[str], *call: str) -> dict[str, Any]:
    capsys.readouterr()
    assert run([*call, "--json"]) == 0
    answer: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return answer


def test_a_search_is_the_commands(people: Project, capsys: pytest.CaptureFixture[str]) -> None:
    folder = people.latest("bright")
    place = ("--project", str(people.folder))
    found = last_line(capsys, "search", "bright", "--seed", "0", "--device", "cpu", *place)
    assert Path(found["folder"]) == folder == people.search("bright", seed=0, device="cpu")
    assert (folder / "report.html").is_file()
    assert people.report("bright") == folder / "report.html"
    assert people.report(check=False).name == "fleet.html"
    assert (folder / "card.md").is_file()


def test_graft_export_and_predict(people: Project, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert people.graft("bright") == open_project(people.folder).tree / "bright"
    bundle = people.export()
    assert bundle == open_project(people.folder).exports / "bundle"
    alone = people.export("bright", to=tmp_path / "alone")
    picture = next((people.folder / "data" / "images").rglob("*.png"))
    shown = last_line(capsys, "predict", str(alone), str(picture))["predictions"]
    assert people.predict(bundle, [picture]) == people.predict(alone, [str(picture)], attributes=["bright"]) == shown


def test_tables(people: Project) -> None:
    table = people.attributes().set_index("attribute")
    assert list(table.index) == ["bright", "corner"]
    assert list(table.loc["corner", ["values", "train", "val", "test", "searches"]]) == ["blue / red", 48, 24, 24, 0]
    row = people.results().set_index("attribute").loc["bright"]
    result = json.loads((people.latest("bright") / "result.json").read_text())
    assert (row["parameters"], row["val.auroc"]) == (result["parameters"], result["val"]["auroc"])
    assert (row["verdict"], row["folder"]) == (result["verdict"], str(people.latest("bright")))
    assert len(people.results()) == 1
    assert results([]).empty


def test_a_project_and_a_search_show_themselves(people: Project, tmp_path: Path) -> None:
    shown = people._repr_html_()
    result = json.loads((people.latest("bright") / "result.json").read_text())
    assert shown.count("<tr>") == 3
    assert f'<td style="text-align:left">{result["parameters"]:,}</td>' in shown
    assert "not searched" in shown
    found = people.result("bright")
    assert found.record == result
    assert found.verdict == result["verdict"]
    page = found._repr_html_()
    assert page.count("<tr>") == 2 + len(result["controls"])
    assert f"{result['test']['auroc']:.3f}" in page
    figures = found.figures()
    figures["candidates"].savefig(tmp_path / "candidates.png")
    assert (tmp_path / "candidates.png").stat().st_size > 1000
    begun = Search(tmp_path, "<hat>")
    assert begun._repr_html_().startswith("<p><b>&lt;hat&gt;</b>: &lt;hat&gt; is not finished")


NOTEBOOK = Path(__file__).parents[2] / "docs" / "notebook.ipynb"
PROGRESS = """from graftnet.terminal.notebook import notebook_progress
with notebook_progress(None) as heard:
    heard("search", 1, 2, {"reward": 0.5})"""


def test_the_notebook_of_the_docs_runs(people: Project) -> None:
    notebook = nbformat.reads(NOTEBOOK.read_text().replace("bald", "bright"), as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(PROGRESS))
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(people.folder)}}).execute()
    outputs = [cell.outputs[-1] for cell in notebook.cells if cell.cell_type == "code" and cell.outputs]
    html = "".join(output.get("data", {}).get("text/html", "") for output in outputs)
    assert "not searched" in html  # the project
    assert people.result("bright").verdict.split(":")[0] in html
    assert "<code>search</code> <progress value='1' max='2'></progress> 1/2, reward 0.5" in html
    assert [True for output in outputs if "image/png" in output.get("data", {})] == [True]  # the figure


def test_a_mistake_is_one_sentence(people: Project, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="graftnet init"):
        Project(tmp_path)
    with pytest.raises(ConfigError, match="did you mean bright"):
        people.search("brigth")
    with pytest.raises(ConfigError, match="graftnet graft"):
        people.export("corner")


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The folder of a search by command line, and of the same job from Python."""
    torch.set_num_threads(1)
    from graftnet.project.config import read_config
    from graftnet.project.settings import job_settings

    home = tmp_path_factory.mktemp("both")
    (home / "graftnet.toml").write_text(SMALL)
    arrays = make_features()
    np.savez(home / "mine.npz", **arrays)  # type: ignore[arg-type]
    call = ["search", "--features", str(home / "mine.npz"), "--out", str(home / "typed"), "--project", str(home)]
    assert run([*call, "--device", "cpu", "--seed", "0"]) == 0
    (typed,) = (path for path in (home / "typed").iterdir() if path.is_dir())
    settings = job_settings(read_config(home / "graftnet.toml"), with_tail=False, device=CPU)
    names = json.loads((typed / "config.json").read_text())["values"]
    parts = {
        split: LabelledFeatures(
            ArrayFeatures(np.asarray(arrays[f"x_{split}"])), torch.as_tensor(arrays[f"y_{split}"]).long(), len(names)
        )
        for split in ("train", "val", "test")
        if f"x_{split}" in arrays
    }
    data = JobData("mine", tuple(names), parts["train"], parts["val"], parts.get("test"))
    folder = home / "called"
    found, branch = run_job(data, settings, folder=folder, seed=0, device=CPU)
    again = run_job(data, settings, folder=folder, seed=0, device=CPU)
    assert again.record == found == json.loads((folder / "result.json").read_text())
    weights = zip(again.branch.parameters(), branch.parameters(), strict=True)
    assert all(torch.equal(mine, other) for mine, other in weights)
    write_report(folder)
    return typed, folder


def test_a_job_from_python_leaves_what_the_command_leaves(both: tuple[Path, Path]) -> None:
    listed = [sorted(str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()) for home in both]
    assert listed[0] == listed[1]
    typed, called = (untimed(json.loads((home / "result.json").read_text())) for home in both)
    # The command tells data by the file's hash, a job from Python by its arrays'.
    assert len(typed["data"].pop("digest")) == len(called["data"].pop("digest")) == 12
    assert typed == called


def test_records_as_tables(both: tuple[Path, Path]) -> None:
    _, folder = both
    result = json.loads((folder / "result.json").read_text())
    lines = (folder / "history.jsonl").read_text().splitlines()
    assert list(history(folder)["kind"]) == [json.loads(line)["kind"] for line in lines]
    proposed = candidates(folder)
    searched = result if result["kind"] == "searched" else result["controls"]["searched"]
    assert list(proposed[proposed["is_winner"]]["identity"]) == [searched["identity"]]
    assert set(methods(folder)["key"]) == {"winner", *result["controls"]}
    table = predictions(folder)
    assert table.to_csv(index=False, lineterminator="\n") == (folder / "predictions.csv").read_text()
    assert dict(table.groupby("split").size()) == {
        split: sum(result["data"]["counts"][split].values()) for split in table["split"].unique()
    }


def test_the_command_line_starts_without_pandas_and_torch() -> None:
    code = "import sys, graftnet.cli, graftnet; assert not {'pandas', 'torch', 'graftnet.api'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
