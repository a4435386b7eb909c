"""Variants of a joined graph: kept with their figures where they pay, refused with them where they do not."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from deployment.bundle import variants, write_bundle
from deployment.bundle.change import remove_branch
from deployment.bundle.variants import Took, Trial, timed, try_variant
from deployment.errors import BundleError
from deployment.runtime import Runtime
from deployment.runtime.files import read_bundle, read_golden
from tests.deployment.bundles import save_small, small_trunk

NAMES = ("bald", "hat")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("variants")
    trunk = small_trunk(0)
    saved = [save_small(home / "saved", trunk, name, seed=number) for number, name in enumerate(NAMES)]
    write_bundle(trunk, saved, home / "bundle")
    return home


@pytest.fixture
def bundle(home: Path, tmp_path: Path) -> Path:
    return shutil.copytree(home / "bundle", tmp_path / "bundle")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every variant takes half the time: what this machine is doing decides nothing here."""
    monkeypatch.setattr(
        "deployment.bundle.variants.timed",
        lambda sessions, images, rounds: {"plain": Took(2.0, 0.0), "variant": Took(1.0, 0.0)},
    )


def trial(bundle: Path, *, loss: float = 0.005, wrong: bool = False) -> Trial:
    """Random images, labelled as the bundle itself decides (wrong: as drawn), so that the float graph loses nothing."""
    rng = np.random.default_rng(0)
    images = rng.standard_normal((24, 3, 16, 16)).astype(np.float32)
    scores = Runtime(bundle).scores_of_images(images)

    def batches(name: str) -> Iterator[tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]]:
        positive = scores[name][:, 1]
        yield images, (positive >= np.median(positive)).astype(np.int64)

    labelled = {name: lambda name=name: batches(name) for name in NAMES}
    return Trial(calibration=[images[:8], images[8:]], labelled=labelled, loss=loss, rounds=1, threads=1)


def problems(folder: Path) -> list[Any]:
    return [check["problem"] for check in Runtime(folder).verify() if not check["ok"]]


@pytest.mark.usefixtures("quick")
def test_a_variant_is_kept_verified_and_used(bundle: Path) -> None:
    outcome = try_variant(bundle, "int8", trial(bundle, loss=0.5))
    assert outcome.kept, outcome.sentence
    part = read_bundle(bundle)["variants"]["int8"]
    assert (part["ratio"], part["measured"]["rounds"]) == (0.5, 1)
    assert part["latency_spread"] == {"plain": 0.0, "variant": 0.0}
    assert [check["branch"] for check in Runtime(bundle).verify()] == ["trunk", *NAMES, "joined", "int8"]
    assert problems(bundle) == []
    images = read_golden(bundle / "golden.npz", ["images"])[0]
    plain, other = Runtime(bundle).scores_of_images(images), Runtime(bundle, graph="int8").scores_of_images(images)
    largest = max(float(np.abs(other[name] - plain[name]).max()) for name in NAMES)
    assert largest == pytest.approx(part["largest_difference"], rel=1e-3)


@pytest.mark.parametrize("kind", ["fused", "float16"])
def test_a_variant_of_an_earlier_release_is_still_verified_and_used(bundle: Path, kind: str) -> None:
    shutil.copyfile(bundle / "graftnet.onnx", bundle / f"graftnet-{kind}-0.onnx")
    index = read_bundle(bundle)
    earlier = {"file": f"graftnet-{kind}-0.onnx", "sha256": index["joined"]["sha256"], "tolerance": 1e-4}
    (bundle / "bundle.json").write_text(json.dumps({**index, "variants": {kind: earlier}}))
    assert [check["branch"] for check in Runtime(bundle).verify()][-1] == kind
    assert problems(bundle) == []
    images = read_golden(bundle / "golden.npz", ["images"])[0]
    assert list(Runtime(bundle, graph=kind).scores_of_images(images)) == list(NAMES)
    remove_branch(bundle, "hat")
    assert not list(bundle.glob("graftnet-*"))


def test_what_is_not_faster_is_refused_and_leaves_nothing(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "deployment.bundle.variants.timed",
        lambda sessions, images, rounds: {"plain": Took(1.0, 0.5), "variant": Took(1.0, 0.0)},
    )
    before = {path: path.read_bytes() for path in bundle.rglob("*") if path.is_file()}
    outcome = try_variant(bundle, "int8", trial(bundle))
    assert not outcome.kept
    assert "1.00 ms against 1.00 ms" in outcome.sentence
    assert "on a busy machine: median rounds took up to 50% longer than the fastest" in outcome.sentence
    assert {path: path.read_bytes() for path in bundle.rglob("*") if path.is_file()} == before


