"""Adding and removing branches of a bundle: what else changes, and what a kill leaves."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from branches.export.folder import export_branch
from deployment.bundle import change as changes
from deployment.bundle import write_bundle
from deployment.bundle.change import add_branch, remove_branch
from deployment.bundle.joined import joined_graph
from deployment.errors import BundleError
from deployment.runtime import Runtime
from deployment.runtime.files import read_bundle, read_golden
from foundation.folders import file_hashes, replaced_folder
from tests.deployment.bundles import save_small, small_trunk


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """saved/{bald,hat,image}, other/hat (another architecture), bundle/ of bald and image."""
    home = tmp_path_factory.mktemp("changes")
    trunk = small_trunk(0)
    for number, name in enumerate(("bald", "hat", "image")):
        save_small(home / "saved", trunk, name, seed=number)
    save_small(home / "other", trunk, "hat", seed=9)
    write_bundle(trunk, [home / "saved" / "bald", home / "saved" / "image"], home / "bundle")
    shutil.copytree(home / "bundle", home / "with_hat")
    add_branch(home / "with_hat", home / "saved" / "hat")
    return home


@pytest.fixture
def bundle(home: Path, tmp_path: Path) -> Path:
    return shutil.copytree(home / "bundle", tmp_path / "bundle")


@pytest.fixture
def with_hat(home: Path, tmp_path: Path) -> Path:
    return shutil.copytree(home / "with_hat", tmp_path / "with_hat")


def contents(folder: Path) -> dict[str, str]:
    """SHA-256 of every file, by its path in the folder."""
    parts = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
    return {
        str((part / name).relative_to(folder)): digest for part in parts for name, digest in file_hashes(part).items()
    }


def joined_scores(folder: Path) -> dict[str, Any]:
    images = read_golden(folder / "golden.npz", ["images"])[0]
    session = onnxruntime.InferenceSession(str(folder / "graftnet.onnx"), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {session.get_inputs()[0].name: images}), strict=True))


def sound(folder: Path) -> list[str]:
    """The attributes of a bundle that verifies."""
    checks = Runtime(folder).verify()
    assert [check["problem"] for check in checks if not check["ok"]] == []
    return list(Runtime(folder).branches)


def test_an_added_attribute_adds_files_and_changes_the_index_and_the_joined_graph_alone(
    home: Path, with_hat: Path
) -> None:
    before, after = contents(home / "bundle"), contents(with_hat)
    assert {name for name in before if after.get(name) != before[name]} == {"bundle.json", "graftnet.onnx"}
    assert {name.split("/")[0] for name in after.keys() - before.keys()} == {"hat"}
    assert sound(with_hat) == ["bald", "image", "hat"]


def test_the_others_scores_are_the_same_to_the_bit(home: Path, with_hat: Path) -> None:
    old, new = joined_scores(home / "bundle"), joined_scores(with_hat)
    assert list(old) == ["bald", "image"]
    assert list(new) == ["bald", "image", "hat"]
    parts = Runtime(with_hat).scores_of_images(read_golden(with_hat / "golden.npz", ["images"])[0])
    for name, found in new.items():
        np.testing.assert_allclose(found, parts[name], rtol=1e-4)
        if name in old:
            np.testing.assert_array_equal(found, old[name])


def test_removing_what_was_added_gives_the_bundle_of_before(home: Path, with_hat: Path) -> None:
    remove_branch(with_hat, "hat")
    assert contents(with_hat) == contents(home / "bundle")
    assert sound(with_hat) == ["bald", "image"]


def test_a_branch_is_replaced_by_a_folder_of_its_own(home: Path, with_hat: Path) -> None:
    before = joined_scores(with_hat)
    assert add_branch(with_hat, home / "other" / "hat", card="# hat\n") == "hat"
    assert (with_hat / "hat.2" / "card.md").read_text() == "# hat\n"
    assert sound(with_hat) == ["bald", "image", "hat"]
    assert not (with_hat / "hat").exists()
    assert Runtime(with_hat).branches["hat"] == with_hat / "hat.2"
    after = joined_scores(with_hat)
    assert not np.allclose(after["hat"], before["hat"])
    np.testing.assert_array_equal(after["bald"], before["bald"])


def test_an_attribute_may_be_called_as_the_input_is(bundle: Path) -> None:
    model = joined_graph(bundle, read_bundle(bundle))
    assert [value.name for value in model.graph.input] == ["image_"]
    assert [value.name for value in model.graph.output] == ["bald", "image"]


def test_mistakes_are_named(home: Path, bundle: Path, tmp_path: Path) -> None:
    foreign = save_small(tmp_path, small_trunk(1), "hat")
    with pytest.raises(BundleError, match="was trained on trunk"):
        add_branch(bundle, foreign)
    shallow = save_small(tmp_path, small_trunk(0), "coat", depth=3)
    with pytest.raises(BundleError, match="sits after 3 blocks"):
        add_branch(bundle, shallow)
    with pytest.raises(BundleError, match="no branch 'coat'"):
        remove_branch(bundle, "coat")
    remove_branch(bundle, "image")
    with pytest.raises(BundleError, match="the only branch"):
        remove_branch(bundle, "bald")
    with pytest.raises(BundleError, match=r"no bundle\.json"):
        remove_branch(tmp_path, "bald")
    assert sound(bundle) == ["bald"]


class Killed(BaseException):
    """The process is gone: nothing after this happens, no clean-up either."""


def killed_at(step: int, change: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> bool:
    """Run a change and kill it before its `step`-th rename or removal; True when it came to its end before."""
    count = 0

    def dying(call: Callable[..., Any]) -> Callable[..., Any]:
        def instead(*arguments: Any, **keywords: Any) -> Any:
            nonlocal count
            count += 1
            if count > step:
                raise Killed
            return call(*arguments, **keywords)

        return instead

    with monkeypatch.context() as patch:
        for place, name in ((os, "replace"), (Path, "rename"), (Path, "unlink"), (shutil, "rmtree")):
            patch.setattr(place, name, dying(getattr(place, name)))
        try:
            change()
        except Killed:
            return False
    return True


def export_once(saved: Path, bundle: Path, ready: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Export the branch now, and copy it whenever it is to be exported again: that takes a second each time."""
    export_branch(saved, ready, golden=torch.from_numpy(read_golden(bundle / "bald" / "golden.npz", ["features"])[0]))

    def copy_ready(_: Path, destination: Path, *, golden: torch.Tensor) -> Path:
        with replaced_folder(destination, "branch.json") as written:
            shutil.copytree(ready, written, dirs_exist_ok=True)
        return destination

    monkeypatch.setattr(changes, "export_branch", copy_ready)


