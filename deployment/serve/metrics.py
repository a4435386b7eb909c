"""Count for Prometheus what the server does; every label has a bounded set of values, whatever clients send."""

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PATHS = ("/predict", "/attributes", "/healthz", "/readyz", "/metrics", "/openapi.json", "/")
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """Counters of one application, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            "graftnet_requests", "Requests answered, by path and status.", ("path", "status"), registry=registry
        )
        self.seconds = Histogram(
            "graftnet_request_seconds",
            "From the first header to the answer.",
            ("path",),
            buckets=SECONDS,
            registry=registry,
        )
        self.refused = Counter("graftnet_refused", "Requests refused, by reason.", ("reason",), registry=registry)
        self.images = Counter("graftnet_images", "Images predicted.", registry=registry)
        self.batch_size = Histogram(
            "graftnet_batch_size", "Images per run of the model.", buckets=SIZES, registry=registry
        )
        self.batch_seconds = Histogram(
            "graftnet_batch_seconds", "A run of the model.", buckets=SECONDS, registry=registry
        )
        self.queue_depth = Gauge(
            "graftnet_queue_depth", "Images under way, from decoding to their scores.", registry=registry
        )
        self.reloads = Counter(
            "graftnet_reloads", "Changed bundles, by what came of them.", ("result",), registry=registry
        )
        self.bundle_refused = Gauge(
            "graftnet_bundle_refused",
            "1 while the bundle on disk is refused and an older one is served.",
            registry=registry,
        )
        self.attributes = Gauge("graftnet_attributes", "Attributes of the bundle that is served.", registry=registry)
        for result in ("loaded", "refused"):
            self.reloads.labels(result)
        ProcessCollector(registry=registry)

    def page(self) -> bytes:
        """The text that Prometheus reads."""
        return generate_latest(self.registry)


class Measured:
    """The ASGI application `app`, with every request counted and timed."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = scope["path"] if scope["path"] in PATHS else "other"
        began = time.perf_counter()
        status = 500  # what an exception becomes, further out

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, noted)
        finally:
            self.metrics.requests.labels(path, str(status)).inc()
            self.metrics.seconds.labels(path).observe(time.perf_counter() - began)
