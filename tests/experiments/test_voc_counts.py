"""The comparison of co-occurrence counts on a tiny file of the same form."""

from pathlib import Path

import numpy as np
import pytest

from experiments.voc_counts import main

CODES = np.array([[1, 1, -1], [1, 0, -1], [1, -1, 1], [-1, -1, 1]], dtype=np.int8)


def write(path: Path, *, nums: list[int]) -> str:
    adj = np.array([[0, 1, 1], [1, 0, 0], [1, 0, 0]])
    names = np.array(["person", "dog", "cat"])
    np.savez(path, class_names=names, trainval=CODES, mlgcn_voc_nums=np.array(nums), mlgcn_voc_adj=adj)
    return str(path)


def test_equal_counts_are_found_equal_and_known_pairs_differ(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([write(tmp_path / "voc.npz", nums=[3, 1, 2])])
    said = capsys.readouterr().out
    assert "4 images, 3 labels, 1 unknown entries" in said
    assert "image counts of the 3 labels equal mlgcn_voc_nums: True" in said
    assert "counts of the 6 ordered pairs equal mlgcn_voc_adj: True" in said
    # P(dog | person) is 1/2 where dog is known, 1/3 over all images of persons.
    assert "largest difference 0.1667" in said
    assert "edges at tau 0.4: 3 against 2, 1 in one graph alone" in said


def test_other_counts_fail(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([write(tmp_path / "voc.npz", nums=[3, 2, 2])])
    assert ended.value.code == 1
    assert "mlgcn_voc_nums: False" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="usage"):
        main([])
