"""Connections with limits that uvicorn does not set: their number, and the time until a request's headers are there.

Without the second, a client that sends a byte now and then holds a connection for ever ("slowloris").
"""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from deployment.serve.refusals import Refusal
from deployment.serve.settings import ServeSettings

PHRASES = {400: "Bad Request", 408: "Request Timeout", 503: "Service Unavailable"}


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
            *(f"{name}: {value}" for name, value in refusal.headers.items()),
        ]
        self.transport.write("\r\n".join([*head, "", ""]).encode() + refusal.body)
        self.transport.close()


def limited_protocol(settings: ServeSettings) -> type[LimitedProtocol]:
    """The protocol class for uvicorn's setting `http`."""
    limits: dict[str, Any] = {"header_timeout": settings.header_timeout, "most": settings.connections}
    return type("LimitedProtocol", (LimitedProtocol,), limits)
