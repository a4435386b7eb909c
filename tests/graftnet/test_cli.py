"""The command line as a user meets it: exit codes, one sentence per mistake, JSON, help, a quick start."""

import configparser
import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from graftnet import __version__
from graftnet.cli import run
from graftnet.commands.options import PANELS
from nas.errors import SearchError
from tests.signals import heed_interrupts

COMMANDS = (
    ["init"],
    ["data", "import"],
    ["data", "check"],
    ["trunk", "train"],
    ["trunk", "use"],
    ["trunk", "info"],
    ["cache"],
    ["search"],
    ["add"],
    ["report"],
    ["graft"],
    ["export"],
    ["verify"],
    ["predict"],
    ["serve"],
    ["demo"],
    ["doctor"],
)
ROOMS = ("torch", "nni", "timm", "pandas", "matplotlib", "sklearn", "onnxruntime", "rich", "pydantic")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    assert run(["init", str(tmp_path / "people")]) == 0
    monkeypatch.chdir(tmp_path / "people")
    return tmp_path / "people"


def raising(error: BaseException) -> Callable[..., None]:
    def command(*_: object, **__: object) -> None:
        raise error

    return command


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"graftnet {__version__}\n"


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_teaches_by_example(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*command, "--help"]) == 0
    assert f"   graftnet {' '.join(command)}" in capsys.readouterr().out.split("Usage:")[1].partition("\n")[2]


def test_start_imports_nothing_heavy() -> None:
    code = f"import sys, graftnet.cli; print([name for name in {ROOMS} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_console_script_exits_with_the_code() -> None:
    found = subprocess.run(
        [sys.executable, "-m", "graftnet", "search", "--json"], capture_output=True, text=True, check=False
    )
    assert found.returncode == 2
    assert json.loads(found.stdout.splitlines()[-1]) == {"error": found.stderr.strip()}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["serch"], "No such command 'serch'"),
        (["search", "bald", "--sed", "1"], "No such option"),
        (["search", "bald", "--seed", "-1"], "'--seed'"),
        (["search"], "Name one attribute"),
        (["search", "bald", "--all"], "Name one attribute"),
        (["search", "bald", "--out", "x"], "--out goes with --features"),
        (["search", "--features", "none.npz"], "none.npz"),
        (["search", "bald"], "no sub-dataset"),
        (["search", "--all"], "graftnet data import"),
        (["report", "bald"], "graftnet data import"),
        (["trunk", "info"], "graftnet trunk train"),
        (["verify", "nowhere"], "nowhere"),
        (["export"], "Name one attribute"),
        (["export", "--all"], "graftnet graft"),
        (["init", "."], "is there already"),
        (["doctor", "--project", "x"], "No such option"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_sentence(
    arguments: list[str], expected: str, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*arguments, "--json"]) == 2
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert len(lines) == 1
    assert expected in lines[0]
    assert lines[0].endswith(".")
    assert json.loads(captured.out.splitlines()[-1]) == {"error": lines[0]}


def test_configuration_mistakes_reach_the_user(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "graftnet.toml").write_text("[search]\nepochs = 'ten'\nfoo = 1\n", encoding="utf-8")
    assert run(["search", "bald"]) == 2
    error = capsys.readouterr().err
    assert "search.epochs (line 2) must be an integer, is 'ten'; search.foo (line 3) is not a setting" in error


