"""The shared weights and a job's trainings begin at the linear probe; what began otherwise goes on as it began."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from branches.probe import Probe, linear_probe
from branches.settings import FitSettings
from foundation.history import read_history
from nas.audit.run import run_audit
from nas.controller.policy import Controller
from nas.job.origin import settings_record
from nas.job.run import run_job
from nas.job.stages.probe_start import as_begun, begun, with_shortcut
from nas.settings import BY_HAND, JobData, JobSettings, SearchSettings
from nas.supernet.supernet import Supernet
from nas.warm_start import Start, begin
from search_spaces import Space, macro_space, micro_space, tail_space
from tests.nas.conftest import make_split

SPACES = {"macro": macro_space(2, widths=(4, 8)), "micro": micro_space(2, cells=2, widths=(4, 8))}
SHAPE = (6, 3, 3)
CPU = torch.device("cpu")
SETTINGS = JobSettings(
    SPACES["macro"],
    SearchSettings(epochs=2, warmup_epochs=1, min_steps=2, updates_per_epoch=1, hidden=8, reward_images=0),
    candidates=4,
    retrain_top=2,
    retrain=FitSettings(epochs=2, batch_size=32),
    repeats=2,
    choice="searched",
    tail=None,
)


@pytest.fixture(scope="module")
def probe() -> Probe:
    return linear_probe(make_split(96, 0), make_split(60, 1))


def features(count: int = 16) -> Tensor:
    return make_split(count, 3).features.gather(torch.arange(count))


def supernet(space: Space, probe: Probe | None) -> Supernet:
    start = probe.start if probe else None
    return Supernet(space, SHAPE, 2, generator=torch.Generator().manual_seed(0), probe=start)


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_every_path_begins_with_the_probes_logits_and_keeps_its_columns(space: Space, probe: Probe) -> None:
    space, net, x = with_shortcut(space), supernet(with_shortcut(space), probe), features()
    expected = probe.module(x)
    rng = np.random.default_rng(0)
    paths = [space.random(rng) for _ in range(12)]
    for path in paths:
        torch.testing.assert_close(net(x, path), expected, rtol=1e-4, atol=1e-4)
        with torch.inference_mode():
            torch.testing.assert_close(net.eval()(x[:1], path), expected[:1], rtol=1e-4, atol=1e-4)
    shortcut = net.shared.shortcut
    assert shortcut is not None
    before = shortcut.weight.detach().clone()
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2, weight_decay=0.5)
    for path in paths:
        optimizer.zero_grad()
        functional.cross_entropy(net.train()(x, path), torch.arange(16) % 2).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        assert torch.equal(net(x, path), net.extract(path)(x))
    assert torch.equal(shortcut.weight, before)
    assert not torch.allclose(net(x, paths[0]), expected, atol=1e-3)


def test_shared_weights_that_began_at_a_probe_are_kept_whole(probe: Probe) -> None:
    space = with_shortcut(SPACES["macro"])
    path, x = space.random(np.random.default_rng(0)), features()
    other = supernet(space, replaced(probe))
    other.load_state_dict(supernet(space, probe).state_dict())
    torch.testing.assert_close(other(x, path), probe.module(x), rtol=1e-4, atol=1e-4)


def replaced(probe: Probe) -> Probe:
    """Another probe of the same shape."""
    return probe._replace(mean=probe.mean + 1, variance=probe.variance * 2)


def test_the_answer_about_the_shortcut_is_yes_and_the_space_stays_the_same() -> None:
    for space in SPACES.values():
        pinned = with_shortcut(space)
        assert pinned.size * 2 == space.size
        assert pinned.settings == space.settings
        architecture = pinned.random(np.random.default_rng(0))
        assert architecture["head.shortcut"] is True
        space.validate(architecture)
    without = macro_space(1, shortcuts=(False,))
    assert with_shortcut(without) == without


def config(folder: Path, **values: Any) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(values))
    return folder


def test_what_began_otherwise_goes_on_as_it_began(tmp_path: Path) -> None:
    assert as_begun(SETTINGS, tmp_path / "new").space == with_shortcut(SETTINGS.space)
    assert as_begun(SETTINGS, config(tmp_path / "since", probe_start=True)).retrain.probe_start
    old = as_begun(SETTINGS, config(tmp_path / "before", attribute="toy"))
    assert (old.retrain.probe_start, old.space) == (False, SETTINGS.space)
    assert as_begun(old, tmp_path / "new") == old


def test_limits_leave_the_shortcut_open_and_a_tail_has_none(tmp_path: Path) -> None:
    limited = replace(SETTINGS, search=replace(SETTINGS.search, max_parameters=400))
    assert as_begun(limited, tmp_path) == limited
    hand = replace(SETTINGS, space=tail_space(6, blocks=(7,), poolings=("average",)), strategy=BY_HAND)
    assert not as_begun(hand, tmp_path).retrain.probe_start


def test_a_search_of_before_there_was_a_start_keeps_its_name() -> None:
    record = settings_record(SETTINGS)["settings"]["retrain"]
    assert not {"probe_start", "probe_rate"} & record.keys()
    off = replace(SETTINGS, retrain=replace(SETTINGS.retrain, probe_start=False))
    assert settings_record(off)["settings"]["retrain"]["probe_start"] is False


def test_the_probe_is_fitted_once_per_folder(data: JobData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = begun(data, SETTINGS, tmp_path).probe
    monkeypatch.setattr("nas.job.stages.probe_start.linear_probe", None)
    again = begun(data, SETTINGS, tmp_path).probe
    assert first is not None
    assert again is not None
    for one, other in zip(first.start, again.start, strict=True):
        assert torch.equal(one, other)
    assert np.array_equal(first.val_scores, again.val_scores)
    assert first[1:3] == again[1:3]
    off = replace(SETTINGS, retrain=replace(SETTINGS.retrain, probe_start=False))
    assert begun(data, off, tmp_path).probe is None


def test_a_warm_start_from_searches_that_asked_about_the_shortcut(probe: Probe) -> None:
    full, pinned = SPACES["macro"], with_shortcut(SPACES["macro"])
    rng = np.random.default_rng(0)
    choices = torch.tensor([full.indices(full.random(rng)) for _ in range(6)])
    controller = Controller(pinned.decisions, hidden=8, generator=torch.Generator().manual_seed(0))
    weights = {name: value for name, value in supernet(full, None).state_dict().items() if "stem" in name}
    net = supernet(pinned, probe)
    begin(Start(weights, choices), net, controller)
    path, x = pinned.random(rng), features()
    torch.testing.assert_close(net(x, path), probe.module(x), rtol=1e-4, atol=1e-4)


def test_no_training_of_a_job_ends_below_the_probe_on_val(data: JobData, tmp_path: Path) -> None:
    result, _ = run_job(data, SETTINGS, folder=tmp_path, seed=0, device=CPU)
    assert result["probe_start"] is True
    assert json.loads((tmp_path / "config.json").read_text())["probe_start"] is True
    history = read_history(tmp_path / "history.jsonl")
    (control,) = (record for record in history if record["kind"] == "control")
    trainings = [record for record in history if record["kind"] == "retraining"]
    assert len(trainings) == 4
    for record in trainings:
        assert record["curve"][0] == {"epoch": 0, "val_score": pytest.approx(control["val"]["auroc"], abs=1e-6)}
        assert record["val"]["auroc"] >= control["val"]["auroc"] - 1e-6
        assert record["architecture"]["choices"]["head.shortcut"] is True
    assert control["seconds"] > 0
    assert not any(decision[0] == "head.shortcut" and False in decision[1] for decision in result["decisions"])
    audit = run_audit(data, SETTINGS, folder=tmp_path, seed=0, device=CPU, seeds=1, architectures=3)
    assert len(audit["ranking"]["architectures"]) == 3
