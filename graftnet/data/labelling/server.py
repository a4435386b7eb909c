"""Run the page under uvicorn on this machine's loopback, until Ctrl-C or SIGTERM."""

import socket

import uvicorn

from deployment.serve.server import Listening
from graftnet.data.labelling.app import LOOPBACK, build_app
from graftnet.data.labelling.session import Labelling
from graftnet.errors import ConfigError

BACKLOG = 64
PATIENCE = 5  # seconds that requests under way are given at the end


def listen(labelling: Labelling, token: str, *, port: int = 0) -> Listening:
    """Open the port, 0 for a free one; the page is there once what is returned `run`s.

    Raises:
        ConfigError: the port is taken, or not to be had.
    """
    listening = socket.socket(socket.AF_INET, proto=socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((LOOPBACK, port))
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise ConfigError(f"The port {port} cannot be had ({error.strerror}); choose another --port.") from error
    config = uvicorn.Config(
        build_app(labelling, token),
        ws="none",
        lifespan="off",
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=PATIENCE,
    )
    url = f"http://{LOOPBACK}:{listening.getsockname()[1]}/{token}/"
    return Listening(uvicorn.Server(config), listening, url, (labelling.table.attribute.name,))