@pytest.mark.usefixtures("quick")
def test_integers_state_what_each_attribute_loses(bundle: Path) -> None:
    outcome = try_variant(bundle, "int8", trial(bundle, loss=0.5))
    assert outcome.kept, outcome.sentence
    part = read_bundle(bundle)["variants"]["int8"]
    assert set(part["scores"]) == set(NAMES)
    assert all(said["images"] == 24 and said["auroc"]["float32"] == 1.0 for said in part["scores"].values())
    assert 0 < part["largest_difference"] < 0.2
    assert problems(bundle) == []


def test_one_image_decided_otherwise_is_no_loss(bundle: Path) -> None:
    images = np.zeros((4, 3, 16, 16), np.float32)
    labels = np.array([0, 0, 1, 1])

    class Session:
        """Scores of "yes", whatever the images are."""

        def __init__(self, *positive: float) -> None:
            self.scores = np.array([[1 - one, one] for one in positive], np.float32)

        def get_inputs(self) -> list[Any]:
            return [SimpleNamespace(name="image")]

        def run(self, *_: Any) -> list[Any]:
            return [self.scores]

    def lost(*positive: float) -> float:
        plain: Any = Session(0.1, 0.2, 0.8, 0.9)
        other: Any = Session(*positive)
        found: float = variants.loss(plain, other, "bald", 0.5, lambda: iter([(images, labels)]))["loss"]
        return found

    assert lost(0.1, 0.2, 0.45, 0.9) == 0  # one of the two that are positive
    assert lost(0.1, 0.2, 0.45, 0.4) == 0.25  # both
    assert lost(0.1, 0.2, 0.15, 0.9) == 0.25  # one, and a negative ranks above it: AUROC falls by a quarter
    assert lost(0.1, np.nan, 0.8, 0.9) == 1


@pytest.mark.usefixtures("quick")
def test_branches_that_lose_stay_in_float32_and_then_the_variant_is_refused(bundle: Path) -> None:
    outcome = try_variant(bundle, "int8", trial(bundle, loss=-1.0))
    assert not outcome.kept
    assert outcome.record["in_float32"] == list(NAMES)
    assert "more than -1.0 with its branch in float32" in outcome.sentence
    assert "variants" not in read_bundle(bundle)


@pytest.mark.usefixtures("quick")
def test_a_change_of_branches_drops_what_was_made_of_the_old_ones(bundle: Path) -> None:
    assert try_variant(bundle, "int8", trial(bundle, loss=0.5)).kept
    remove_branch(bundle, "hat")
    assert "variants" not in read_bundle(bundle)
    assert not list(bundle.glob("graftnet-*"))
    assert problems(bundle) == []


@pytest.mark.usefixtures("quick")
def test_a_changed_variant_is_found(bundle: Path) -> None:
    assert try_variant(bundle, "int8", trial(bundle, loss=0.5)).kept
    record = json.loads((bundle / "bundle.json").read_text())
    (bundle / record["variants"]["int8"]["file"]).write_bytes(b"something else")
    assert "changed since it was exported" in problems(bundle)[0]
    with pytest.raises(BundleError, match="changed since it was exported"):
        Runtime(bundle, graph="int8").load()


def test_mistakes_are_named(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(BundleError, match="no variant 'int4'; known: int8"):
        try_variant(bundle, "int4", Trial())
    with pytest.raises(BundleError, match="calibration images"):
        try_variant(bundle, "int8", Trial())
    with pytest.raises(BundleError, match="labelled images of every attribute"):
        try_variant(bundle, "int8", Trial(calibration=[np.zeros((1, 3, 16, 16), np.float32)]))
    with pytest.raises(BundleError, match="no graph 'int8' but parts, joined"):
        Runtime(bundle, graph="int8").load()
    with pytest.raises(BundleError, match="no CUDA provider"):
        Runtime(bundle, device="cuda").load()


class Session:
    """Takes the milliseconds it is told, one after the other, by the test's own clock."""

    def __init__(self, clock: list[float], took: list[float]) -> None:
        self.clock, self.took = clock, took

    def get_inputs(self) -> list[Any]:
        return [self]

    @property
    def name(self) -> str:
        return "images"

    def run(self, *_: object) -> None:
        self.clock[0] += self.took.pop(0) / 1000


def test_the_fastest_round_counts_and_the_spread_says_how_busy_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("deployment.bundle.variants.time.perf_counter", lambda: clock[0])
    sessions: Any = {"plain": Session(clock, [9, 9, 4, 8, 8]), "variant": Session(clock, [1, 1, 3, 3, 3])}
    found = timed(sessions, np.zeros((1, 3, 2, 2), np.float32), rounds=3)
    assert found["plain"] == pytest.approx((4.0, 1.0))
    assert found["variant"] == pytest.approx((3.0, 0.0))
