"""Run the application under uvicorn until SIGINT or SIGTERM; requests under way are answered first."""

import contextlib
import logging
import math
import signal
import socket
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import uvicorn

from deployment.errors import BundleError
from deployment.serve.app import build_app
from deployment.serve.connections import limited_protocol
from deployment.serve.loading import LoadedBundle
from deployment.serve.metrics import Metrics
from deployment.serve.persons import FindPersons
from deployment.serve.reloading import Reloader
from deployment.serve.settings import ServeSettings

BACKLOG = 2048


class Listening(NamedTuple):
    """A server that is ready to `run`: its socket takes connections already."""

    server: uvicorn.Server
    socket: socket.socket
    url: str
    attributes: tuple[str, ...]

    def run(self) -> None:
        """Answer until SIGINT, SIGTERM or `server.should_exit`."""
        with _ends_in_peace():
            self.server.run(sockets=[self.socket])


def listen(
    folder: Path, settings: ServeSettings, *, rules: Path | None = None, persons: FindPersons | None = None
) -> Listening:
    """Load the bundle of a folder and open the port; port 0 chooses a free one.

    rules: a file of `deployment.rules`, which adds an action to each answer. persons: finds the persons in a picture,
    which are then asked about instead of the whole of it.

    Raises: BundleError when bundle or rules cannot be served or the address cannot be listened at.
    """
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # else it remarks on every broken form
    metrics = Metrics()
    load = partial(LoadedBundle, threads=settings.threads, device=settings.device, graph=settings.graph, rules=rules)
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
    return Listening(uvicorn.Server(config), listening, url, reloader.current.attributes)


def _listen(host: str, port: int) -> socket.socket:
    # With the protocol said, asyncio switches Nagle's algorithm off; else every answer waits 40 ms for its second part.
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, proto=socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(BACKLOG)
        return listening
    except OSError as error:
        listening.close()
        detail = error.strerror or str(error)
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
