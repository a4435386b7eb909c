"""The server on a real socket: slow and lying clients, too many of them, and the command in a process without torch."""

import contextlib
import http.client
import json
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deployment.errors import BundleError
from deployment.serve.server import Listening, listen
from deployment.serve.settings import ServeSettings
from tests.deployment.serve.bundles import ADDED, BRANCHES

Picture = Callable[..., bytes]
ROOT = Path(__file__).parents[3]
PNG = {"content-type": "image/png"}


@contextlib.contextmanager
def started(bundle: Path, **limits: Any) -> Iterator[Listening]:
    """A server in a thread."""
    ready = listen(bundle, ServeSettings(port=0, threads=1, poll=3600, max_body=200_000, **limits))
    thread = threading.Thread(target=ready.run)
    thread.start()
    try:
        yield ready
    finally:
        ready.server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()


@pytest.fixture(scope="module")
def server(bundle: Path) -> Iterator[Listening]:
    """One with little patience."""
    with started(bundle, header_timeout=0.3, body_timeout=0.3) as ready:
        yield ready


def connect(server: Listening) -> socket.socket:
    return socket.create_connection(server.socket.getsockname()[:2], timeout=20)


def said(connection: socket.socket) -> tuple[int, str]:
    """Everything until the server hangs up: status, and the sentence."""
    data = b""
    while chunk := connection.recv(65536):
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)["error"]


def post(headers: str) -> bytes:
    return f"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n{headers}\r\n\r\n".encode()


SLOW = {
    "silent": (b"", 408, "headers"),
    "half-a-header": (b"POST /predict HTTP/1.1\r\nHost: localhost\r\nX", 408, "headers"),
    "half-a-body": (post("Content-Length: 1000") + b"x" * 10, 408, "body"),
    "no-body": (post("Content-Length: 1000"), 408, "body"),
    "half-a-chunk": (post("Transfer-Encoding: chunked") + b"ff\r\nabc", 408, "body"),
    "chunks-without-end": (post("Transfer-Encoding: chunked") + b"3\r\nabc\r\n", 408, "body"),
}
LYING = {
    "length-too-large": (post("Content-Length: 99999999999"), 408, "body"),
    "too-many-chunks": (
        post("Transfer-Encoding: chunked") + b"ffff\r\n" + b"x" * 65535 + b"\r\nffffff\r\n" + b"x" * 200_000,
        408,
        "body",
    ),
    "too-many-whole-chunks": (
        post("Transfer-Encoding: chunked") + (b"ffff\r\n" + b"x" * 65535 + b"\r\n") * 4 + b"0\r\n\r\n",
        413,
        "more than 200,000 bytes",
    ),
    "expects-to-be-asked": (post("Content-Length: 300000\r\nExpect: 100-continue"), 413, "more than 200,000 bytes"),
    "two-lengths": (post("Content-Length: 3\r\nContent-Length: 4") + b"abcd", 400, "valid HTTP"),
    "negative-length": (post("Content-Length: -1"), 400, "valid HTTP"),
    "length-and-chunks": (
        post("Content-Length: 3\r\nTransfer-Encoding: chunked\r\nConnection: close") + b"0\r\n\r\n",
        422,
        "",
    ),
    "no-http": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, "valid HTTP"),
    "header-without-end": (b"GET / HTTP/1.1\r\nX: " + b"a" * 100_000, 400, "valid HTTP"),
}


@pytest.mark.parametrize(("data", "status", "sentence"), [*SLOW.values(), *LYING.values()], ids=[*SLOW, *LYING])
def test_slow_and_lying_clients_are_told_and_hung_up_on(
    server: Listening, data: bytes, status: int, sentence: str
) -> None:
    with connect(server) as connection:
        connection.sendall(data)
        found, error = said(connection)
    assert found == status
    assert sentence in error


