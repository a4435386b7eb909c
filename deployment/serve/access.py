"""Guard the application: the Host header, the token, and the headers that every answer carries.

A page of another site may have its own name point at this machine, and then ask as if it were the server's own page
("DNS rebinding"); the browser still says that name in the Host header, which is why it is looked at. Addresses cannot
be rebound. Both checks come before a byte of the body is kept.
"""

import hmac

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployment.serve.hosts import Hosts
from deployment.serve.metrics import Metrics
from deployment.serve.requests import Refusal, refuse_unread
from deployment.serve.settings import ServeSettings

HEADERS = {"x-content-type-options": "nosniff", "cache-control": "no-store"}
# What needs no token: whether the process lives, and the page, which holds nothing of the bundle and asks for one.
OPEN = ("/healthz", "/")


class Guard:
    """The ASGI application `app` for those who may ask."""

    def __init__(self, app: ASGIApp, settings: ServeSettings, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics
        self.token = None if settings.token is None else settings.token.encode()
        self.timeout = settings.body_timeout
        self.hosts = Hosts(settings.host, settings.allow_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                there = {name.lower() for name, _ in message["headers"]}
                more = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message = {
                    **message,
                    "headers": [*message["headers"], *(pair for pair in more if pair[0] not in there)],
                }
            await send(message)

        refusal = self._refusal(scope)
        if refusal is None:
            await self.app(scope, receive, marked)
            return
        self.metrics.refused.labels(refusal.reason).inc()
        await refuse_unread(refusal, scope, receive, marked, timeout=self.timeout)

    def _refusal(self, scope: Scope) -> Refusal | None:
        said = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        if not said and not self.hosts.every:
            return Refusal(400, "host", "The request has no Host header: send one.")
        if not all(map(self.hosts.allow, said)):
            return Refusal(
                421, "host", "The server does not answer to this Host: use its address, or start it with --allow-host."
            )
        if self.token is None or scope["path"] in OPEN or any(self._right(*header) for header in scope["headers"]):
            return None
        return Refusal(
            401, "token", "The token is missing or wrong: send it as Authorization: Bearer, or as X-API-Key."
        )

    def _right(self, name: bytes, value: bytes) -> bool:
        """Whether a header brings the token; the comparison takes as long for a wrong one as for the right one."""
        assert self.token is not None
        if name == b"x-api-key":
            return hmac.compare_digest(value.strip(), self.token)
        scheme, _, given = value.strip().partition(b" ")
        return (
            name == b"authorization" and scheme.lower() == b"bearer" and hmac.compare_digest(given.strip(), self.token)
        )
