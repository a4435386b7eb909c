"""Paths that train every choice equally often, and the share of them in a child epoch."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from nas.enas import Search, fair_indices
from nas.errors import SearchError
from nas.settings import JobData, SearchSettings
from search_spaces import Architecture, macro_space

SPACE = macro_space(2, widths=(4, 8, 12), depths=(1, 2))


@pytest.mark.parametrize("count", [0, 1, 5, 12, 61])
def test_every_choice_comes_equally_often(count: int) -> None:
    rows = fair_indices(SPACE.decisions, count, np.random.default_rng(0))
    assert rows.shape == (count, len(SPACE.decisions))
    for column, decision in zip(rows.T, SPACE.decisions, strict=True):
        found = [int((column == choice).sum()) for choice in range(len(decision.choices))]
        assert sum(found) == count
        assert set(found) <= {count // len(found), -(-count // len(found))}


def test_columns_are_drawn_apart_and_by_the_generator() -> None:
    rows = [fair_indices(SPACE.decisions, 60, np.random.default_rng(seed)) for seed in (0, 0, 1)]
    assert (rows[0] == rows[1]).all()
    assert (rows[0] != rows[2]).any()
    assert len({tuple(row) for row in rows[0].tolist()}) > 50


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_child_epoch_holds_the_share(
    data: JobData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    settings = SearchSettings(epochs=2, warmup_epochs=1, min_steps=0, batch_size=32, fair_share=share)
    search = Search(SPACE, data.train, data.val, settings, folder=tmp_path, seed=0, device=torch.device("cpu"))
    drawn: list[int] = []

    def watched(count: int) -> list[Architecture]:
        drawn.append(count)
        return Search.sample_policy(search, count)

    monkeypatch.setattr(search, "sample_policy", watched)
    paths = search.child_paths(60, share, np.random.default_rng(0))
    assert len(paths) == 60
    assert drawn == [round(60 * (1 - share))]
    if share == 1.0:
        assert set(Counter(path["width"] for path in paths).values()) == {20}


def test_a_share_that_cannot_be_is_refused() -> None:
    with pytest.raises(SearchError, match=r"fair_share must lie between 0 and 1, is 1\.5"):
        SearchSettings(fair_share=1.5)
