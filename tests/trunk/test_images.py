from pathlib import Path

import numpy as np
import pytest

from tests.trunk.conftest import SIZE
from trunk.images import HeldImages, decode
from trunk.preprocessing import Preprocessing

BYTES = SIZE * SIZE * 3


@pytest.mark.parametrize("limit", [0, 5 * BYTES, 2**20])
def test_rows_are_what_decoding_gives_and_are_decoded_once_where_they_fit(
    pictures: list[tuple[Path, int, int]], limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [path for path, _, _ in pictures[:12]]
    asked: list[Path] = []

    def counting(wanted: list[Path], preprocessing: Preprocessing) -> np.ndarray:
        asked.extend(wanted)
        return decode(wanted, preprocessing)

    monkeypatch.setattr("trunk.images.decode", counting)
    held = HeldImages(paths, Preprocessing(SIZE), limit=limit)
    for rows in ([3, 9, 3], [9, 3, 0, 11], [0, 11]):
        expected = decode([paths[row] for row in rows], Preprocessing(SIZE))
        found = held.pixels(np.array(rows))
        assert np.array_equal(found, expected)
        found[:] = 0  # a copy: what is held stays
    repeated = [path for path in paths if asked.count(path) > 1]
    fitting = limit // BYTES
    # Row 3 comes twice in the first request itself.
    assert [path for path in repeated if path != paths[3]] == [paths[row] for row in (0, 9, 11) if row >= fitting]