def test_a_client_that_drips_is_hung_up_on(server: Listening) -> None:
    with connect(server) as connection:
        connection.sendall(post("Content-Length: 100000"))
        began = time.monotonic()
        connection.settimeout(0.02)
        answer = b""
        while not answer and time.monotonic() - began < 20:
            try:
                connection.sendall(b"x")
                answer = connection.recv(65536)
            except TimeoutError:
                continue
    assert answer.startswith(b"HTTP/1.1 408")


def test_beyond_the_number_of_connections_there_is_a_sentence(bundle: Path, picture: Picture) -> None:
    with started(bundle, connections=5) as server:
        held = [connect(server) for _ in range(5)]
        with connect(server) as one_more:
            assert said(one_more) == (503, "The server has as many connections as it can: try again later.")
        for one in held:
            one.close()
        deadline = time.monotonic() + 20
        while ask(server, picture())[0] != 200:
            assert time.monotonic() < deadline


def test_bodies_held_at_once_are_bounded(bundle: Path, picture: Picture) -> None:
    with started(bundle, max_buffered=200_000) as server:
        with connect(server) as first:
            first.sendall(post("Content-Length: 190000") + b"x" * 180_000)
            deadline = time.monotonic() + 20
            while (found := ask(server, picture() + bytes(100_000)))[0] == 200:  # until the first one's bytes are there
                assert time.monotonic() < deadline
            assert found == (503, b'{"error": "The server holds as many bytes as it can: try again later."}')
        while ask(server, picture())[0] != 200:
            assert time.monotonic() < deadline


def test_a_connection_is_kept_for_many_requests(server: Listening, picture: Picture) -> None:
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=20)
    for seed in range(4):
        connection.request("POST", "/predict", picture(seed=seed), PNG)
        assert connection.getresponse().read().startswith(b'{"fingerprint"')
        time.sleep(0.12)  # together longer than the time for one request's headers
    connection.close()


def ask(server: Listening, data: bytes) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=20)
    connection.request("POST", "/predict", data, PNG)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


def test_a_port_in_use_is_said(server: Listening, bundle: Path) -> None:
    port = server.socket.getsockname()[1]
    with pytest.raises(BundleError, match=f"cannot listen at 127.0.0.1:{port} .*choose another"):
        listen(bundle, ServeSettings(port=port))


COMMAND = """
import sys
REFUSED = {"torch", "torchvision", "timm", "pandas", "sklearn", "subdatasets", "trunk", "search_spaces", "branches",
           "label_graph", "nas", "reports"}
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in REFUSED:
            raise ImportError(name)
sys.meta_path.insert(0, Refuse())
from graftnet.cli import run
code = run(sys.argv[1:])
assert not REFUSED & set(sys.modules)
sys.exit(code)
"""


def test_the_command_serves_without_torch_takes_a_new_branch_over_and_ends_in_peace(
    bundle: Path, larger_bundle: Path, picture: Picture, tmp_path: Path
) -> None:
    folder = shutil.copytree(bundle, tmp_path / "bundle")
    call = ["serve", str(folder), "--port", "0", "--threads", "1", "--poll", "0.05", "--json"]
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, *call], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        started = json.loads(process.stdout.readline())
        assert started["attributes"] == list(BRANCHES)
        connection = http.client.HTTPConnection(started["url"].removeprefix("http://"), timeout=20)

        def attributes() -> list[str]:
            connection.request("POST", "/predict", picture(), PNG)
            answer = connection.getresponse()
            assert answer.status == 200
            return list(json.loads(answer.read())["predictions"][0]["attributes"])

        assert attributes() == list(BRANCHES)
        shutil.copytree(larger_bundle, tmp_path / "next")
        folder.rename(tmp_path / "before")
        (tmp_path / "next").rename(folder)
        deadline = time.monotonic() + 60
        while (found := attributes()) == list(BRANCHES):
            assert time.monotonic() < deadline
        assert found == [*BRANCHES, ADDED]
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        assert "Traceback" not in errors
    finally:
        process.kill()
        process.communicate()
