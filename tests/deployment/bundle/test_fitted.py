"""Bundles whose trunk reads rectangles, cropped or padded, of JPEGs decoded at a smaller scale: all ways say the same.

The toolkit, the runtime, the runtime as one file, the server, Triton's ensemble, torch source and torch.export.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image

from branches.grafting import GraftedNet
from deployment.bundle import write_bundle
from deployment.bundle.variants import Took, Trial, try_variant
from deployment.runtime import Runtime
from deployment.runtime.files import read_golden
from deployment.runtime.images import FORMATS, enough_for, normalised, pixels_of
from deployment.serve.decoding import decode
from deployment.targets.pt2 import write_pt2
from deployment.targets.torch_source import write_source
from deployment.targets.triton import play, read_config, write_repository
from subdatasets.persons.crops import Crop
from tests.deployment.bundles import save_small, small_trunk
from tests.deployment.odd_images import odd_images
from tests.deployment.serve.conftest import serving
from trunk.preprocessing import Preprocessing
from trunk.trunk import Trunk

SHAPED = {
    "squash": Preprocessing((24, 16), decoding="scaled"),
    "crop": Preprocessing((16, 28), fit="crop", crop=0.875, interpolation="bicubic", decoding="scaled"),
    "pad": Preprocessing((32, 20), (0.4, 0.5, 0.6), (0.5,) * 3, fit="pad", decoding="scaled"),
    "square": Preprocessing(20, fit="pad", white=1023),
}
GRAFTS = {"bald": (("no", "yes"), 4), "age.group": (("young", "old", "oldest"), 3)}


class Home(NamedTuple):
    """A trunk with its bundle, the saved branches, and the pictures."""

    trunk: Trunk
    bundle: Path
    saved: Path
    pictures: list[Path]

    @property
    def net(self) -> GraftedNet:
        net = GraftedNet(self.trunk)
        for name in GRAFTS:
            net.graft_saved(self.saved / name)
        return net


@pytest.fixture(scope="module", params=SHAPED)
def home(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Home:
    folder = tmp_path_factory.mktemp(request.param)
    square = small_trunk(0)
    trunk = Trunk(square.backbone, square.chain, SHAPED[request.param])
    saved = [
        save_small(folder / "saved", trunk, name, seed=seed, values=values, depth=depth)
        for seed, (name, (values, depth)) in enumerate(GRAFTS.items())
    ]
    bundle = write_bundle(trunk, saved, folder / "bundle")
    return Home(trunk, bundle, folder / "saved", odd_images(folder / "images"))


def images_of(home: Home) -> torch.Tensor:
    own = home.trunk.preprocessing
    return torch.stack([own.apply(own.read(path)) for path in home.pictures])


def expected(home: Home) -> list[dict[str, list[float]]]:
    """What the toolkit says of every picture."""
    with torch.no_grad():
        scores = home.net(images_of(home))
    return [{name: scores[name][row].tolist() for name in GRAFTS} for row in range(len(home.pictures))]


def agree(rows: list[dict[str, Any]], home: Home) -> None:
    found = [{name: list(row["attributes"][name]["scores"].values()) for name in GRAFTS} for row in rows]
    for row, said in zip(found, expected(home), strict=True):
        for name in GRAFTS:
            np.testing.assert_allclose(row[name], said[name], rtol=1e-4, atol=1e-6)


def ask(client: Any, path: Path) -> dict[str, Any]:
    kind = next(kind.media_type for kind in FORMATS.values() if path.suffix in kind.suffixes)
    answer = client.post("/predict", content=path.read_bytes(), headers={"content-type": kind})
    assert answer.status_code == 200, answer.text
    (row,) = answer.json()["predictions"]
    return row  # type: ignore[no-any-return]


def test_pixels_are_the_toolkits_to_the_bit(home: Home) -> None:
    own, record = home.trunk.preprocessing, json.loads((home.bundle / "bundle.json").read_text())["preprocessing"]
    unit = record | {"mean": [0.0] * 3, "std": [1 / 255] * 3}  # numbers from 0 to 255 again
    plain = Preprocessing(**{**vars(own), "decoding": "full"})
    for path in home.pictures:
        with Image.open(path) as opened:
            image = pixels_of(opened, record.get("white"), enough_for(record))
        read = own.read(path)
        assert image.size == read.size
        assert np.array_equal(np.asarray(image), np.asarray(read)), path.name
        sent = decode(path.read_bytes(), max_pixels=10**6, white=record.get("white"), enough=enough_for(record))
        assert np.array_equal(np.asarray(sent), np.asarray(read)), path.name
        if own.fit != "pad":  # which fills with the mean
            assert np.array_equal(normalised(image, unit).round(), own.pixels(read).transpose(2, 0, 1)), path.name
        np.testing.assert_allclose(normalised(image, record), own.apply(read).numpy(), rtol=1e-5, atol=1e-5)
        if own.decoding == "scaled" and path.name == "turned6.jpg":
            assert read.size < plain.read(path).size  # it was decoded at a smaller scale


def test_the_runtime_says_what_the_toolkit_says(home: Home) -> None:
    runtime = Runtime(home.bundle, threads=1)
    assert all(check["ok"] for check in runtime.verify())
    agree(runtime.predict(home.pictures, batch_size=4), home)
    agree(Runtime(home.bundle, threads=1, graph="joined").predict(home.pictures), home)


def test_the_runtime_as_one_file_says_it_too(home: Home, tmp_path: Path) -> None:
    command = [sys.executable, "-I", "-B", str(home.bundle / "runtime.pyz")]
    subprocess.run([*command, "verify", str(home.bundle)], check=True, cwd=tmp_path, capture_output=True)
    named = [*command, "predict", *map(str, home.pictures)]
    done = subprocess.run(named, check=True, cwd=tmp_path, capture_output=True, text=True)
    agree([json.loads(line) for line in done.stdout.splitlines()], home)


def test_the_server_says_it_too_and_cuts_persons_out_of_the_whole_picture(home: Home) -> None:
    with serving(home.bundle, max_images=4) as client:
        rows = [ask(client, path) for path in home.pictures]
    agree(rows, home)

    def whole(image: np.ndarray) -> list[Crop]:
        seen.append(image.shape)
        return [Crop(image[10:150, 20:90], (20, 10, 90, 150), 0.9)]

    seen: list[tuple[int, ...]] = []
    path = next(path for path in home.pictures if path.name == "turned6.jpg")
    with serving(home.bundle, persons=whole) as client:
        row = ask(client, path)
    assert seen == [(410, 203, 3)]
    full = Preprocessing(**{**vars(home.trunk.preprocessing), "decoding": "full"})
    with torch.no_grad():
        person = full.apply(full.read(path).crop((20, 10, 90, 150)))[None]
        scores = home.net(person)
    found = row["persons"][0]["attributes"]
    for name in GRAFTS:
        np.testing.assert_allclose(list(found[name]["scores"].values()), scores[name][0], rtol=1e-4, atol=1e-6)


def test_every_target_keeps_the_shape(home: Home, tmp_path: Path) -> None:
    shape = [3, *home.trunk.preprocessing.shape]
    given = read_golden(home.bundle / "golden.npz", ["images"])[0]
    assert list(given.shape[1:]) == shape
    scores = Runtime(home.bundle, threads=1).scores_of_images(given)
    write_repository(home.bundle, tmp_path / "triton")
    assert read_config(tmp_path / "triton" / "graftnet")["input"][0]["dims"] == shape
    write_pt2(home.net, torch.from_numpy(given), tmp_path / "graftnet.pt2")
    write_source(home.trunk, home.bundle, tmp_path / "source")
    assert f"(N, 3, {shape[1]}, {shape[2]})" in (tmp_path / "source" / "trunk.py").read_text()
    with torch.no_grad():
        program = torch.export.load(tmp_path / "graftnet.pt2").module()(torch.from_numpy(given))
    for name in GRAFTS:
        np.testing.assert_allclose(play(tmp_path / "triton", given)[name], scores[name], rtol=1e-4)
        np.testing.assert_allclose(program[name], scores[name], rtol=1e-4)


def test_a_variant_is_calibrated_on_the_shape(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    took = {"plain": Took(2.0, 0.0), "variant": Took(1.0, 0.0)}
    monkeypatch.setattr("deployment.bundle.variants.timed", lambda sessions, images, rounds: took)
    bundle = write_bundle(home.trunk, [home.saved / name for name in GRAFTS], tmp_path / "bundle")
    images = np.random.default_rng(0).standard_normal((16, 3, *home.trunk.preprocessing.shape)).astype(np.float32)

    def labelled(name: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        yield images, np.arange(len(images)) % len(GRAFTS[name][0])

    trial = Trial(
        calibration=[images],
        labelled={name: partial(labelled, name) for name in GRAFTS},
        loss=1.0,
        rounds=1,
        threads=1,
    )
    outcome = try_variant(bundle, "int8", trial)
    assert outcome.kept, outcome.sentence
    assert all(check["ok"] for check in Runtime(bundle, threads=1).verify())
    assert len(Runtime(bundle, graph="int8", threads=1).predict(home.pictures)) == len(home.pictures)
