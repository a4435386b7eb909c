"""A command that is stopped ends with a sentence, its own exit code, and nothing half written."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.signals import heed_interrupts

SCRIPT = """
import sys, time
from pathlib import Path
from foundation.folders import replaced_folder
from graftnet import cli
from graftnet.project import machine as project

def examine():
    try:
        with replaced_folder(Path("written"), "marker") as folder:
            (folder / "half").write_text("x")
            print("ready", flush=True)
            time.sleep(60)
    except KeyboardInterrupt:
        if sys.argv[2:]:
            raise RuntimeError("what a library makes of it") from None
        raise

project.examine = examine
swallow, sys.argv = sys.argv[1:], ["graftnet", "doctor"]
if swallow:
    sys.argv.append("--json")
cli.main()
"""


@pytest.mark.parametrize("swallowed", [False, True])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_both_signals_end_a_command_alike(number: signal.Signals, code: int, swallowed: bool, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *(["swallow"] if swallowed else [])],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_interrupts,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    assert process.returncode == code
    assert said == "Stopped. What is done is kept; call the same command again to continue.\n"
    assert list(tmp_path.iterdir()) == []
