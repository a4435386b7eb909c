"""`runtime.pyz`: the part of this room that needs no torch, in one file that Python runs and imports as it is.

    python runtime.pyz                     verifies the bundle that it lies in
    python runtime.pyz verify DIR          another one
    python runtime.pyz predict IMAGE ...   one JSON line per image (with Pillow)

A bundle carries it, so that it is checked and used without this toolkit, with onnxruntime and numpy alone.
"""

import zipfile
from pathlib import Path

NAME = "runtime.pyz"
ROOM = Path(__file__).parents[1]
FILES = ("__init__.py", "__main__.py", "errors.py", "runtime/*.py")
LONG_AGO = (1980, 1, 1, 0, 0, 0)
START = "from deployment.__main__ import main\n\nmain()\n"


def write_standalone(path: Path) -> None:
    """Write the file; the same sources give the same bytes."""
    sources = [source for pattern in FILES for source in sorted(ROOM.glob(pattern))]
    texts = {"__main__.py": START}
    for source in sources:
        texts[f"deployment/{source.relative_to(ROOM).as_posix()}"] = source.read_text(encoding="utf-8")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, text in texts.items():
            archive.writestr(zipfile.ZipInfo(name, date_time=LONG_AGO), text)
