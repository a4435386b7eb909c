"""Files of arrays against changed bytes: an answer, or the one sentence of the room that reads them."""

import io
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from deployment.runtime.files import read_golden
from graftnet.terminal.failures import explain
from label_graph.nodes import read_npz
from tests.fuzz.mutations import FILES, changed_bytes
from tests.fuzz.test_records import COUNT
from trunk.features.npz import read_features_file

Arrays = dict[str, NDArray[Any]]
ROWS = np.random.default_rng(0).random((8, 4)).astype(np.float32)
LABELS = np.array(["no", "yes"] * 4)
READERS: dict[str, tuple[Arrays, Callable[[Path], object]]] = {
    "features": ({"x_train": ROWS, "y_train": LABELS, "x_val": ROWS, "y_val": LABELS}, read_features_file),
    "words": ({"words": LABELS[:2], "vectors": ROWS[:2]}, lambda path: read_npz(path, {"no", "yes"})),
    "golden": ({"images": ROWS, "scores": ROWS}, lambda path: read_golden(path, ("images", "scores"))),
}
HEADERS = (
    b"{'descr': '<f4', 'fortran_order': False, 'shape': (8, 4)), }",
    b"{'descr': '<f4', 'fortran_order': False, 'shape': (8, 4",
    b"{'descr': '|O', 'fortran_order': False, 'shape': (8, 4), }",
    b"{'descr': '<f4', 'fortran_order': False, 'shape': (10000000000000, 4), }",
    b"{'descr': '<f4', 'fortran_order': False, 'shape': (-8, 4), }",
    b"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (8, 4), }",
    b"__import__('os').system('touch RAN')",
    b"(" * 500,
)


def with_header(arrays: Arrays, header: bytes) -> bytes:
    """An archive whose arrays all say this of themselves, with every checksum right."""
    written, head = io.BytesIO(), header + b" " * 8 + b"\n"
    begun = b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head
    with zipfile.ZipFile(written, "w") as archive:
        for name, array in arrays.items():
            archive.writestr(f"{name}.npy", begun + array.tobytes())
    return written.getvalue()


@pytest.mark.parametrize("reader", READERS)
def test_a_file_of_arrays_is_read_or_refused(reader: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    arrays, read = READERS[reader]
    path, rng = tmp_path / "arrays.npz", random.Random(1)
    np.savez(path, **arrays)  # type: ignore[arg-type]
    whole = path.read_bytes()
    read(path)
    single = io.BytesIO()
    np.save(single, ROWS)
    refused = 0
    headers = [with_header(arrays, header) for header in HEADERS]
    for content in [*FILES, single.getvalue(), *headers, *(changed_bytes(whole, rng) for _ in range(COUNT))]:
        path.write_bytes(content)
        try:
            read(path)
        except Exception as error:
            sentence, code = explain(error, tmp_path.parent)
            assert (code, "\n" in sentence) == (2, False), f"{content[:300]!r}: {sentence}"
            refused += 1
    assert refused > COUNT / 4
    assert [file.name for file in tmp_path.iterdir()] == ["arrays.npz"]
