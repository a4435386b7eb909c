"""A warm start: what is taken over, what is not, and that it is repeated and resumed bit for bit."""

import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from foundation.history import read_history
from nas.candidates import rank_candidates
from nas.controller.policy import Controller
from nas.enas import Search
from nas.errors import SearchError
from nas.settings import JobData
from nas.supernet.supernet import Supernet
from nas.warm_start import ENTROPY_SHARE, Start, averaged_weights, begin, checksum, gather, imitate, start_of
from search_spaces import macro_space
from tests.nas.conftest import make_split
from tests.nas.job.test_run import SETTINGS
from tests.untimed import untimed

SPACE = SETTINGS.space
CPU = torch.device("cpu")


def search_in(folder: Path, data: JobData, *, seed: int = 0, start: Start | None = None, epochs: int = 2) -> Search:
    settings = replace(SETTINGS.search, epochs=epochs)
    return Search(SPACE, data.train, data.val, settings, folder=folder, seed=seed, device=CPU, start=start)


def searched(folder: Path, data: JobData, seed: int) -> Path:
    search = search_in(folder, data, seed=seed)
    search.run()
    rank_candidates(search, 6)
    return folder


@pytest.fixture(scope="module")
def searches(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    torch.set_num_threads(1)
    data = JobData("toy", ("no", "yes"), make_split(96, 0), make_split(60, 1), make_split(80, 2))
    folder = tmp_path_factory.mktemp("sources")
    return [searched(folder / str(seed), data, seed) for seed in (1, 2)]


@pytest.fixture
def sources(searches: list[Path], tmp_path: Path) -> list[Path]:
    """Copies of two finished searches."""
    return [Path(shutil.copytree(one, tmp_path / f"source-{one.name}")) for one in searches]


def test_the_shared_weights_are_the_sources_mean_but_for_the_linear_layers(
    sources: list[Path], data: JobData, tmp_path: Path
) -> None:
    start = gather(sources, SPACE, weights=True)
    fresh = search_in(tmp_path / "cold", data).supernet.state_dict()
    warm = search_in(tmp_path / "warm", data, start=start).supernet.state_dict()
    first, second = (
        search_in(folder, data, seed=n).supernet.state_dict() for folder, n in zip(sources, (1, 2), strict=True)
    )
    heads = {name for name in warm if "pooled" in name or "shortcut" in name}
    assert heads
    for name, weight in warm.items():
        expected = fresh[name] if name in heads else (first[name] + second[name]) / 2
        assert torch.equal(weight, expected), name


def test_without_weights_only_the_policy_differs_from_a_cold_start(
    sources: list[Path], data: JobData, tmp_path: Path
) -> None:
    cold = search_in(tmp_path / "cold", data)
    warm = search_in(tmp_path / "warm", data, start=gather(sources, SPACE))
    for name, weight in cold.supernet.state_dict().items():
        assert torch.equal(weight, warm.supernet.state_dict()[name]), name
    best = warm.start.choices if warm.start else torch.zeros(0)
    assert len(best) == 12
    likely = [float(one.controller.evaluate(best).log_prob.detach().mean()) for one in (cold, warm)]
    assert likely[1] > likely[0] + 1


def test_other_values_are_no_hindrance(sources: list[Path]) -> None:
    three = Supernet(SPACE, (6, 3, 3), 3, generator=torch.Generator().manual_seed(0))
    head = three.state_dict()["shared.pooled.average.weight"].clone()
    controller = Controller(SPACE.decisions, hidden=8, generator=torch.Generator().manual_seed(0))
    begin(gather(sources, SPACE, weights=True), three, controller)
    assert torch.equal(three.state_dict()["shared.pooled.average.weight"], head)


def test_another_space_is_refused(sources: list[Path]) -> None:
    wider = macro_space(2, widths=(4, 8))
    supernet = Supernet(wider, (6, 3, 3), 2, generator=torch.Generator().manual_seed(0))
    controller = Controller(wider.decisions, hidden=8, generator=torch.Generator().manual_seed(0))
    with pytest.raises(SearchError, match="same space on the same trunk"):
        begin(gather(sources, SPACE, weights=True), supernet, controller)
    with pytest.raises(SearchError, match="at least one"):
        averaged_weights([])


def test_imitation_makes_likely_what_was_good_and_leaves_the_rest_open() -> None:
    controller = Controller(SPACE.decisions, hidden=16, generator=torch.Generator().manual_seed(0))
    rng = np.random.default_rng(0)
    good = [list(SPACE.indices(SPACE.random(rng))) for _ in range(12)]
    column = [decision.name for decision in SPACE.decisions].index("node1.operation")
    for row in good:
        row[column] = 2
    choices = torch.tensor(good)
    share = imitate(controller, choices)
    uniform = sum(math.log(len(decision.choices)) for decision in SPACE.decisions)
    drawn = controller.sample(400, torch.Generator().manual_seed(1))
    assert float((drawn.choices[:, column] == 2).float().mean()) > 0.8
    assert float(controller.evaluate(choices).log_prob.detach().mean()) > -uniform
    # Choices that differ among the good ones stay undecided.
    assert ENTROPY_SHARE - 0.1 < share <= 1
    assert imitate(controller, choices[:0]) == 1.0


def test_a_warm_search_is_repeated_and_resumed_bit_for_bit(sources: list[Path], data: JobData, tmp_path: Path) -> None:
    start = gather(sources, SPACE, weights=True)
    folder = tmp_path / "kept"
    folder.mkdir()
    assert start_of(folder) is None
    start.save(folder, {"sources": []})
    kept = start_of(folder)
    assert kept is not None
    whole = search_in(tmp_path / "whole", data, start=start, epochs=3)
    whole.run()
    halted = search_in(tmp_path / "halted", data, start=kept, epochs=3)

    class KilledError(BaseException):
        pass

    def kill(_stage: str, epoch: int, *_: object) -> None:
        if epoch == 2:
            raise KilledError

    with pytest.raises(KilledError):
        halted.run(progress=kill)
    resumed = search_in(tmp_path / "halted", data, start=kept, epochs=3)
    assert resumed.epoch == 2
    resumed.run()
    for name, weight in whole.supernet.state_dict().items():
        assert torch.equal(weight, resumed.supernet.state_dict()[name]), name
    histories = [untimed(read_history(tmp_path / name / "history.jsonl")) for name in ("whole", "halted")]
    assert histories[0] == histories[1]
    cold = search_in(tmp_path / "cold", data, epochs=3)
    cold.run()
    assert untimed(read_history(tmp_path / "cold" / "history.jsonl")) != histories[0]


def test_the_checksum_tells_a_changed_source(sources: list[Path]) -> None:
    before = [checksum(folder) for folder in sources]
    assert before[0] != before[1]
    path = sources[0] / "candidates.json"
    path.write_text(path.read_text().replace("mode", "best"))
    assert checksum(sources[0]) != before[0]
    assert checksum(sources[1]) == before[1]
