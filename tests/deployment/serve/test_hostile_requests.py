"""Requests that are too large, broken, or ask for what is none of their business: each gets a sentence."""

from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread

import pytest

from tests.deployment.serve.conftest import Client, Serving

Picture = Callable[..., bytes]
FORM = {"content-type": "multipart/form-data; boundary=xx"}
DISPOSITION = b'Content-Disposition: form-data; name="images"; filename="a.png"'


def part(data: bytes, *headers: bytes) -> bytes:
    return b"--xx\r\n" + b"".join(header + b"\r\n" for header in headers or [DISPOSITION]) + b"\r\n" + data + b"\r\n"


def refused(client: Client, status: int, said: str, **request: object) -> None:
    answer = client.post(**{"url": "/predict", **request})
    assert answer.status_code == status, answer.text
    assert list(answer.json()) == ["error"]
    assert said in answer.json()["error"]
    assert answer.json()["error"].endswith(".")


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"", 400, "before its last boundary"),
        (b"not a form at all", 400, "no multipart form"),
        (part(b"x"), 400, "before its last boundary"),
        (part(b"x") + b"--x", 400, "before its last boundary"),
        (b"--xx--\r\n", 422, "no image"),
        (part(b"", b"Content-Disposition: form-data; name=images") + b"--xx--\r\n", 422, "is empty"),
        (part(b"x", b"Content-Disposition: form-data; name=path") + b"--xx--\r\n", 422, "not 'images'"),
        (part(b"x", b"Content-Type: image/png") + b"--xx--\r\n", 422, "not 'images'"),
        (part(b"x", b"Content-Disposition: form-data") + b"--xx--\r\n", 422, "not 'images'"),
        (part(b"x", *[DISPOSITION] * 200) + b"--xx--\r\n", 400, "no multipart form"),
        (part(b"x", DISPOSITION + b"a" * 50_000) + b"--xx--\r\n", 400, "no multipart form"),
        (part(b"x") * 5 + b"--xx--\r\n", 413, "more than 4 images"),
        (b"--xx\r\n" * 30_000, 400, "no multipart form"),
        (part(b"\r\n--x" * 30_000) + b"--xx--\r\n", 415, "is no JPEG"),
    ],
    ids=range(14),
)
def test_broken_forms(client: Client, body: bytes, status: int, said: str) -> None:
    refused(client, status, said, content=body, headers=FORM)


@pytest.mark.parametrize(
    "kind",
    ["", "text/plain", "application/json", "application/x-www-form-urlencoded", "application/x-python-pickle", "\xff;"],
)
def test_other_content_types(client: Client, picture: Picture, kind: str) -> None:
    headers = {"content-type": kind.encode("latin-1")} if kind else {}
    refused(client, 415, "content type", content=picture(), headers=headers)


@pytest.mark.parametrize("boundary", ["", "; boundary=", "; boundary=" + "x" * 5_000, "; boundary=\x01"])
def test_forms_without_a_usable_boundary(client: Client, boundary: str) -> None:
    headers = {"content-type": f"multipart/form-data{boundary}".encode()}
    refused(client, 400, "boundary", content=part(b"x"), headers=headers)


def test_names_of_files_are_not_looked_at(client: Client, picture: Picture, tmp_path: Path) -> None:
    for name in ("../../../etc/passwd", "/etc/passwd", "..\\..\\x", "a\0b", "x" * 3_000, "http://a/b.png"):
        answer = client.post("/predict", files=[("images", (name, picture()))])
        assert answer.status_code == 200, answer.text
        assert name not in answer.text


@pytest.mark.parametrize(
    "name", ["../bald", "/etc/passwd", "bald/../bald", "", "BALD", "bald\0", "http://a/", "%2e%2e", "x" * 9_000, "ба́лд"]
)
def test_names_of_attributes_are_those_of_the_bundle_or_refused(client: Client, picture: Picture, name: str) -> None:
    request = {"content": picture(), "headers": {"content-type": "image/png"}}
    refused(client, 422, "it has bald, age.group", params={"attributes": name}, **request)


@pytest.mark.parametrize(
    "query", ["url=http://example.org/a.png", "path=/etc/passwd", "attribute=bald", "attributes[]=a"]
)
def test_unknown_parameters_are_refused_rather_than_ignored(client: Client, picture: Picture, query: str) -> None:
    request = {"content": picture(), "headers": {"content-type": "image/png"}}
    refused(client, 422, "not 'attributes'", url=f"/predict?{query}", **request)


@pytest.mark.parametrize("path", ["/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/page.html", "/predict/"])
def test_no_path_leads_to_a_file(client: Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code in (404, 405)
    assert "root:" not in answer.text


def test_a_body_larger_than_the_limit_by_its_length_or_by_its_chunks(client: Client) -> None:
    headers = {"content-type": "image/png"}
    refused(client, 413, "200,000 bytes", content=b"x" * 200_001, headers=headers)
    refused(client, 413, "200,000 bytes", content=(b"x" * 1_000 for _ in range(201)), headers=headers)
    refused(client, 415, "no JPEG", content=(b"x" * 1_000 for _ in range(200)), headers=headers)


def test_a_full_queue_says_when_to_try_again(bundle: Path, picture: Picture, serving: Serving) -> None:
    with serving(bundle, queue=2, max_images=2) as client:
        model = client.app.state.reloader.current
        entered, let = Event(), Event()
        run = model.scores

        def slow(images: object, attributes: object) -> object:
            entered.set()
            assert let.wait(20)
            return run(images, attributes)

        model.scores = slow
        request = {"content": picture(), "headers": {"content-type": "image/png"}}
        found: list[int] = []
        asking = [Thread(target=lambda: found.append(client.post("/predict", **request).status_code)) for _ in "12"]
        asking[0].start()
        assert entered.wait(20)
        asking[1].start()
        while client.app.state.predictor._under_way < 2:
            pass
        answer = client.post("/predict", **request)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert 'graftnet_refused_total{reason="busy"} 1.0' in client.get("/metrics").text
        let.set()
        for one in asking:
            one.join(20)
        assert found == [200, 200]
        assert client.post("/predict", **request).status_code == 200


def test_an_answer_that_takes_too_long_is_given_up_and_the_next_is_answered(
    bundle: Path, picture: Picture, serving: Serving
) -> None:
    with serving(bundle, timeout=0.2) as client:
        model = client.app.state.reloader.current
        let = Event()
        run = model.scores
        model.scores = lambda images, attributes: run(images, attributes) if let.wait(20) else {}
        request = {"content": picture(), "headers": {"content-type": "image/png"}}
        refused(client, 503, "longer than 0.2 s", **request)
        model.scores = run
        let.set()
        assert client.post("/predict", **request).status_code == 200


def test_a_failure_of_the_model_is_a_sentence_and_not_the_end(bundle: Path, picture: Picture, serving: Serving) -> None:
    with serving(bundle) as client:
        model = client.app.state.reloader.current
        run = model.scores

        def broken(images: object, attributes: object) -> object:
            raise RuntimeError("/secret/path")

        model.scores = broken
        request = {"content": picture(), "headers": {"content-type": "image/png"}}
        answer = client.post("/predict", **request)
        assert answer.status_code == 500
        assert answer.json() == {"error": "The server failed on this request: its log says why."}
        model.scores = run
        assert client.post("/predict", **request).status_code == 200