@pytest.mark.parametrize("kind", ["add", "replace", "remove"])
def test_a_kill_at_any_moment_leaves_the_old_or_the_new(
    kind: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = home / ("bundle" if kind == "add" else "with_hat")
    saved = home / ("other" if kind == "replace" else "saved") / "hat"
    export_once(saved, source, tmp_path / "ready", monkeypatch)
    old = joined_scores(source).get("hat")
    seen = set()
    for step in range(40):
        folder = shutil.copytree(source, tmp_path / str(step))

        def change(folder: Path = folder) -> None:
            if kind == "remove":
                remove_branch(folder, "hat")
            else:
                add_branch(folder, saved)

        ended = killed_at(step, change, monkeypatch)
        names = sound(folder)
        images = read_golden(folder / "golden.npz", ["images"])[0]
        found = Runtime(folder).scores_of_images(images).get("hat")
        unchanged = found is old if old is None or found is None else np.allclose(found, old)
        seen.add("old" if unchanged else "new")
        assert names[:2] == ["bald", "image"]
        if ended:
            break
    assert ended
    assert seen == {"old", "new"}


def test_a_change_that_was_cut_short_is_finished_by_the_next(
    home: Path, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_once(home / "saved" / "hat", bundle, tmp_path / "ready", monkeypatch)
    step = 0
    while "replaces" not in read_bundle(bundle)["joined"]:
        shutil.rmtree(bundle)
        shutil.copytree(home / "bundle", bundle)
        assert not killed_at(step, lambda: add_branch(bundle, home / "saved" / "hat"), monkeypatch)
        step += 1
    assert list(joined_scores(bundle)) == ["bald", "image"]
    remove_branch(bundle, "bald")
    assert sound(bundle) == ["image", "hat"]
    assert list(joined_scores(bundle)) == ["image", "hat"]
    assert not list(bundle.glob(".*"))


def test_what_a_cut_short_change_left_is_swept_by_the_next_and_nothing_else(
    home: Path, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_once(home / "saved" / "hat", bundle, tmp_path / "ready", monkeypatch)
    step = 0
    while not (bundle / "hat").is_dir() or "hat" in read_bundle(bundle)["branches"]:
        shutil.rmtree(bundle)
        shutil.copytree(home / "bundle", bundle)
        assert not killed_at(step, lambda: add_branch(bundle, home / "saved" / "hat"), monkeypatch)
        step += 1
    assert sound(bundle) == ["bald", "image"]  # unlisted, but known to be left by a change
    (bundle / "notes.txt").touch()
    remove_branch(bundle, "image")
    assert sorted(path.name for path in bundle.iterdir() if path.is_dir()) == ["bald"]
    assert [check["problem"] for check in Runtime(bundle).verify() if not check["ok"]] == [
        f"{bundle / 'notes.txt'} is not listed"
    ]
