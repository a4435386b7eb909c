"""Bodies of requests, read whole under three limits: bytes of one, bytes of all at once, and time.

A pure ASGI layer around the application, which then finds the body in memory. Neither the declared length nor the
client's pace is believed: bytes are counted as they come, and the clock runs over the whole body.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployment.serve.metrics import Metrics
from deployment.serve.refusals import Refusal, send_refusal
from deployment.serve.settings import MIB, ServeSettings

DRAINED = 64 * MIB  # bytes thrown away for a client that must finish sending before it reads the answer


class Bodies:
    """The ASGI application `app` behind the limits of `settings`."""

    def __init__(self, app: ASGIApp, settings: ServeSettings, metrics: Metrics) -> None:
        self.app = app
        self.settings = settings
        self.metrics = metrics
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        body = bytearray()
        try:
            try:
                await self._read(body, dict(scope["headers"]), receive)
            except _Gone:
                return
            except Refusal as refusal:
                self.metrics.refused.labels(refusal.reason).inc()
                await send_refusal(send, refusal)
                return
            await self.app(scope, _from_memory(bytes(body), receive), send)
        finally:
            self._held -= len(body)

    async def _read(self, body: bytearray, headers: dict[bytes, bytes], receive: Receive) -> None:
        """Fill `body`. Raises: Refusal when a limit is passed; _Gone when the client is."""
        declared = int(headers.get(b"content-length", b"0"))
        if not declared and b"transfer-encoding" not in headers:
            return
        chunks = _chunks(receive)
        try:
            async with asyncio.timeout(self.settings.body_timeout):
                refusal = self._too_large() if declared > self.settings.max_body else None
                while refusal is None and (chunk := await anext(chunks, None)) is not None:
                    if len(body) + len(chunk) > self.settings.max_body:
                        refusal = self._too_large()
                    elif self._held + len(chunk) > self.settings.max_buffered:
                        refusal = Refusal(503, "busy", "The server holds as many bytes as it can: try again later.")
                    else:
                        body += chunk
                        self._held += len(chunk)
                if refusal is not None:
                    await _drain(chunks, headers)
                    raise refusal
        except TimeoutError as error:
            seconds = f"{self.settings.body_timeout:g} s"
            raise Refusal(408, "slow", f"The body did not arrive within {seconds}: send it faster.") from error

    def _too_large(self) -> Refusal:
        limit = f"{self.settings.max_body:,} bytes"
        return Refusal(413, "bytes", f"The body has more than {limit}: send smaller or fewer images.")


class _Gone(Exception):
    """The client hung up."""


async def _chunks(receive: Receive) -> AsyncIterator[bytes]:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Gone
        yield message.get("body", b"")
        if not message.get("more_body", False):
            return


async def _drain(chunks: AsyncIterator[bytes], headers: Mapping[bytes, bytes]) -> None:
    """Most clients read no answer before they have sent all: let them, up to a point, and keep nothing."""
    if headers.get(b"expect", b"").lower() == b"100-continue":
        return
    left = DRAINED
    async for chunk in chunks:
        left -= len(chunk)
        if left < 0:
            return


def _from_memory(body: bytes, receive: Receive) -> Receive:
    """A receive that gives the whole body at once, then what `receive` gives."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
