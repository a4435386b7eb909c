import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import search_spaces
from search_spaces import SPACES, Architecture, SpaceError, macro_space, space_from_json, space_of


@pytest.mark.parametrize("name", SPACES)
def test_an_architecture_alone_rebuilds_its_space(name: str) -> None:
    space = SPACES[name](3)
    architecture = Architecture.from_json(json.loads(json.dumps(space.random(np.random.default_rng(0)).to_json())))
    assert space_of(architecture) == space


def test_settings_come_from_json_and_default() -> None:
    assert space_from_json("macro", {"nodes": 2, "widths": [8, 16]}) == macro_space(2, widths=(8, 16))
    assert space_from_json("macro", {}) == macro_space()


@pytest.mark.parametrize(
    ("name", "settings", "named"),
    [
        ("huge", {}, "no search space 'huge'; known: macro"),
        ("macro", {"depth": 3}, "no setting 'depth'; known: nodes, widths"),
        ("macro", {"nodes": "three"}, "nodes must be a whole number"),
    ],
)
def test_what_cannot_be_rebuilt_is_refused(name: str, settings: dict[str, object], named: str) -> None:
    with pytest.raises(SpaceError, match=named):
        space_from_json(name, settings)


def test_an_illegal_architecture_has_no_space() -> None:
    legal = macro_space(1).random(np.random.default_rng(0))
    with pytest.raises(SpaceError, match="no choice for decision 'width'"):
        space_of(replace(legal, choices=legal.choices[:-1]))
    with pytest.raises(SpaceError, match=r"other settings: .*widths"):
        space_of(replace(legal, settings=(("nodes", 1),)))


def test_search_spaces_need_neither_torch_nor_nni_to_be_read() -> None:
    code = "import sys, search_spaces; print(sorted({'torch', 'nni'} & set(sys.modules)))"
    root = Path(search_spaces.__file__).parents[1]
    loaded = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"
