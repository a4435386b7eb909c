"""Image formats: one list, which the server, its page, its description and the guide follow."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deployment.runtime.images import FORMAT_NAMES, FORMATS, MEDIA_TYPES, read_normalised
from deployment.serve.app import page
from deployment.serve.decoding import decode
from subdatasets.image_files import FORMATS as FORMATS_ON_DISK

GUIDE = Path(__file__).parents[3] / "docs" / "serving.md"
PREPROCESSING = {"size": 8, "interpolation": "bilinear", "mean": [0.5] * 3, "std": [0.5] * 3}


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_is_read_from_files_and_from_requests(kind: str, tmp_path: Path) -> None:
    for suffix in FORMATS[kind].suffixes:
        path = tmp_path / f"picture{suffix}"
        Image.new("RGB", (12, 10), (200, 100, 50)).save(path)
        data = path.read_bytes()
        assert data.startswith(FORMATS[kind].beginning)
        with Image.open(path) as opened:
            assert (opened.format, opened.get_format_mimetype()) == (kind, FORMATS[kind].media_type)
        assert decode(data, max_pixels=1000).size == (12, 10)
        assert np.allclose(read_normalised(path, PREPROCESSING)[:, 0, 0], [0.57, -0.22, -0.61], atol=0.05)


def test_the_formats_are_those_of_sub_datasets() -> None:
    assert {kind: form.suffixes for kind, form in FORMATS.items()} == FORMATS_ON_DISK


def test_page_and_guide_name_the_formats() -> None:
    assert f'accept="{",".join(MEDIA_TYPES)}"' in page()
    assert [form.name for form in FORMATS.values()] == FORMAT_NAMES.replace(" or ", ", ").split(", ")
    assert f"Images are {FORMAT_NAMES} whatever" in GUIDE.read_text(encoding="utf-8")
