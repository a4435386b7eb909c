"""A lean load on `graftnet serve`, as a process of its own: connections that send the next image when one is answered.

    python -m benchmarks.serving_load URL FOLDER REQUESTS CONNECTIONS

Sends the images of a folder in turn as raw bodies; prints one JSON line: requests per second, latencies, errors. The
requests are made beforehand and answers only looked at for their status and length, so that little is spent here.
"""

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

HEAD = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"


class Asking(asyncio.Protocol):
    """One connection: sends a request, times its answer, sends the next."""

    def __init__(self, load: "Load") -> None:
        self.load = load
        self.began = 0.0
        self.answer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self.send()

    def send(self) -> None:
        request = self.load.next()
        if request is None:
            self.transport.close()
            return
        self.answer, self.began = b"", time.perf_counter()
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self.answer += data
        head, found, body = self.answer.partition(b"\r\n\r\n")
        if found and len(body) >= int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]):
            self.load.record(head.startswith(b"HTTP/1.1 200"), time.perf_counter() - self.began)
            self.send()

    def connection_lost(self, exc: Exception | None) -> None:
        self.load.lost()


class Load:
    """What all connections share."""

    def __init__(self, images: list[bytes], requests: int, connections: int) -> None:
        self.requests = [HEAD % len(image) + image for image in images]
        self.left, self.total, self.connections = requests, requests, connections
        self.seconds: list[float] = []
        self.errors = 0
        self.done = asyncio.get_running_loop().create_future()

    def next(self) -> bytes | None:
        if not self.left:
            return None
        self.left -= 1
        return self.requests[self.left % len(self.requests)]

    def record(self, good: bool, seconds: float) -> None:
        self.seconds.append(seconds)
        self.errors += not good

    def lost(self) -> None:
        self.connections -= 1
        if not self.connections and not self.done.done():
            self.done.set_result(None)


async def run(url: str, images: list[bytes], requests: int, connections: int) -> dict[str, Any]:
    """Put the load on a server; requests that were never answered count as errors."""
    loop = asyncio.get_running_loop()
    load = Load(images, requests, connections)
    address = urlsplit(url)
    began = time.perf_counter()
    for _ in range(connections):
        await loop.create_connection(lambda: Asking(load), address.hostname, address.port)
    await load.done
    seconds = time.perf_counter() - began
    ordered = sorted(load.seconds)
    return {
        "per_second": round(len(ordered) / seconds, 1),
        "p50_ms": round(ordered[len(ordered) // 2] * 1e3, 2),
        "p99_ms": round(ordered[int(len(ordered) * 0.99)] * 1e3, 2),
        "errors": load.errors + requests - len(ordered),
    }


if __name__ == "__main__":
    target, folder, number, at_once = sys.argv[1:]
    pictures = [path.read_bytes() for path in sorted(Path(folder).iterdir())]
    print(json.dumps(asyncio.run(run(target, pictures, int(number), int(at_once)))))
