"""Answer requests: what each path gives, and the page at `/`. Limits on bodies and the counters lie around it.

The page is one file with no request but to this server, and a policy that lets the browser hold it to that.
"""

import asyncio
import base64
import contextlib
import hashlib
import re
from collections.abc import AsyncIterator
from functools import cache
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, JSONResponse, Response

from deployment.runtime.images import MEDIA_TYPES
from deployment.serve.access import HEADERS, Guard
from deployment.serve.loading import LoadedBundle, Reloader
from deployment.serve.metrics import Measured, Metrics
from deployment.serve.openapi import describe
from deployment.serve.persons import FindPersons
from deployment.serve.predictor import Predictor
from deployment.serve.requests import Bodies, Refusal, images_of
from deployment.serve.settings import ServeSettings


def build_app(
    reloader: Reloader, settings: ServeSettings, metrics: Metrics, persons: FindPersons | None = None
) -> FastAPI:
    """The ASGI application over a bundle; its lifespan runs the threads and watches the bundle's folder.

    With `persons` the answer to a picture is about each person in it.
    """

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.predictor = predictor = Predictor(settings, metrics, persons)
        watch = asyncio.create_task(reloader.watch(settings.poll))
        yield
        watch.cancel()
        await asyncio.to_thread(predictor.close)

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.openapi = lambda: describe(reloader.current, settings, persons=persons is not None)  # type: ignore[method-assign]

    @app.post("/predict")
    async def predict(request: Request) -> Response:
        bundle = reloader.current
        names = _wanted(request.query_params, bundle)
        content_type = request.headers.get("content-type", "")
        images = images_of(content_type, await request.body(), max_images=settings.max_images)
        pictures = await request.app.state.predictor.predict(images, bundle, bundle.needed(names))
        views = [[{**view.person, **bundle.answer(view.scores, names)} for view in picture] for picture in pictures]
        predictions = [{"persons": rows} if persons else rows[0] for rows in views]
        return _json({"fingerprint": bundle.fingerprint, "predictions": predictions})

    @app.get("/attributes")
    async def attributes() -> Response:
        return _json(reloader.current.contract())

    @app.get("/healthz")
    async def healthz() -> Response:
        return _json({"alive": True})

    @app.get("/readyz")
    async def readyz(request: Request) -> Response:
        ready = request.app.state.predictor.batcher.alive
        bundle = reloader.current
        state = {"ready": ready, "bundle": bundle.identity, "fingerprint": bundle.fingerprint}
        return _json({**state, "refused": reloader.refused}, 200 if ready else 503)

    @app.get("/metrics")
    async def prometheus() -> Response:
        return Response(metrics.page(), media_type="text/plain; version=0.0.4; charset=utf-8", headers=HEADERS)

    @app.get("/")
    async def index() -> Response:
        return HTMLResponse(page(), headers={**HEADERS, "content-security-policy": content_security_policy()})

    @app.exception_handler(Refusal)
    async def refused(request: Request, refusal: Refusal) -> Response:
        metrics.refused.labels(refusal.reason).inc()
        return Response(refusal.body, refusal.status, {**HEADERS, **refusal.headers}, "application/json")

    @app.exception_handler(HTTPException)
    async def failed(request: Request, error: HTTPException) -> Response:
        remedy = {404: "There is nothing at this path", 405: "This path has another method"}
        said = f"{remedy.get(error.status_code, 'The request cannot be answered')}: see /openapi.json."
        return JSONResponse({"error": said}, error.status_code, {**HEADERS, **(error.headers or {})})

    @app.exception_handler(Exception)
    async def broken(request: Request, error: Exception) -> Response:
        return _json({"error": "The server failed on this request: its log says why."}, 500)

    app.add_middleware(Bodies, settings=settings, metrics=metrics)
    app.add_middleware(Guard, settings=settings, metrics=metrics)
    app.add_middleware(Measured, metrics=metrics)
    return app


def _wanted(query: QueryParams, bundle: LoadedBundle) -> tuple[str, ...]:
    """The attributes asked for, each once. Raises: Refusal for one the bundle has not, or an unknown parameter."""
    if set(query) - {"attributes"}:
        raise Refusal(422, "query", "The query has a parameter that is not 'attributes': leave it out.")
    if "attributes" not in query:
        return bundle.attributes
    names = tuple(dict.fromkeys(name for text in query.getlist("attributes") for name in text.split(",")))
    if not set(names) <= set(bundle.attributes):
        known = ", ".join(bundle.attributes)
        raise Refusal(422, "attribute", f"The bundle has not all of these attributes; it has {known}: ask for those.")
    return names


def _json(record: dict[str, Any], status: int = 200) -> Response:
    return JSONResponse(record, status, HEADERS)


@cache
def page() -> str:
    """The HTML of page.html, which asks for the formats that are read."""
    text = (Path(__file__).parent / "page.html").read_text(encoding="utf-8")
    return text.replace("MEDIA_TYPES", ",".join(MEDIA_TYPES))


def _hashes(tag: str) -> str:
    """The sources of a policy for the inline elements of a kind: their SHA-256."""
    texts = re.findall(rf"<{tag}>(.*?)</{tag}>", page(), flags=re.DOTALL)
    digests = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts)
    return " ".join(f"'sha256-{digest}'" for digest in digests)


@cache
def content_security_policy() -> str:
    """Only the page's own script and style run; it may ask this server alone and be framed by nobody."""
    return (
        f"default-src 'none'; script-src {_hashes('script')}; style-src {_hashes('style')}; img-src blob: data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
