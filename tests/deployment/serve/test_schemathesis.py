"""The description holds: whatever schemathesis makes of it, the answers are among those described."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from schemathesis import GenerationMode
from schemathesis.schemas import BaseSchema

from deployment.serve.metrics import PATHS
from tests.deployment.serve.conftest import Serving

EXAMPLES = 12
KINDS = ("jpeg", "png", "webp", "gif", "bmp")


@st.composite
def images(draw: st.DrawFn, kind: str) -> bytes:
    """What is said to be an image is one; the other tests send what is none."""
    size = draw(st.tuples(st.integers(1, 40), st.integers(1, 40)))
    mode = draw(st.sampled_from(["RGB", "L"] if kind in ("jpeg", "bmp") else ["RGB", "L", "RGBA", "P"]))
    written = io.BytesIO()
    Image.new(mode, size, draw(st.integers(0, 255))).save(written, kind)
    return written.getvalue()


for kind in KINDS:
    schemathesis.openapi.media_type(f"image/{kind}", images(kind))


@pytest.fixture(scope="module")
def schema(bundle: Path, serving: Serving) -> Iterator[BaseSchema]:
    with serving(bundle, allow_hosts=("testserver",)) as client:
        yield schemathesis.openapi.from_asgi("/openapi.json", client.app)


OPERATIONS = [
    ("POST", "/predict", GenerationMode.POSITIVE),
    ("POST", "/predict", GenerationMode.NEGATIVE),
    *(("GET", path, GenerationMode.POSITIVE) for path in PATHS if path not in ("/predict", "/openapi.json")),
]


@pytest.mark.parametrize(("method", "path", "mode"), OPERATIONS, ids=str)
def test_every_answer_is_described(schema: BaseSchema, method: str, path: str, mode: GenerationMode) -> None:
    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(case=schema[path][method].as_strategy(generation_mode=mode))
    def answers(case: Any) -> None:
        case.call_and_validate()

    answers()
