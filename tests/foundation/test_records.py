"""Records that may come from anywhere: what is wrong is one sentence, which names the file and says what to do."""

import os
from pathlib import Path
from typing import Annotated, Any, NotRequired

import pytest
from annotated_types import Len
from typing_extensions import TypedDict

from foundation.errors import RecordError, UserError
from foundation.records import (
    Depth,
    Name,
    Share,
    inside,
    is_plain_path,
    leads_down,
    read_json,
    read_record,
    reading,
    require_no_links,
)


class Part(TypedDict):
    name: Name


class Made(TypedDict):
    name: Name
    share: Share | None
    depth: NotRequired[Depth]
    parts: Annotated[list[Part], Len(1, 3)]


GOOD = b'{"name": "a", "share": 1, "parts": [{"name": "b"}], "more": {"x": [1.5, null]}}'


def test_a_record_of_the_right_shape_comes_back_as_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(GOOD)
    assert read_record(path, Made) == read_json(path)
    assert read_json(path)["more"] == {"x": [1.5, None]}
    with pytest.raises(FileNotFoundError):
        read_record(tmp_path / "none.json", Made)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"", "Expecting value at line 1"),
        (GOOD[:30], "Unterminated string|Expecting"),
        (b"null", "Expecting an object"),
        (b"[1, 2]", "Expecting an object"),
        (b'"text"', "Expecting an object"),
        ("größe".encode("latin-1"), "byte 2 is no UTF-8"),
        (b"\x00" * 20, "Expecting value"),
        (b'{"share": NaN}', "NaN is no number"),
        (b'{"share": -Infinity}', "-Infinity is no number"),
        (b'{"share": 1e999}', "the number 1e999 is too large"),
        (b'{"share": ' + b"9" * 5000 + b"}", "is too large"),
        (b'{"share": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        (b'{"share": ' + b"[" * 90 + b"]" * 90 + b"}", "nested too deeply"),
        (b'{"more": "\\ud800"}', "half a character"),
        (b"{}", "'name' field required"),
        (GOOD.replace(b'"a"', b'"../a"'), "'name' should be a plain name"),
        (GOOD.replace(b'"a"', b"3"), "'name' input should be a valid string"),
        (GOOD.replace(b'"b"', b'"b/c"'), "'parts.0.name' should be a plain name"),
        (GOOD.replace(b"1,", b"true,"), "'share' input should be a valid number"),
        (GOOD.replace(b"1,", b"1.01,"), "'share' input should be less than or equal to 1"),
        (GOOD.replace(b'"share"', b'"depth": 1.0, "share"'), "'depth' input should be a valid integer"),
        (GOOD.replace(b'[{"name": "b"}]', b"[]"), "'parts'"),
        (GOOD.replace(b'[{"name": "b"}]', b"{}"), "'parts' input should be a valid list"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(tmp_path: Path, content: bytes, named: str) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(RecordError, match=named) as caught:
        read_record(path, Made)
    sentence = str(caught.value)
    assert isinstance(caught.value, UserError)
    assert sentence.startswith(f"{path} cannot be read (")
    assert sentence.endswith("; restore it, or delete the folder that it lies in and run the same command again.")
    assert "\n" not in sentence
    assert len(sentence) < 400 + len(str(path))


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "circle.json").symlink_to(tmp_path / "circle.json")
    for name in ("pipe.json", "folder.json", "circle.json"):
        with pytest.raises(RecordError, match=name):
            read_json(tmp_path / name)
    with pytest.raises(RecordError, match="it is no file"):
        read_json(Path("/dev/zero"))


@pytest.mark.parametrize("fault", [KeyError("x"), IndexError(), TypeError("no"), ValueError("no")])
def test_what_a_record_lacks_is_its_fault(fault: Exception) -> None:
    with (
        pytest.raises(RecordError, match=r"^a/result\.json cannot be read \(it (lacks 'x'|does not fit)"),
        reading(Path("a/result.json")),
    ):
        raise fault


def test_a_path_stays_inside(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    (root / "tree").mkdir(parents=True)
    (tmp_path / "away").mkdir()
    (root / "link").symlink_to(tmp_path / "away")
    (root / "near").symlink_to(root / "tree")
    assert inside(root, "tree", "bald") == root / "tree" / "bald"
    assert inside(root, "near") == root / "near"
    outside: list[tuple[str, ...]] = [("..",), ("tree", "../../away"), (str(tmp_path),), ("link",), ("link", "x")]
    for parts in [*outside, ("a\x00b",)]:
        with pytest.raises(RecordError, match="leads out of"):
            inside(root, *parts)
    # A whole runs/ on another disk is the user's own link.
    (tmp_path / "linked").symlink_to(root)
    assert inside(tmp_path / "linked", "tree") == tmp_path / "linked" / "tree"


def test_a_folder_with_links_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    require_no_links(tmp_path)
    require_no_links(tmp_path / "none")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(RecordError, match="b is a link"):
        require_no_links(tmp_path)


@pytest.mark.parametrize(
    ("path", "down", "plain"),
    [
        ("a", True, True),
        ("trees/v-1", True, True),
        ("train2017/0001.jpg", True, True),
        (".hidden/x", True, False),
        ("a:b/c", False, False),
        ("../a", False, False),
        ("a/../../b", False, False),
        ("/a", False, False),
        ("C:/a", False, False),
        ("\\\\host\\share", False, False),
        ("a\\..\\b", False, False),
        ("a\x00", False, False),
        ("", False, False),
        (None, False, False),
        (7, False, False),
    ],
)
def test_what_leads_down(path: Any, down: bool, plain: bool) -> None:
    assert leads_down(path) == down
    assert is_plain_path(path) == plain
