"""The labelling page's server answers whoever knows its address on this machine, and serves nothing but the pool."""

import re
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from graftnet.data.labelling.app import build_app
from graftnet.data.labelling.session import Labelling
from tests.graftnet.data.labelling.made import labelling, paint, pool_of

TOKEN = "a-word"
HERE = f"http://127.0.0.1:8000/{TOKEN}/"


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Labelling:
    folder = tmp_path_factory.mktemp("app")
    return labelling(folder, pool_of(paint(folder / "pool", 40)))


@pytest.fixture
def client(work: Labelling) -> TestClient:
    return TestClient(build_app(work, TOKEN), base_url=HERE)


def test_the_page_holds_its_own_script_and_nothing_else_runs(client: TestClient) -> None:
    answer = client.get(HERE)
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert len(re.findall("sha256-", policy)) == 2
    assert not re.findall(r"https?://(?!www\.w3\.org)", answer.text)
    assert not re.findall(r"innerHTML|insertAdjacent|document\.write|\beval\b|\son[a-z]+=", answer.text)
    assert answer.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:8000/",
        "http://127.0.0.1:8000/a-wor/",
        "http://127.0.0.1:8000/a-word",
        "http://127.0.0.1:8000/%C3%A4-word/",
        "http://127.0.0.1:8000//a-word/",
        "http://127.0.0.1:8000/other/page",
    ],
)
def test_without_the_word_there_is_nothing(client: TestClient, address: str) -> None:
    for answer in (client.get(address), client.post(address, json={"window": "a"})):
        assert answer.status_code == 404
        assert set(answer.json()) == {"error"}


@pytest.mark.parametrize("host", ["rebound.example.org", "10.0.0.1:8000", "testserver", ""])
def test_another_name_is_refused(client: TestClient, host: str) -> None:
    assert client.get(HERE, headers={"host": host}).status_code == 421


def test_a_picture_is_named_by_its_content_and_nothing_else_is_served(client: TestClient, work: Labelling) -> None:
    content = work.pool.contents[0]
    for size in ("small", "large"):
        answer = client.get(f"{HERE}{size}/{content}")
        assert answer.headers["content-type"] == "image/jpeg"
        assert answer.content.startswith(b"\xff\xd8")
    for path in ("small/../../etc/passwd", "small/%2e%2e%2fpage.html", "small/" + "0" * 64, "docs", "openapi.json"):
        assert client.get(HERE + path).status_code == 404


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("answer", {"window": "a", "picture": "0" * 64, "value": "yes"}, 422),
        ("answer", {"window": "a", "picture": "0" * 64, "value": ["yes"]}, 422),
        ("answer", {"picture": "0" * 64, "value": "yes"}, 422),
        ("page", {"window": ""}, 422),
        ("page", {"window": "a" * 20_000}, 413),
        ("undo", {}, 422),
    ],
)
def test_what_is_no_answer_is_refused_and_changes_nothing(
    client: TestClient, work: Labelling, path: str, body: dict[str, object], status: int
) -> None:
    before = work.counts()
    assert client.post(HERE + path, json=body).status_code == status
    assert work.counts() == before


def test_a_page_an_answer_and_undo_over_http(client: TestClient) -> None:
    page = client.post(f"{HERE}page", json={"window": "a"}).json()
    picture = page["pictures"][0]["id"]
    told = client.post(f"{HERE}answer", json={"window": "a", "picture": picture, "value": "yes"}).json()
    assert told["answers"] == page["answers"] + 1
    back = client.post(f"{HERE}undo", json={"window": "a"}).json()
    assert back["picture"]["id"] == picture
    assert back["answers"] == page["answers"]


def test_a_full_disk_is_said_and_the_answer_does_not_count(
    client: TestClient, work: Labelling, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    picture = client.post(f"{HERE}page", json={"window": "a"}).json()["pictures"][0]["id"]
    before = work.counts()
    with monkeypatch.context() as patched:
        patched.setattr("foundation.history.os.fsync", full)
        answer = client.post(f"{HERE}answer", json={"window": "a", "picture": picture, "value": "yes"})
    assert answer.status_code == 500
    assert "not kept" in answer.json()["error"]
    assert work.counts() == before
    assert labelled_again(work) == before["answers"]


def labelled_again(work: Labelling) -> int:
    """How many answers a new process finds."""
    folder: Path = work.table.path.parent.parent
    return int(labelling(folder, work.pool).counts()["answers"])
