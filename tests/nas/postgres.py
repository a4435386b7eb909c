"""A PostgreSQL server of the tests' own, on a socket in a folder, for as long as a block runs."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

NAMES = ("initdb", "pg_ctl")
PORT = 5432  # of the socket's name; no port is opened


def binaries() -> dict[str, str]:
    """Where PostgreSQL's programs are: on the path, or where Debian keeps them; skips the test where there are none."""
    folders = [str(folder) for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    path = os.pathsep.join([*folders, os.environ.get("PATH", "")])
    found = {name: shutil.which(name, path=path) for name in NAMES}
    if not all(found.values()):
        pytest.skip("needs a PostgreSQL server: apt-get install postgresql (Debian package)")
    return {name: str(place) for name, place in found.items()}


def unprivileged() -> list[str]:
    """What a command begins with to run as another user than root, whom PostgreSQL refuses."""
    if os.geteuid():
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("PostgreSQL does not run as root, and there is no setpriv (Debian package util-linux)")
    return ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]  # nobody


def called(command: Sequence[str], folder: Path) -> None:
    """Run a command to its end; what it said is in the error."""
    # Files, not pipes: the server inherits them and would keep a pipe open.
    with tempfile.TemporaryFile("w+") as said:
        code = subprocess.run(command, cwd=folder, stdout=said, stderr=said, stdin=subprocess.DEVNULL).returncode
        said.seek(0)
        assert code == 0, f"{' '.join(command)}: {said.read()}"


@contextmanager
def postgres() -> Iterator[str]:
    """The URL of an empty database. The folder is a short one: a socket's path has at most 107 bytes."""
    programs, user = binaries(), unprivileged()
    with tempfile.TemporaryDirectory(prefix="pg-") as name:
        folder = Path(name)
        if user:
            os.chown(folder, 65534, 65534)
        data = folder / "data"
        start = [*user, programs["initdb"], "-D", str(data), "-U", "tester", "-A", "trust", "--no-sync", "-E", "UTF8"]
        called([*start, "--locale=C"], folder)
        options = f"-k {folder} -c listen_addresses= -c fsync=off -c port={PORT}"
        control = [*user, programs["pg_ctl"], "-D", str(data), "-w"]
        called([*control, "-o", options, "-l", str(folder / "log"), "start"], folder)
        try:
            yield f"postgresql://tester@/postgres?host={folder}&port={PORT}"
        finally:
            called([*control, "-m", "immediate", "stop"], folder)
