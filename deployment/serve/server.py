"""Run the application under uvicorn until SIGINT or SIGTERM; requests under way are answered first.

Connections have limits that uvicorn does not set: their number, and the time until a request's headers are there.
Without the second, a client that sends a byte now and then holds a connection for ever ("slowloris").
"""

import asyncio
import contextlib
import logging
import math
import signal
import socket
import threading
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from deployment.errors import BundleError
from deployment.serve.access import HEADERS
from deployment.serve.app import build_app
from deployment.serve.decoding import give_back_memory
from deployment.serve.hosts import is_loopback
from deployment.serve.loading import LoadedBundle, Reloader
from deployment.serve.metrics import Metrics
from deployment.serve.persons import FindPersons
from deployment.serve.requests import Refusal
from deployment.serve.settings import ServeSettings

BACKLOG = 2048
PHRASES = {400: "Bad Request", 408: "Request Timeout", 503: "Service Unavailable"}


class Listening(NamedTuple):
    """A server that is ready to `run`: its socket takes connections already."""

    server: uvicorn.Server
    socket: socket.socket
    url: str
    attributes: tuple[str, ...]
    warning: str | None = None

    def run(self) -> None:
        """Answer until SIGINT, SIGTERM or `server.should_exit`."""
        with _ends_in_peace():
            self.server.run(sockets=[self.socket])


def listen(
    folder: Path,
    settings: ServeSettings,
    *,
    rules: Path | None = None,
    relations: Path | None = None,
    repair: bool = False,
    persons: FindPersons | None = None,
) -> Listening:
    """Load the bundle of a folder and open the port; port 0 chooses a free one.

    rules: a file of `deployment.rules`, which adds an action to each answer. relations: a file with [[relations]];
    what breaks them is reported, with `repair` changed. persons: finds the persons in a picture, which are then asked
    about instead of the whole of it.

    Raises: BundleError when bundle or rules cannot be served or the address cannot be listened at.
    """
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # else it remarks on every broken form
    # Pillow has a sentence for each of the 65,535 broken entries that an image may have, and keeps them all.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    give_back_memory()
    metrics = Metrics()
    load = partial(
        LoadedBundle,
        threads=settings.threads,
        device=settings.device,
        graph=settings.graph,
        rules=rules,
        relations=relations,
        repair=repair,
    )
    reloader = Reloader(folder, load, metrics, also=rules)
    listening = _listen(settings.host, settings.port)
    config = uvicorn.Config(
        build_app(reloader, settings, metrics, persons),
        http=limited_protocol(settings),
        ws="none",
        lifespan="on",
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=math.ceil(settings.timeout),
    )
    host, port = listening.getsockname()[:2]
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    return Listening(uvicorn.Server(config), listening, url, reloader.current.attributes, _warning(host, settings))


def _warning(host: str, settings: ServeSettings) -> str | None:
    """What somebody should know whose server answers others; None for one of this machine alone."""
    if is_loopback(host):
        return None
    asked = "whoever reaches it may ask, for there is no --token" if settings.token is None else "a token is asked for"
    return f"The server listens beyond this machine, at {host}: {asked}, and nothing is encrypted."


def _listen(host: str, port: int) -> socket.socket:
    # With the protocol said, asyncio switches Nagle's algorithm off; else every answer waits 40 ms for its second part.
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, proto=socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(BACKLOG)
        return listening
    except (OSError, ValueError, TypeError) as error:  # the latter two where a name cannot even be asked for
        listening.close()
        detail = getattr(error, "strerror", None) or str(error)
        raise BundleError(f"cannot listen at {host}:{port} ({detail}): choose another --host or --port") from error


@contextlib.contextmanager
def _ends_in_peace() -> Iterator[None]:
    """uvicorn raises the signal that stopped it once more when it is done: here that is no failure."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class LimitedProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 with both limits; the class attributes are set by `limited_protocol`."""

    header_timeout: float
    most: int
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client connected."""
        super().connection_made(transport)
        if len(self.connections) > self.most:
            self._refuse(Refusal(503, "connections", "The server has as many connections as it can: try again later."))
            return
        self._timer = self.loop.call_later(self.header_timeout, self._late)

    def data_received(self, data: bytes) -> None:
        """Bytes came; the clock runs while they are a part of headers and no request is under way."""
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._stop()
        elif self._timer is None and not self.transport.is_closing():
            self._timer = self.loop.call_later(self.header_timeout, self._late)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._stop()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """uvicorn's own clock for idle connections takes over."""
        self._stop()
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP gets the sentence that every refusal gets."""
        self._refuse(Refusal(400, "http", "The request is no valid HTTP: correct it."))

    def _late(self) -> None:
        self._timer = None
        if not self.transport.is_closing() and self.conn.their_state is h11.IDLE:
            sentence = f"The headers did not arrive within {self.header_timeout:g} s: send them faster."
            self._refuse(Refusal(408, "slow", sentence))

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, refusal: Refusal) -> None:
        """Answer past the state machine, which may be in no state to answer, and hang up."""
        head = [
            f"HTTP/1.1 {refusal.status} {PHRASES[refusal.status]}",
            "content-type: application/json",
            f"content-length: {len(refusal.body)}",
            "connection: close",
            *(f"{name}: {value}" for name, value in {**HEADERS, **refusal.headers}.items()),
        ]
        self.transport.write("\r\n".join([*head, "", ""]).encode() + refusal.body)
        self.transport.close()


def limited_protocol(settings: ServeSettings) -> type[LimitedProtocol]:
    """The protocol class for uvicorn's setting `http`."""
    limits: dict[str, Any] = {"header_timeout": settings.header_timeout, "most": settings.connections}
    return type("LimitedProtocol", (LimitedProtocol,), limits)
