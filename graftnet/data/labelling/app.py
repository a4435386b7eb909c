"""The page's server application: one page, its pictures, and answers that come in; nothing else of this machine.

Every path begins with a random token, which only the printed address holds; a request under another name than this
machine's loopback is refused (a page of another site may have its own name point here). Pictures go out decoded and
encoded anew, named by their content: no file is served as it lies, and no path comes from a request.
"""

import base64
import hashlib
import hmac
import io
import re
from functools import cache
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from PIL import Image
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from deployment.serve.hosts import Hosts
from foundation.errors import UserError
from graftnet.data.labelling.session import Labelling
from subdatasets.image_files import read_image

LOOPBACK = "127.0.0.1"
HEADERS = {"x-content-type-options": "nosniff", "referrer-policy": "no-referrer", "cache-control": "no-store"}
KEPT = {**HEADERS, "cache-control": "private, max-age=3600"}  # a picture never changes: its content is its name
SMALL, LARGE = 480, 2400  # pixels of the longer side
MOST_BYTES = 10_000  # of an answer

Window = Field(min_length=1, max_length=64)


class Asked(BaseModel):
    """A window asks for its page; ``more`` for another one."""

    window: str = Window
    more: bool = False


class Answered(BaseModel):
    """A window's answer on a picture; no value is unsure."""

    window: str = Window
    picture: str = Field(max_length=64)
    value: str | None = None


class TakenBack(BaseModel):
    """A window takes its last answer back."""

    window: str = Window


def build_app(labelling: Labelling, token: str) -> ASGIApp:
    """The ASGI application for whoever knows the token."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)

    @app.get("/")
    def index() -> Response:
        return HTMLResponse(page(), headers={**HEADERS, "content-security-policy": content_security_policy()})

    @app.post("/page")
    def ask(asked: Asked) -> Response:
        return _json(labelling.page(asked.window, more=asked.more))

    @app.post("/answer")
    def answer(answered: Answered) -> Response:
        return _json(labelling.answer(answered.window, answered.picture, answered.value))

    @app.post("/undo")
    def undo(back: TakenBack) -> Response:
        return _json(labelling.undo(back.window))

    @app.get("/small/{content}")
    def small(content: str) -> Response:
        return _picture(labelling, content, SMALL)

    @app.get("/large/{content}")
    def large(content: str) -> Response:
        return _picture(labelling, content, LARGE)

    @app.exception_handler(UserError)
    def refused(request: Request, error: Exception) -> Response:
        return _json({"error": str(error)}, 422)

    @app.exception_handler(OSError)
    def broken(request: Request, error: Exception) -> Response:
        return _json({"error": f"The answer is not kept: {error}. Make room, and answer again."}, 500)

    return Guard(app, token)


class Guard:
    """The application for requests that name this machine and begin with the token."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self.app, self.token, self.hosts = app, token.encode(), Hosts(LOOPBACK, ())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        said = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        if len(said) != 1 or not self.hosts.allow(said[0]):
            await _json({"error": "Nobody answers to this Host: use the printed address."}, 421)(scope, receive, send)
            return
        token, slash, rest = scope["path"].removeprefix("/").partition("/")
        if not hmac.compare_digest(token.encode("utf-8", "replace"), self.token) or not slash:
            await _json({"error": "There is nothing here: use the printed address."}, 404)(scope, receive, send)
            return
        lengths = [value for name, value in scope["headers"] if name == b"content-length"]
        if scope["method"] == "POST" and not (len(lengths) == 1 and lengths[0].isdigit() and _is_short(lengths[0])):
            await _json({"error": "The answer is too long, or does not say how long it is."}, 413)(scope, receive, send)
            return
        await self.app({**scope, "path": f"/{rest}", "raw_path": f"/{rest}".encode()}, receive, send)


def _is_short(length: bytes) -> bool:
    return len(length) < 9 and int(length) <= MOST_BYTES


def _json(record: dict[str, Any], status: int = 200) -> Response:
    return JSONResponse(record, status, HEADERS)


def _picture(labelling: Labelling, content: str, side: int) -> Response:
    """A picture of the pool, at most so many pixels on its longer side, as a JPEG."""
    path = labelling.pool.paths.get(content)
    if path is None:
        return _json({"error": "There is no such picture in the pool."}, 404)
    return Response(encoded(path, side), 200, KEPT, "image/jpeg")


def encoded(path: Path, side: int) -> bytes:
    """The picture of a file as a JPEG of at most `side` pixels; smaller ones keep their size.

    Raises:
        DataError: it cannot be read any more.
    """
    image = read_image(path, enough=lambda size: (min(size[0], 2 * side), min(size[1], 2 * side)))
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=88)
    return out.getvalue()


@cache
def page() -> str:
    """The HTML of page.html."""
    return (Path(__file__).parent / "page.html").read_text(encoding="utf-8")


@cache
def content_security_policy() -> str:
    """Only the page's own script and style run; it may ask this server alone and be framed by nobody."""
    return (
        f"default-src 'none'; script-src {_hashes('script')}; style-src {_hashes('style')}; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _hashes(tag: str) -> str:
    """The sources of a policy for the page's inline elements of a kind: their SHA-256."""
    texts = re.findall(rf"<{tag}>(.*?)</{tag}>", page(), flags=re.DOTALL)
    return " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in texts)
