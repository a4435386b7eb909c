"""Who may ask a server: the address it listens at, the Host header, the token, and what no answer tells."""

import http.client
import json
import logging
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from deployment.errors import BundleError
from deployment.serve.hosts import Hosts
from deployment.serve.loading import without_paths
from deployment.serve.server import Listening, listen
from deployment.serve.settings import ServeSettings
from tests.deployment.serve.conftest import Client, Serving
from tests.deployment.serve.test_server import connect, started

Picture = Callable[..., bytes]
TOKEN = "sesame-0123456789"
PNG = {"content-type": "image/png"}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"host": ""}, "--host is empty"),
        ({"host": "  "}, "--host is empty"),
        ({"token": ""}, "token is empty"),
        ({"token": "two words"}, "one word"),
        ({"token": "schlüssel"}, "one word"),
        ({"token": "a\r\nX: y"}, "one word"),
        ({"allow_hosts": ("",)}, "is no host"),
        ({"allow_hosts": ("http://a.example",)}, "is no host"),
        ({"allow_hosts": ("a.example:80",)}, "is no host"),
        ({"allow_hosts": ("a.example/x",)}, "is no host"),
    ],
    ids=str,
)
def test_settings_that_would_open_the_server_are_refused(values: dict[str, object], said: str) -> None:
    with pytest.raises(BundleError, match=said):
        ServeSettings(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [float("inf"), float("nan"), -1.0, 0.0])
def test_times_that_are_none_are_refused(value: float) -> None:
    with pytest.raises(BundleError, match="timeout must be"):
        ServeSettings(timeout=value)


def test_the_token_is_not_shown_with_the_settings() -> None:
    assert TOKEN not in repr(ServeSettings(token=TOKEN))


@pytest.mark.parametrize(
    ("listening", "allowed", "header", "answered"),
    [
        ("127.0.0.1", (), "127.0.0.1:8000", True),
        ("127.0.0.1", (), "LocalHost.:8000", True),
        ("127.0.0.1", (), "[::1]:8000", True),
        ("127.0.0.1", (), "localhost.evil.example", False),
        ("127.0.0.1", (), "evil.example:8000", False),
        ("127.0.0.1", (), "192.168.1.5", False),
        ("127.0.0.1", (), "", False),
        ("127.0.0.1", (), "localhost:8000:9", False),
        ("127.0.0.1", (), "evil@localhost", False),
        ("127.0.0.1", (), "localhost, evil.example", False),
        ("127.0.0.1", ("cams.example",), "CAMS.example:443", True),
        ("127.0.0.1", ("cams.example",), "x.cams.example", False),
        ("127.0.0.1", ("*",), "anything", True),
        ("0.0.0.0", (), "192.168.1.5:8000", True),
        ("0.0.0.0", (), "[fe80::1]", True),
        ("0.0.0.0", (), socket.gethostname(), True),
        ("0.0.0.0", (), "evil.example", False),
        ("cams.example", (), "cams.example", True),
    ],
)
def test_hosts(listening: str, allowed: tuple[str, ...], header: str, answered: bool) -> None:
    assert Hosts(listening, allowed).allow(header) == answered


def test_another_host_is_not_answered(bundle: Path, picture: Picture, serving: Serving) -> None:
    with serving(bundle) as client:
        for path in ("/", "/readyz", "/attributes", "/healthz", "/nothing"):
            answer = client.get(path, headers={"host": "rebound.example"})
            assert (answer.status_code, list(answer.json())) == (421, ["error"])
            assert answer.headers["x-content-type-options"] == "nosniff"
        answer = client.post("/predict", content=picture(), headers={**PNG, "host": "rebound.example"})
        assert answer.status_code == 421
        assert 'graftnet_refused_total{reason="host"} 6.0' in client.get("/metrics").text
    with serving(bundle, allow_hosts=("cams.example",)) as client:
        assert client.get("/readyz", headers={"host": "cams.example"}).status_code == 200


def test_a_token_is_asked_for(bundle: Path, picture: Picture, serving: Serving) -> None:
    with serving(bundle, token=TOKEN) as client:
        for headers in (
            {},
            {"authorization": f"Bearer {TOKEN}x"},
            {"authorization": TOKEN},
            {"authorization": f"Basic {TOKEN}"},
            {"x-api-key": ""},
            {"x-api-key": TOKEN[:-1]},
            {"cookie": TOKEN},
        ):
            for path in ("/attributes", "/readyz", "/metrics", "/openapi.json", "/nothing"):
                assert client.get(path, headers=headers).status_code == 401, (path, headers)
            answer = client.post("/predict", content=picture(), headers={**PNG, **headers})
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "Bearer"
            assert answer.json()["error"].startswith("The token is missing or wrong: ")
            assert client.post(f"/predict?token={TOKEN}", content=picture(), headers=headers).status_code == 401
        for headers in (
            {"authorization": f"Bearer {TOKEN}"},
            {"authorization": f"bearer  {TOKEN}"},
            {"x-api-key": TOKEN},
        ):
            assert client.post("/predict", content=picture(), headers={**PNG, **headers}).status_code == 200
            assert client.get("/openapi.json", headers=headers).json()["security"]
        assert client.get("/healthz").status_code == 200
        assert client.get("/").status_code == 200


