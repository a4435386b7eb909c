"""A bundle that changes under a server: taken over when good, refused when not, and nobody is dropped."""

import hashlib
import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from deployment.errors import BundleError
from deployment.serve.loading import LoadedBundle, Reloader
from deployment.serve.metrics import Metrics
from tests.deployment.serve.bundles import ADDED, BRANCHES
from tests.deployment.serve.conftest import Client, Serving

Picture = Callable[..., bytes]
PNG = {"content-type": "image/png"}


@pytest.fixture
def served(bundle: Path, tmp_path: Path) -> Path:
    """A bundle's folder to change."""
    return shutil.copytree(bundle, tmp_path / "bundle")


def replace(folder: Path, by: Path) -> None:
    """As an export does it: whole, by renaming."""
    shutil.copytree(by, folder.with_name("next"))
    folder.rename(folder.with_name("before"))
    folder.with_name("next").rename(folder)
    shutil.rmtree(folder.with_name("before"))


def look(client: Client) -> None:
    """Two looks: the change is seen, and it has settled."""
    client.app.state.reloader.look()
    client.app.state.reloader.look()


def names(client: Client, picture: Picture) -> list[str]:
    answer = client.post("/predict", content=picture(), headers=PNG)
    return list(answer.json()["predictions"][0]["attributes"])


def test_a_new_branch_appears(served: Path, larger_bundle: Path, picture: Picture, serving: Serving) -> None:
    with serving(served) as client:
        before = client.post("/predict", content=picture(), headers=PNG).json()["predictions"][0]["attributes"]
        replace(served, larger_bundle)
        look(client)
        after = client.post("/predict", content=picture(), headers=PNG).json()["predictions"][0]["attributes"]
        assert list(after) == [*BRANCHES, ADDED]
        for name in BRANCHES:  # what was there before answers as before
            assert after[name]["scores"] == pytest.approx(before[name]["scores"], rel=1e-4)
        assert list(client.get("/attributes").json()["attributes"]) == [*BRANCHES, ADDED]
        assert "hat" in client.get("/openapi.json").text
        assert 'graftnet_reloads_total{result="loaded"} 1.0' in client.get("/metrics").text


def test_the_bundle_in_memory_outlives_its_folder(served: Path, picture: Picture, serving: Serving) -> None:
    with serving(served) as client:
        shutil.rmtree(served)
        assert names(client, picture) == list(BRANCHES)
        look(client)
        assert names(client, picture) == list(BRANCHES)
        assert "holds no bundle.json" in client.get("/readyz").json()["refused"]["problem"]


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def rewritten(key: str, value: object) -> Callable[[Path], object]:
    """A change of bundle.json: everything else fits it."""

    def change(folder: Path) -> None:
        record = json.loads((folder / "bundle.json").read_text())
        (folder / "bundle.json").write_text(json.dumps({**record, key: value}))

    return change


def climbing(folder: Path) -> None:
    record = json.loads((folder / "bundle.json").read_text())
    shutil.copytree(folder / "bald", folder.parent / "outside")
    record["branches"]["bald"]["folder"] = "../outside"
    (folder / "bundle.json").write_text(json.dumps(record))


def pickled(folder: Path) -> None:
    """Golden images as a pickled array, with a hash that fits."""
    np.savez(folder / "golden.npz", images=np.array([{"a": 1}], dtype=object))
    record = json.loads((folder / "bundle.json").read_text())
    record["files"]["golden.npz"] = hashlib.sha256((folder / "golden.npz").read_bytes()).hexdigest()
    (folder / "bundle.json").write_text(json.dumps(record))


TAMPERED: dict[str, tuple[Callable[[Path], object], str]] = {
    "trunk": (lambda folder: flip(folder / "trunk.onnx"), "changed since it was exported"),
    "branch": (lambda folder: flip(folder / "bald" / "branch.onnx"), "changed since it was exported"),
    "no-branch": (lambda folder: shutil.rmtree(folder / "bald"), "cannot be read"),
    "index-torn": (lambda folder: (folder / "bundle.json").write_text('{"format": 1, "bra'), "export it again"),
    "index-empty": (lambda folder: (folder / "bundle.json").write_text("{}"), "export it again"),
    "index-list": (lambda folder: (folder / "bundle.json").write_text("[]"), "export it again"),
    "index-gone": (lambda folder: (folder / "bundle.json").unlink(), "holds no bundle.json"),
    "other-trunk": (rewritten("fingerprint", "0" * 64), "trunk"),
    "preprocessing": (rewritten("preprocessing", {"size": -1}), "export it again"),
    "climbing": (climbing, "cannot be"),
    "climbing-file": (rewritten("files", {"../../etc/passwd": "0" * 64}), "cannot be"),
    "pickle": (pickled, "not what was exported"),
}


@pytest.mark.parametrize(("tamper", "said"), TAMPERED.values(), ids=TAMPERED)
def test_a_tampered_bundle_is_refused_at_the_start(served: Path, tamper: Callable[[Path], object], said: str) -> None:
    tamper(served)
    with pytest.raises(BundleError, match=said):
        Reloader(served, LoadedBundle, Metrics())


def test_a_bad_bundle_is_refused_once_the_old_one_stays_and_a_good_one_heals(
    served: Path, bundle: Path, larger_bundle: Path, picture: Picture, serving: Serving
) -> None:
    with serving(served) as client:
        flip(served / "bald" / "branch.onnx")
        look(client)
        look(client)
        assert names(client, picture) == list(BRANCHES)
        ready = client.get("/readyz")
        assert ready.status_code == 200
        assert "changed since it was exported" in ready.json()["refused"]["problem"]
        metrics = client.get("/metrics").text
        assert 'graftnet_reloads_total{result="refused"} 1.0' in metrics
        assert "graftnet_bundle_refused 1.0" in metrics
        replace(served, larger_bundle)
        look(client)
        assert names(client, picture) == [*BRANCHES, ADDED]
        assert client.get("/readyz").json()["refused"] is None
        assert "graftnet_bundle_refused 0.0" in client.get("/metrics").text


def test_a_copy_under_way_is_left_alone(served: Path) -> None:
    loads = []

    def load(folder: Path) -> LoadedBundle:
        loads.append(folder)
        return LoadedBundle(folder, threads=1)

    reloader = Reloader(served, load, Metrics())
    for step in range(3):
        (served / "growing").write_text("x" * step)
        reloader.look()
    assert len(loads) == 1
    reloader.look()
    reloader.look()
    assert len(loads) == 2


def test_a_request_under_way_ends_on_the_bundle_it_began_on(
    served: Path, larger_bundle: Path, picture: Picture, serving: Serving
) -> None:
    with serving(served) as client:
        old = client.app.state.reloader.current
        entered, let = threading.Event(), threading.Event()
        run = old.scores

        def slow(images: object, attributes: object) -> object:
            entered.set()
            assert let.wait(20)
            return run(images, attributes)

        old.scores = slow
        found: list[list[str]] = []
        asking = threading.Thread(target=lambda: found.append(names(client, picture)))
        asking.start()
        assert entered.wait(20)
        replace(served, larger_bundle)
        look(client)
        let.set()
        asking.join(20)
        assert found == [list(BRANCHES)]
        assert names(client, picture) == [*BRANCHES, ADDED]
