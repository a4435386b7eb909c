import itertools
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from foundation.errors import UserError
from subdatasets.subdataset import SubDataset
from tests.trunk.conftest import SIZE
from trunk.errors import TrunkError
from trunk.preprocessing import Preprocessing
from trunk.pretraining.loop import Pretraining, history_until
from trunk.pretraining.settings import PretrainSettings, learning_rate_at
from trunk.trunk import trunk_state

SETTINGS = PretrainSettings(
    steps=24, batch_size=8, warmup_steps=4, validate_every=12, checkpoint_every=5, precision="float32", flip=False
)


def start(
    subdatasets: list[SubDataset], folder: Path, settings: PretrainSettings = SETTINGS, seed: int = 0
) -> Pretraining:
    return Pretraining(subdatasets, "small_cnn", Preprocessing(SIZE), settings, folder=folder, seed=seed)


class KilledError(Exception):
    pass


def test_training_learns_what_tells_the_pictures_apart(subdatasets: list[SubDataset], tmp_path: Path) -> None:
    training = start(subdatasets, tmp_path, replace(SETTINGS, steps=60))
    trunk = training.run()
    assert set(training.auroc) == {"right", "dark"}
    assert min(training.auroc.values()) > 0.95
    records = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    losses = [record["loss"] for record in records if record["kind"] == "training"]
    assert losses[-1] < losses[0]
    assert not any("head" in name for name in trunk_state(trunk.chain))


def test_a_stopped_training_ends_like_an_uninterrupted_one(subdatasets: list[SubDataset], tmp_path: Path) -> None:
    settings = replace(SETTINGS, steps=40)
    whole = start(subdatasets, tmp_path / "whole", settings).run()

    def stop_at_20(_stage: str, done: int, _total: int, _figures: Mapping[str, float]) -> None:
        if done == 20:
            raise KilledError

    with pytest.raises(KilledError):
        start(subdatasets, tmp_path / "halves", settings).run(progress=stop_at_20)
    resumed = start(subdatasets, tmp_path / "halves", settings)
    assert resumed.resume()
    assert resumed.step == 15
    assert resumed.run().fingerprint == whole.fingerprint

    def records(name: str) -> list[dict[str, object]]:
        lines = (tmp_path / name / "history.jsonl").read_text().splitlines()
        return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]

    assert records("halves") == records("whole")


def test_seeds_decide(subdatasets: list[SubDataset], tmp_path: Path) -> None:
    settings = replace(SETTINGS, steps=4)
    prints = [
        start(subdatasets, tmp_path / str(n), settings, seed).run().fingerprint for n, seed in enumerate((0, 0, 1))
    ]
    assert prints[0] == prints[1] != prints[2]


def test_building_leaves_the_global_generator_alone(subdatasets: list[SubDataset], tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    start(subdatasets, tmp_path)
    assert torch.equal(torch.rand(3), expected)


def test_a_checkpoint_of_other_settings_is_refused(subdatasets: list[SubDataset], tmp_path: Path) -> None:
    start(subdatasets, tmp_path, replace(SETTINGS, steps=5)).run()
    other = start(subdatasets, tmp_path, replace(SETTINGS, steps=6))
    with pytest.raises(TrunkError, match="other settings; restore those settings"):
        other.resume()
    assert not start(subdatasets, tmp_path / "new").resume()


def test_divergence_is_one_sentence(subdatasets: list[SubDataset], tmp_path: Path) -> None:
    training = start(subdatasets, tmp_path, replace(SETTINGS, learning_rate=1e30, warmup_steps=0, gradient_clip=1e30))
    with pytest.raises(TrunkError, match=r"diverged by step 5 .* lower trunk.learning_rate"):
        training.run()


def test_learning_rate_warms_up_and_falls_to_zero() -> None:
    rates = [learning_rate_at(step, SETTINGS) for step in range(SETTINGS.steps)]
    assert rates[:4] == pytest.approx([0.25e-3, 0.5e-3, 0.75e-3, 1e-3])
    assert rates[14] == pytest.approx(0.5e-3)
    assert all(a > b for a, b in itertools.pairwise(rates[4:]))
    assert 0 < rates[-1] < 1e-5


def test_statistics_are_measured_anew_at_the_end_and_survive_a_resume(
    subdatasets: list[SubDataset], tmp_path: Path
) -> None:
    settings = replace(SETTINGS, steps=5)
    running = start(subdatasets, tmp_path / "running", settings).run()
    again = replace(settings, reestimate_images=40)
    training = start(subdatasets, tmp_path / "measured", again)
    measured = training.run()
    for name, value in trunk_state(measured.chain).items():
        assert torch.equal(value, trunk_state(running.chain)[name]) is not ("running" in name), name
    # The first layer's input does not depend on any weight: its mean is that of the 40 images of the mixture.
    images = torch.cat(list(training.mixture()))
    assert len(images) == 40
    first = measured.chain.get_submodule("block0.0")(images).mean(dim=(0, 2, 3))
    torch.testing.assert_close(trunk_state(measured.chain)["block0.1.running_mean"], first, rtol=1e-4, atol=1e-5)
    resumed = start(subdatasets, tmp_path / "measured", again)
    assert resumed.resume()
    assert resumed.run().fingerprint == measured.fingerprint


def test_settings_that_cannot_be_are_refused() -> None:
    for name, value in (("sampling", "often"), ("losses", "product"), ("batch_statistics", "image")):
        with pytest.raises(TrunkError, match=f"trunk.{name} must be one of .*, is '{value}'"):
            PretrainSettings(**{name: value})  # type: ignore[arg-type]
    with pytest.raises(TrunkError, match=r"trunk.erase must lie in \[0, 1\), is 1.5"):
        PretrainSettings(erase=1.5)


def test_no_clipping_is_no_clipping(subdatasets: list[SubDataset], tmp_path: Path) -> None:
    free, wide = (
        start(subdatasets, tmp_path / name, replace(SETTINGS, steps=3, gradient_clip=clip)).run()
        for name, clip in (("free", 0.0), ("wide", 1e9))
    )
    assert free.fingerprint == wide.fingerprint  # with a norm clipped to 0, nothing would be learnt


def test_a_history_shorter_than_its_checkpoint_says_is_refused(subdatasets: list[SubDataset], tmp_path: Path) -> None:
    start(subdatasets, tmp_path, replace(SETTINGS, steps=5)).run()
    path = tmp_path / "history.jsonl"
    whole = path.read_bytes()
    path.write_bytes(b"")
    with pytest.raises(UserError, match=rf"has 0 bytes where its checkpoint counts {len(whole)}"):
        start(subdatasets, tmp_path, replace(SETTINGS, steps=5)).resume()
    path.write_bytes(whole)
    assert start(subdatasets, tmp_path, replace(SETTINGS, steps=5)).resume()


def test_a_history_is_cut_behind_a_step_and_otherwise_left(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    lines = [json.dumps({"kind": "training", "step": step, "loss": 0.1}) + "\n" for step in (1, 2, 2, 3)]
    path.write_text("".join(lines))
    history_until(path, 2).append("training", step=3)
    assert path.read_text() == "".join(lines[:3]) + '{"kind": "training", "step": 3}\n'
