"""search --features says beforehand, as search on images does, that so few test images can tell nothing."""

from pathlib import Path

import numpy as np
import pytest

from graftnet.cli import run
from graftnet.searches import run as searching


@pytest.mark.parametrize(("positives", "said"), [(3, True), (10, False)])
def test_few_images_are_told_before_the_search_begins(
    positives: int, said: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    arrays: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float64 | np.str_]]] = {}
    for split, (no, yes) in {"train": (30, 30), "val": (20, 20), "test": (20, positives)}.items():
        arrays[f"x_{split}"] = rng.random((no + yes, 4)).astype(np.float32)  # type: ignore[assignment]
        arrays[f"y_{split}"] = np.array(["no"] * no + ["yes"] * yes)
    monkeypatch.chdir(tmp_path)
    np.savez("hats.npz", **arrays)  # type: ignore[arg-type]

    def begun(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(searching, "run_job", begun)
    assert run(["search", "--features", "hats.npz", "--device", "cpu"]) == 130
    sentence = "hats has few images: 3 of 'yes' in test; with fewer than 10 of a value"
    assert (sentence in capsys.readouterr().err) is said
