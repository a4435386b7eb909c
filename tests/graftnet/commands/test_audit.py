"""graftnet audit on a small project: the sentence, the record, the report, and what it refuses."""

import json
import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from graftnet.cli import app, run
from tests.graftnet.searches.test_run import made  # noqa: F401 - a fixture


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Path:  # noqa: F811
    return Path(shutil.copytree(made, tmp_path / "copy", symlinks=True))


def test_an_audit_ends_in_a_sentence_a_record_and_a_section_of_the_report(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nas.audit.run.extra_random", lambda *_: 1)
    command = ["audit", "bright", "--seeds", "1", "--architectures", "3", "--device", "cpu", "--project", str(project)]
    result = CliRunner().invoke(app, [*command, "--json"])
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout.splitlines()[-1])
    assert answer["sentence"].startswith("On bright, ")
    kept = json.loads((Path(answer["folder"]) / "audit.json").read_text())
    assert {key: answer[key] for key in kept} == kept
    page = Path(answer["report"]).read_text()
    assert 'id="audit"' in page
    assert 'id="figure-audit"' in page
    words = re.sub(r"<[^>]+>", "", page)
    assert len(kept["gain"]["seeds"]) == 1
    assert "Kendall" in words
    # The cheap part stands with the search itself.
    assert "No collapse" in words or "has collapsed" in words
    again = CliRunner().invoke(app, command)
    assert again.exit_code == 0
    assert kept["sentence"] in again.stdout


def test_what_has_changed_or_was_never_searched_is_not_audited(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--project", str(project)]
    config = project / "graftnet.toml"
    config.write_text(config.read_text().replace("nodes = 2", "nodes = 3"))
    assert run(["audit", "corner", *where]) == 2
    assert "have changed since corner was searched" in capsys.readouterr().err
    shutil.rmtree(project / "runs" / "searches" / "corner")
    assert run(["audit", "corner", *where]) == 2
    assert "run `graftnet search corner` first" in capsys.readouterr().err