def test_the_body_of_a_stranger_is_not_kept(bundle: Path) -> None:
    with started(bundle, token=TOKEN, body_timeout=0.3) as server, connect(server) as connection:
        head = (
            b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: 99999999\r\n\r\n"
        )
        connection.sendall(head + b"x" * 1000)
        assert connection.recv(65536).startswith(b"HTTP/1.1 401")


def ask(server: Listening, method: str, path: str, **request: object) -> http.client.HTTPResponse:
    host, port = server.socket.getsockname()[:2]
    connection = http.client.HTTPConnection(host, port, timeout=20)
    connection.request(method, path, **request)  # type: ignore[arg-type]
    return connection.getresponse()


def test_every_answer_forbids_to_guess_its_type(bundle: Path, picture: Picture) -> None:
    with started(bundle, header_timeout=0.3, body_timeout=0.3) as server:
        answers = [
            ask(server, "GET", "/"),
            ask(server, "HEAD", "/"),
            ask(server, "GET", "/metrics"),
            ask(server, "GET", "/openapi.json"),
            ask(server, "GET", "/nothing"),
            ask(server, "DELETE", "/predict"),
            ask(server, "OPTIONS", "/predict"),
            ask(server, "POST", "/predict", body=picture(), headers=PNG),
            ask(server, "POST", "/predict", body=b"text", headers=PNG),
            ask(server, "POST", "/predict", body=bytes(300_000), headers=PNG),
            ask(server, "POST", "/predict", body=b"", headers={**PNG, "Content-Length": "9"}),
            ask(server, "GET", "/", headers={"Host": "rebound.example"}),
        ]
        for answer in answers:
            assert answer.headers.get_all("x-content-type-options") == ["nosniff"], answer.status
        assert [answer.status for answer in answers][4:] == [404, 405, 405, 200, 415, 413, 408, 421]
        for raw, status in ((b"no http\r\n\r\n", b"400"), (b"", b"408")):
            with connect(server) as connection:
                connection.sendall(raw)
                told = connection.recv(65536)
            assert told.split()[1] == status
            assert b"x-content-type-options: nosniff" in told


def test_an_answer_that_fails_forbids_it_too(bundle: Path, picture: Picture, serving: Serving) -> None:
    with serving(bundle) as client:
        client.app.state.reloader.current = None
        answer = client.post("/predict", content=picture(), headers=PNG)
        assert answer.status_code == 500
        assert answer.headers["x-content-type-options"] == "nosniff"


def paths_in(client: Client) -> list[str]:
    return [client.get(path).text for path in ("/readyz", "/attributes", "/metrics", "/openapi.json", "/", "/x")]


@pytest.mark.parametrize("break_it", ["flip", "remove", "tear", "unlist"])
def test_no_answer_names_a_folder_of_the_server(
    bundle: Path, tmp_path: Path, serving: Serving, break_it: str, caplog: pytest.LogCaptureFixture
) -> None:
    served = shutil.copytree(bundle, tmp_path / "secret place" / "bundle")
    with serving(served) as client, caplog.at_level(logging.WARNING):
        if break_it == "remove":
            shutil.rmtree(served)
        else:
            {
                "flip": lambda: (served / "bald" / "branch.onnx").write_bytes(b"x"),
                "tear": lambda: (served / "bundle.json").write_text("{"),
                "unlist": lambda: (served / "bald" / "extra").touch(),
            }[break_it]()
        client.app.state.reloader.look()
        client.app.state.reloader.look()
        problem = client.get("/readyz").json()["refused"]["problem"]
        assert "secret" not in "".join(paths_in(client))
        assert str(tmp_path) not in "".join(paths_in(client))
        assert problem
        assert str(served) in caplog.text  # its owner learns it from the log


def test_files_of_a_bundle_are_named_from_its_folder_on(tmp_path: Path) -> None:
    home = tmp_path / "bundle"
    said = f"{home}/bald/branch.onnx changed, {home} holds no card, see /usr/lib/x.so (C:\\Users\\me\\x)"
    expected = "bald/branch.onnx changed, bundle holds no card, see ... (...)"
    assert without_paths(said, [home]) == expected


@pytest.mark.parametrize(
    ("host", "token", "said"),
    [
        ("127.0.0.1", None, None),
        ("localhost", None, None),
        ("0.0.0.0", None, "there is no --token"),
        ("0", None, "there is no --token"),
        ("0.0.0.0", TOKEN, "a token is asked for"),
    ],
)
def test_beyond_this_machine_there_is_a_warning(bundle: Path, host: str, token: str | None, said: str | None) -> None:
    ready = listen(bundle, ServeSettings(host=host, port=0, token=token, threads=1))
    ready.socket.close()
    if said is None:
        assert ready.warning is None
        return
    assert ready.warning is not None
    assert said in ready.warning
    assert TOKEN not in json.dumps(ready.warning)


def test_a_host_that_cannot_be_is_one_sentence(bundle: Path) -> None:
    for host in ("x" * 70, "no.such.host.invalid", "999.1.1.1"):
        with pytest.raises(BundleError, match="cannot listen at"):
            listen(bundle, ServeSettings(host=host, port=0, threads=1))