@pytest.mark.parametrize(
    ("error", "code", "expected"),
    [
        (SearchError("The controller\nhas nothing to decide."), 2, "The controller has nothing to decide."),
        (OSError(errno.ENOSPC, "No space left on device", "x.csv"), 2, "The disk is full (writing x.csv)"),
        (RuntimeError("write: No space left on device"), 2, "The disk is full; free"),
        (PermissionError(errno.EACCES, "Permission denied", "x.csv"), 2, "x.csv: Permission denied"),
        (ModuleNotFoundError("No module named 'ray'", name="ray"), 2, "pip install 'graftnet[ray]'"),
        (MemoryError(), 1, "The memory is full"),
        (RuntimeError("(sqlite3.OperationalError) database or disk is full"), 2, "The disk is full; free"),
        (KeyboardInterrupt(), 130, "call the same command again to continue"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_failures_and_their_codes(
    error: BaseException,
    code: int,
    expected: str,
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("graftnet.project.machine.examine", raising(error))
    assert run(["doctor"]) == code
    captured = capsys.readouterr().err
    assert expected in captured
    assert len(captured.splitlines()) == 1


def test_a_file_too_large_for_the_memory_is_named_and_no_batch_blamed(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "large.npz").write_bytes(b"0" * 1000)

    def read_arrays(path: Path) -> None:
        raise MemoryError(f"Unable to allocate 745. GiB for {path.stat().st_size} numbers")

    monkeypatch.setattr("graftnet.project.machine.examine", lambda *_, **__: read_arrays(project / "large.npz"))
    assert run(["doctor"]) == 1
    said = capsys.readouterr().err
    assert f"{project / 'large.npz'} (0.0 GB) is too large" in said
    assert "batch_size" not in said


def test_a_bug_keeps_its_traceback_in_a_file(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("graftnet.project.machine.examine", raising(ZeroDivisionError("division by zero")))
    assert run(["doctor"]) == 1
    said = capsys.readouterr().err
    (written,) = (project / "runs" / "errors").iterdir()
    assert str(written) in said
    assert "Traceback" not in said
    assert "ZeroDivisionError: division by zero" in written.read_text(encoding="utf-8")


def test_a_reader_that_stops_reading_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graftnet.project.machine.examine", raising(BrokenPipeError()))
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    assert run(["doctor"]) == 0


def test_ctrl_c_stops_the_real_process(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys\nimport graftnet.project.machine\nfrom graftnet.cli import main\n"
        "graftnet.project.machine.examine = lambda: os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.argv = ['graftnet', 'doctor']\nmain()"
    )
    found = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ},
        preexec_fn=heed_interrupts,
    )
    assert found.returncode == 130
    assert "Traceback" not in found.stderr
    assert "again to continue" in found.stderr


def test_every_command_module_is_part_of_the_command_line() -> None:
    """A file in graftnet/commands is one that cli.py collects; its commands stand in --help."""
    from graftnet import cli, commands

    files = {path.stem for path in Path(commands.__path__[0]).glob("*.py")} - {"__init__", "options"}
    modules = {name: getattr(cli, name) for name in files}
    for name, module in modules.items():
        own = [*module.commands.registered_commands, *module.commands.registered_groups]
        assert own, name
        assert all(each in [*cli.app.registered_commands, *cli.app.registered_groups] for each in own), name
        assert all(each.rich_help_panel in PANELS for each in own), name


def test_a_built_package_holds_the_templates() -> None:
    """What graftnet/ holds beside code is named in setup.cfg, or an installed command lacks it."""
    root = Path(__file__).parents[2]
    cfg = configparser.ConfigParser()
    cfg.read(root / "setup.cfg")
    patterns = cfg["options.package_data"]["graftnet"].split()
    files = [path for path in (root / "graftnet").rglob("*.*") if path.suffix not in (".py", ".typed", ".pyc")]
    assert len(files) == 3
    assert all(any(path.match(pattern) for pattern in patterns) for path in files)


@pytest.mark.parametrize("number", ["inf", "nan", "-inf", "1e999", "1e300"])
def test_a_number_that_is_none_to_reckon_with_is_refused(
    number: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["serve", str(tmp_path), "--timeout", number]) == 2
    said = capsys.readouterr().err
    assert "--timeout" in said
    assert "A bug" not in said
    assert said.count("\n") == 1


def test_a_pipe_where_a_table_is_asked_for_is_not_waited_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["init", "."]) == 0
    os.mkfifo(tmp_path / "pipe.csv")
    for call in (["data", "import", "pipe.csv", "--images", "."], ["search", "--features", "pipe.csv"]):
        assert run(call) == 2, call
        assert "pipe.csv" in capsys.readouterr().err


def test_settings_out_of_all_bounds_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for text, named in (
        ("[trunk]\nimage_size = 1000000000\n", "trunk.image_size"),
        (f"[trunk]\nwidths = {'[' * 3000}{']' * 3000}\n", "nested too deeply"),
        (f"{'a.' * 3000}a = 1\n", "graftnet.toml"),
    ):
        (tmp_path / "graftnet.toml").write_text(text)
        assert run(["trunk", "status"]) == 2
        said = capsys.readouterr().err
        assert named in said
        assert "Traceback" not in said
