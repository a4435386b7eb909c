"""Read what a request brings: its body under limits, the images in it, and what it gets instead of an answer.

Bodies are read whole under three limits: bytes of one, bytes of all at once, and time, by a pure ASGI layer around the
application, which then finds the body in memory. Neither the declared length nor the client's pace is believed: bytes
are counted as they come, and the clock runs over the whole body.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployment.serve.metrics import Metrics
from deployment.serve.settings import MIB, ServeSettings

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

FIELD = b"images"
RAW = (b"image/", b"application/octet-stream")
FORM = b"multipart/form-data"
DRAINED = 64 * MIB  # bytes thrown away for a client that must finish sending before it reads the answer


class Refusal(Exception):
    """`status` is HTTP's, `reason` one word for the metrics, the message a sentence; 503 says when to try again."""

    def __init__(self, status: int, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.reason = reason

    @property
    def headers(self) -> dict[str, str]:
        """What goes with the status."""
        return {401: {"www-authenticate": "Bearer"}, 503: {"retry-after": "1"}}.get(self.status, {})

    @property
    def body(self) -> bytes:
        """`{"error": sentence}`."""
        return json.dumps({"error": str(self)}).encode()


async def send_refusal(send: Send, refusal: Refusal) -> None:
    """Answer without the application; the connection is closed, for the request may not have been read whole."""
    headers = {
        **refusal.headers,
        "content-type": "application/json",
        "content-length": str(len(refusal.body)),
        "connection": "close",
    }
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": refusal.status, "headers": encoded})
    await send({"type": "http.response.body", "body": refusal.body})


async def refuse_unread(refusal: Refusal, scope: Scope, receive: Receive, send: Send, *, timeout: float) -> None:
    """Answer a request whose body is not wanted: what the client must send first is thrown away, for `timeout` s."""
    headers = dict(scope["headers"])
    if b"content-length" in headers or b"transfer-encoding" in headers:
        try:
            async with asyncio.timeout(timeout):
                await _drain(_chunks(receive), headers)
        except TimeoutError:
            pass
        except _Gone:
            return
    await send_refusal(send, refusal)


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
        held = 0
        try:
            try:
                await self._read(body, dict(scope["headers"]), receive)
            except _Gone:
                return
            except Refusal as refusal:
                self.metrics.refused.labels(refusal.reason).inc()
                await send_refusal(send, refusal)
                return
            replay = _from_memory(bytes(body), receive)
            held = len(body)
            body.clear()  # one copy is enough while the images are looked at
            await self.app(scope, replay, send)
        finally:
            self._held -= held or len(body)

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
    left: bytes | None = body
    del body

    async def replay() -> Message:
        nonlocal left
        if left is None:
            return await receive()
        given, left = left, None
        return {"type": "http.request", "body": given, "more_body": False}

    return replay


def images_of(content_type: str, body: bytes, *, max_images: int) -> list[bytes]:
    """The encoded images of a body, at least one. File names are not looked at, and nothing is written to disk.

    Raises: Refusal for another content type, a broken form, another field, or too many images.
    """
    kind, options = parse_options_header(content_type)
    if kind.startswith(RAW):
        return [body]
    if kind != FORM:
        raise Refusal(
            415, "type", "The content type is neither image/* nor multipart/form-data: say what the body holds."
        )
    parts = _Parts(max_images)
    try:
        parser = MultipartParser(options.get(b"boundary", b""), parts.callbacks())
        parser.write(body)
        parser.finalize()
    except (FormParserError, ValueError) as error:
        raise Refusal(400, "form", "The body is no multipart form with its boundary: send it again.") from error
    if not parts.ended:
        raise Refusal(400, "form", "The form ends before its last boundary: send it whole.")
    if not parts.images:
        raise Refusal(422, "empty", "The form holds no image: send files in the field 'images'.")
    return parts.images


class _Parts:
    """Collects the parts while the form is parsed; python-multipart calls back with slices of what it was given."""

    def __init__(self, max_images: int) -> None:
        self.max_images = max_images
        self.images: list[bytes] = []
        self.ended = False
        self._name = self._value = b""
        self._field: bytes | None = None
        self._chunks: list[bytes] = []

    def callbacks(self) -> "MultipartCallbacks":
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._header_name,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": self._data,
            "on_part_end": self._end,
            "on_end": self._finish,
        }

    def _begin(self) -> None:
        if len(self.images) == self.max_images:
            raise Refusal(413, "count", f"The form holds more than {self.max_images} images: send several requests.")
        self._field, self._chunks = None, []

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._name.lower() == b"content-disposition":
            self._field = parse_options_header(self._value)[1].get(b"name")
        self._name = self._value = b""

    def _headers_finished(self) -> None:
        if self._field != FIELD:
            raise Refusal(422, "form", "The form has a field that is not 'images': send the files in that one.")

    def _data(self, data: bytes, start: int, end: int) -> None:
        self._chunks.append(data[start:end])

    def _end(self) -> None:
        self.images.append(b"".join(self._chunks))

    def _finish(self) -> None:
        self.ended = True
