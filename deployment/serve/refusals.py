"""Requests that are not answered: a status, a reason for the counter, and one sentence for the client."""

import json

from starlette.types import Send


class Refusal(Exception):
    """`status` is HTTP's, `reason` one word for the metrics, the message a sentence; 503 says when to try again."""

    def __init__(self, status: int, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.reason = reason

    @property
    def headers(self) -> dict[str, str]:
        """What goes with the status."""
        return {"retry-after": "1"} if self.status == 503 else {}

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
