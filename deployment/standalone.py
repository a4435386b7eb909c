"""`runtime.pyz`: the part of this room that needs no torch, in one file that Python runs and imports as it is.

    python runtime.pyz                     verifies the bundle that it lies in
    python runtime.pyz verify DIR          another one
    python runtime.pyz predict IMAGE ...   one JSON line per image (with Pillow)

A bundle carries it, so that it is checked and used without this toolkit, with onnxruntime and numpy alone.
"""

import ast
import zipfile
from pathlib import Path

NAME = "runtime.pyz"
ROOM = Path(__file__).parent
LONG_AGO = (1980, 1, 1, 0, 0, 0)
START = "from deployment.__main__ import main\n\nmain()\n"


def write_standalone(path: Path) -> None:
    """Write the file; the same sources give the same bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        texts = {"__main__.py": START, **{f"deployment/{name}.py": _text(name) for name in modules()}}
        for name, text in texts.items():
            archive.writestr(zipfile.ZipInfo(name, date_time=LONG_AGO), text)


def modules() -> list[str]:
    """The room's modules that the command needs, found by following its imports."""
    found, open_ = {"__init__"}, ["__main__"]
    while open_:
        name = open_.pop()
        found.add(name)
        for node in ast.walk(ast.parse(_text(name))):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("deployment."):
                other = node.module.removeprefix("deployment.")
                open_ += [other] if other not in found else []
    return sorted(found)


def _text(name: str) -> str:
    return (ROOM / f"{name}.py").read_text(encoding="utf-8")
