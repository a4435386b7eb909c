"""Run the application under uvicorn until SIGINT or SIGTERM; requests under way are answered first."""

import contextlib
import math
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import uvicorn

from deployment.errors import BundleError
from deployment.serve.app import build_app
from deployment.serve.connections import limited_protocol
from deployment.serve.loading import LoadedBundle
from deployment.serve.metrics import Metrics
from deployment.serve.reloading import Reloader
from deployment.serve.settings import ServeSettings

BACKLOG = 2048


def serve(folder: Path, settings: ServeSettings, announce: Callable[[str, tuple[str, ...]], None]) -> None:
    """Serve a bundle's folder; `announce` gets the URL, with the port that was chosen for 0, and the attributes.

    Raises: BundleError when the bundle cannot be served or the address cannot be listened at.
    """
    metrics = Metrics()
    reloader = Reloader(folder, partial(LoadedBundle, threads=settings.threads), metrics)
    listening = _listen(settings.host, settings.port)
    config = uvicorn.Config(
        build_app(reloader, settings, metrics),
        http=limited_protocol(settings),
        ws="none",
        lifespan="on",
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=math.ceil(settings.timeout),
    )
    host, port = listening.getsockname()[:2]
    announce(f"http://{f'[{host}]' if ':' in host else host}:{port}", reloader.current.attributes)
    with _ends_in_peace():
        uvicorn.Server(config).run(sockets=[listening])


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
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
