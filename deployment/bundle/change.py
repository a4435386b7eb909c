"""Add a branch to a bundle, or take one out: no file of another branch changes, and a kill leaves the old or the new.

What a change writes beside the index: the branch's own folder, and `graftnet.onnx`, which is made from all parts. The
index is the moment of change: it is replaced last of the branches and first of the joined graph, whose old SHA-256 it
lists as `replaces` until the new graph lies in its place. Whoever reads in between finds every branch of the index; the
joined graph of before is put aside. The next change finishes one that was cut short.

Variants (`deployment.bundle.variants`) know the branches they were made of; they leave the bundle with a change.
"""

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import onnx
import torch

from branches.export.folder import export_branch
from branches.saved import load_branch
from deployment.bundle.joined import JOINED, joined_graph
from deployment.bundle.write import folder_for, listed
from deployment.errors import BundleError
from deployment.runtime.checks import graph_check, relative_error
from deployment.runtime.exported import Exported
from deployment.runtime.files import CHANGE, LEFTOVERS, left_by_change, listed_in, output_key, read_bundle, sha256_of
from foundation.files import replace_atomically, write_json
from foundation.locks import in_turn

PENDING = f".{JOINED}.next"


def add_branch(bundle: Path, saved: Path, *, card: str | None = None) -> str:
    """Export a saved branch (`branches.saved.save_branch`) into a bundle; returns its attribute.

    A branch of that attribute is replaced. `card`: Markdown to lie in its folder, as card.md. Raises: BundleError when
    it belongs to another trunk, or to a depth at which the bundle's trunk gives no map; RuntimeError when what was
    written does not give the toolkit's scores: then the bundle is as it was.
    """
    _, record = loaded = load_branch(saved)
    with changing(bundle) as index:
        if record.fingerprint != index["fingerprint"]:
            raise BundleError(
                f"branch {record.attribute!r} was trained on trunk {record.fingerprint}, that of {bundle} is "
                f"{index['fingerprint']}: search it again on this trunk"
            )
        key = output_key(record.to_json())
        if key not in index["outputs"]:
            averages = " and reads the averages of all before" if record.sources else ""
            raise BundleError(
                f"branch {record.attribute!r} sits after {record.freeze_depth} blocks{averages}, that trunk gives maps "
                f"after {', '.join(index['outputs'])}: export the whole bundle {bundle} again, with this branch"
            )
        exported = Exported(bundle)
        images, session = exported.golden_images(), exported.session(bundle / "trunk.onnx")
        features = session.run([index["outputs"][key]], {session.get_inputs()[0].name: images})
        folder = folder_for(record.attribute, index, bundle)
        announce(bundle, index, folder.name)
        try:
            export_branch(loaded, folder, golden=torch.from_numpy(features[0]))
            commit(bundle, index, {**index["branches"], record.attribute: listed(folder, card)})
        except RuntimeError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    return record.attribute


def remove_branch(bundle: Path, attribute: str) -> None:
    """Take a branch out of a bundle. Raises: BundleError when there is none of this name, or no other."""
    with changing(bundle) as index:
        if attribute not in index["branches"]:
            raise BundleError(f"there is no branch {attribute!r} in {bundle}; there are {', '.join(index['branches'])}")
        if len(index["branches"]) == 1:
            raise BundleError(f"{attribute!r} is the only branch of {bundle}: delete the folder instead")
        announce(bundle, index)
        commit(bundle, index, {name: part for name, part in index["branches"].items() if name != attribute})


def commit(bundle: Path, index: dict[str, Any], branches: dict[str, Any]) -> None:
    """Make these the bundle's branches, with a joined graph of them, once that graph is seen to give their scores."""
    new = {key: value for key, value in index.items() if key not in ("joined", "variants")} | {"branches": branches}
    replace_atomically(bundle / PENDING, lambda path: onnx.save(joined_graph(bundle, new), str(path)))
    joined = {"file": JOINED, "sha256": sha256_of(bundle / PENDING)}
    new["joined"] = joined
    _require_sound(bundle, new)
    old = index.get("joined")
    write_json(bundle / "bundle.json", {**new, "joined": {**joined, **({"replaces": old["sha256"]} if old else {})}})
    finish(bundle)
    kept = {part["folder"] for part in branches.values()}
    for part in index["branches"].values():
        if part["folder"] not in kept:
            shutil.rmtree(bundle / part["folder"], ignore_errors=True)
    for part in index.get("variants", {}).values():
        (bundle / part["file"]).unlink(missing_ok=True)


def finish(bundle: Path) -> dict[str, Any]:
    """The index, after a change that was cut short behind its index was brought to its end."""
    index = read_bundle(bundle)
    joined = index.get("joined")
    if joined and "replaces" in joined:
        if (bundle / PENDING).is_file() and sha256_of(bundle / PENDING) == joined["sha256"]:
            os.replace(bundle / PENDING, bundle / JOINED)
        elif not (bundle / JOINED).is_file() or sha256_of(bundle / JOINED) != joined["sha256"]:
            replace_atomically(bundle / JOINED, lambda path: onnx.save(joined_graph(bundle, index), str(path)))
        index["joined"] = {"file": JOINED, "sha256": sha256_of(bundle / JOINED)}
        write_json(bundle / "bundle.json", index)
    return index


@contextlib.contextmanager
def changing(bundle: Path) -> Iterator[dict[str, Any]]:
    """The index of a bundle that nobody else changes meanwhile; what earlier, cut-short changes left is cleared."""
    if not (bundle / "bundle.json").is_file():
        raise BundleError(f"{bundle} holds no bundle.json: name a bundle, or write one first")
    with in_turn(bundle):
        index = finish(bundle)
        for pattern in LEFTOVERS:
            for path in bundle.glob(pattern):
                _remove(path)
        _sweep(bundle)
        try:
            yield index
        except Exception:
            _sweep(bundle)
            raise
        _sweep(bundle)


def announce(bundle: Path, index: Mapping[str, Any], *coming: str) -> None:
    """Note what a change is about to write, and what is listed now: a kill may leave either unlisted."""
    write_json(bundle / CHANGE, {"names": sorted({*listed_in(index), *coming})})


def _sweep(bundle: Path) -> None:
    """Remove what an announced change has left unlisted, and its note."""
    if not (bundle / CHANGE).is_file():
        return
    for name in left_by_change(bundle) - listed_in(read_bundle(bundle)):
        _remove(bundle / name)
    (bundle / CHANGE).unlink()


def _require_sound(bundle: Path, index: dict[str, Any]) -> None:
    """Raises: RuntimeError when the pending joined graph, or a branch behind the trunk, gives other scores."""
    exported = Exported(bundle, index=index)
    check = graph_check(exported, "joined", {**index["joined"], "file": PENDING}, index["tolerance"])
    images = exported.golden_images()
    scores = exported.scores_of_images(images)
    for name, expected in exported.golden_scores(len(images)).items():
        if relative_error(scores[name], expected) > index["tolerance"]:
            raise RuntimeError(f"{name} does not give its golden scores behind the trunk of {bundle}")
    if not check["ok"]:
        raise RuntimeError(f"the joined graph of {bundle} does not give the branches' scores: {check['problem']}")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
