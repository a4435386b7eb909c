"""Names in docstrings, comments and guides that are written with dots are of a module that is there, or a setting."""

import importlib
import re
from pathlib import Path

import pytest

from graftnet.project.config import Config
from tests.test_house import GUIDES, HISTORIES, HOUSE, MODULES, ROOMS, name

OTHERS = ("tests", "benchmarks", "experiments")
DOTTED = re.compile(rf"(?<![\w./-])(?:{'|'.join((*ROOMS, *OTHERS))})(?:\.[A-Za-z_]\w*)+")
# What is said in backquotes or after "of" in a comment, in a guide also what an example imports; plain code is mypy's.
QUOTED = re.compile(r"`+([\w.]+)(?:\(\))?`+")
REMARK = re.compile(r"#.*")
IMPORTED = re.compile(r"^from ([\w.]+) import (\w+)", re.M)
ENDINGS = ("py", "md", "json", "toml", "html", "pyz", "onnx", "zip", "csv", "txt", "lock", "safetensors")
TEXTS = [*MODULES, *(path for path in GUIDES if path.name not in HISTORIES)]


def is_there(dotted: str) -> bool:
    """Whether it can be imported, with what is named in it, or is a key of graftnet.toml."""
    table, key = dotted.split(".")[:2]
    if table in Config.model_fields and hasattr(getattr(Config(), table), key):
        return True
    parts = dotted.split(".")
    for count in range(len(parts), 0, -1):
        try:
            thing: object = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        for part in parts[count:]:
            if part in getattr(thing, "__annotations__", {}):
                return True
            if not hasattr(thing, part):
                return False
            thing = getattr(thing, part)
        return True
    return False


def dotted_names(path: Path) -> set[str]:
    """The names that its prose writes with dots."""
    text = path.read_text(encoding="utf-8")
    said = [*QUOTED.findall(text), *(f"{module}.{part}" for module, part in IMPORTED.findall(text))]
    if path.suffix == ".py":
        said += [dotted for remark in REMARK.findall(text) for dotted in DOTTED.findall(remark)]
    return {words for words in said if DOTTED.fullmatch(words) and words.rpartition(".")[2] not in ENDINGS}


@pytest.mark.parametrize("room", [*ROOMS, "guides"])
def test_a_dotted_name_is_of_something_that_is_there(room: str) -> None:
    texts = [path for path in TEXTS if path.suffix == ".md" or path.parts[len(HOUSE.parts)] == room]
    texts = [path for path in texts if (path.suffix == ".md") == (room == "guides")]
    assert texts
    gone = {name(path): {dotted for dotted in dotted_names(path) if not is_there(dotted)} for path in texts}
    assert {path: names for path, names in gone.items() if names} == {}
