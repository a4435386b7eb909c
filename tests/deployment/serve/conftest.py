"""Bundles written once, and a client of a served one."""

import contextlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from deployment.serve.app import build_app
from deployment.serve.loading import LoadedBundle, Reloader
from deployment.serve.metrics import Metrics
from deployment.serve.persons import FindPersons
from deployment.serve.settings import ServeSettings
from tests.deployment.serve.bundles import three_branches, two_branches

Client: TypeAlias = Any  # a TestClient whose application has `state`
Serving = Callable[..., contextlib.AbstractContextManager[Client]]


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of two branches; not to be changed."""
    return two_branches(tmp_path_factory.mktemp("two"))


@pytest.fixture(scope="session")
def larger_bundle(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with a branch more; not to be changed."""
    return three_branches(bundle, tmp_path_factory.mktemp("three"))


@contextlib.contextmanager
def serving(
    folder: Path,
    *,
    rules: Path | None = None,
    relations: Path | None = None,
    persons: FindPersons | None = None,
    **settings: Any,
) -> Iterator[Client]:
    """A client of the application over a bundle, its threads at work."""
    chosen = ServeSettings(**{"threads": 1, "decoders": 1, "poll": 3600.0, **settings})
    metrics = Metrics()

    def load(path: Path) -> LoadedBundle:
        return LoadedBundle(path, threads=1, rules=rules, relations=relations, repair=relations is not None)

    reloader = Reloader(folder, load, metrics, also=rules)
    app = build_app(reloader, chosen, metrics, persons)
    app.state.reloader, app.state.metrics = reloader, metrics
    with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(name="serving", scope="session")
def serving_fixture() -> Serving:
    """`serving(folder, **settings)`."""
    return serving


@pytest.fixture(scope="module")
def client(bundle: Path) -> Iterator[Client]:
    """A client of the bundle of two branches, with images of at most 100,000 pixels and bodies of 200,000 bytes."""
    with serving(bundle, max_pixels=100_000, max_body=200_000, max_images=4) as client:
        yield client


def encoded(kind: str = "PNG", *, size: tuple[int, int] = (31, 20), seed: int = 0, **options: Any) -> bytes:
    """A seeded RGB picture as a file's bytes."""
    pixels = np.random.default_rng(seed).integers(256, size=(size[1], size[0], 3), dtype=np.uint8)
    written = io.BytesIO()
    Image.fromarray(pixels).save(written, kind, **options)
    return written.getvalue()


@pytest.fixture(scope="session")
def picture() -> Callable[..., bytes]:
    """`picture(kind, size=, seed=, **options)`: the bytes of an image file."""
    return encoded
