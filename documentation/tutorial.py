"""Run what docs/tutorial.md shows, step by step, and write the true outputs into it.

    python -m documentation.tutorial docs/tutorial.md --folder /tmp/tutorial

The page is the script: a block `python title="FILE"` is written as that file, a block `toml title="FILE"` is set in
that file, and of a block `console` every line behind `$ ` is run; the lines below it are replaced by what it printed.
What is served is stopped at the end. It takes some minutes, so no test runs it; tests read the page.
"""

import argparse
import os
import re
import socket
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import NamedTuple

from graftnet.project.toml_edit import set_values

FENCE = re.compile(r'^```(\w+)(?: title="([^"]*)")?\n(.*?)^```$', re.M | re.S)
PORT = "8000"  # as the page says it
MOST_LINES, FIRST, LAST = 24, 14, 8
WAIT = 60.0


class Block(NamedTuple):
    """A fenced block of the page: its language, the file that it is, its text, and where that text stands."""

    language: str
    file: str
    text: str
    start: int
    end: int


def blocks(page: str) -> list[Block]:
    """The blocks of a page that are run."""
    return [
        Block(match[1], match[2] or "", match[3], match.start(3), match.end(3))
        for match in FENCE.finditer(page)
        if match[1] == "console" or match[2]
    ]


def main() -> None:
    """Run the page in an empty folder, and write it anew."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("page", type=Path)
    parser.add_argument("--folder", type=Path, required=True, help="an empty folder, in which everything happens")
    arguments = parser.parse_args()
    page = arguments.page.read_text(encoding="utf-8")
    run = Run(arguments.folder.resolve())
    try:
        parts, done = [], 0
        for block in blocks(page):
            parts += [page[done : block.start], run.block(block)]
            done = block.end
    finally:
        run.stop()
    arguments.page.write_text("".join([*parts, page[done:]]), encoding="utf-8")


class Run:
    """One way through the page: where its shell is, and what it serves."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            sys.exit(f"{folder} is not empty.")
        self.folder = self.here = folder
        self.served: subprocess.Popen[str] | None = None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = str(free.getsockname()[1])

    def block(self, block: Block) -> str:
        """What stands in the block afterwards."""
        if block.language == "console":
            commands = [line.removeprefix("$ ") for line in block.text.splitlines() if line.startswith("$ ")]
            return "".join(f"$ {command}\n{self.command(command)}" for command in commands)
        file = self.here / block.file
        if block.language == "toml":
            tables = tomllib.loads(block.text)
            changes: dict[tuple[str, ...], object] = {
                (name, key): value for name, table in tables.items() for key, value in table.items()
            }
            file.write_text(set_values(file.read_text(encoding="utf-8"), changes), encoding="utf-8")
        else:
            file.write_text(block.text, encoding="utf-8")
        return block.text

    def command(self, command: str) -> str:
        """Run one command line, and return what it printed as the page shows it."""
        sys.stderr.write(f"$ {command}\n")
        if command.startswith("cd "):
            self.here = (self.here / command.removeprefix("cd ")).resolve()
            return ""
        if command.startswith("graftnet serve"):
            return self.serve(command)
        began = time.monotonic()
        done = subprocess.run(
            ["bash", "-c", command.replace(f"localhost:{PORT}", f"localhost:{self.port}")],
            cwd=self.here,
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            sys.exit(f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        sys.stderr.write(f"  {time.monotonic() - began:.0f} s\n")
        return self.shown(done.stdout)

    def serve(self, command: str) -> str:
        """Begin to serve; what it prints first."""
        self.served = subprocess.Popen(
            ["bash", "-c", f"exec {command} --port {self.port}"],
            cwd=self.here,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.served.stdout is not None
        first = self.served.stdout.readline()
        until = time.monotonic() + WAIT
        while time.monotonic() < until:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", int(self.port))) == 0:
                    break
            time.sleep(0.2)
        return self.shown(first)

    def shown(self, text: str) -> str:
        """An output without this machine's paths, and without its middle where it is long."""
        lines = text.replace(str(self.folder), "/home/you").replace(self.port, PORT).rstrip().splitlines()
        if len(lines) > MOST_LINES:
            lines = [*lines[:FIRST], "...", *lines[-LAST:]]
        return "".join(f"{line.rstrip()}\n" for line in lines)

    def stop(self) -> None:
        """End what is served."""
        if self.served:
            self.served.terminate()
            self.served.wait()


def environment() -> dict[str, str]:
    """This interpreter's commands first, so that `graftnet` and `python` are those of this environment."""
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "100"}


if __name__ == "__main__":
    main()
