"""Other forms of a bundle: Triton's model repository, torch source, torch.export; each gives the bundle's scores."""

import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from branches.grafting import GraftedNet
from deployment.bundle import write_bundle
from deployment.errors import BundleError
from deployment.runtime import Runtime
from deployment.runtime.files import read_golden
from deployment.targets.pt2 import require_no_pickle, write_pt2
from deployment.targets.torch_source import write_source
from deployment.targets.triton import Word, dumps, loads, play, read_config, write_repository
from foundation.errors import UserError
from tests.deployment.bundles import save_small, small_trunk


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("targets")
    trunk = small_trunk(0)
    saved = [
        save_small(home / "saved", trunk, "bald"),
        save_small(
            home / "saved", trunk, "age.group", seed=1, values=("young", "old", "oldest"), depth=3, threshold=None
        ),
    ]
    write_bundle(trunk, saved, home / "bundle")
    write_repository(home / "bundle", home / "triton")
    return home


def images(home: Path) -> np.ndarray:
    return read_golden(home / "bundle" / "golden.npz", ["images"])[0]


def test_the_ensemble_gives_the_bundles_scores(home: Path) -> None:
    found, expected = play(home / "triton", images(home)), Runtime(home / "bundle").scores_of_images(images(home))
    assert list(found) == list(expected)
    for name, scores in expected.items():
        np.testing.assert_allclose(found[name], scores, rtol=1e-5)


def test_the_repository_says_what_triton_asks_for(home: Path) -> None:
    ensemble = read_config(home / "triton" / "graftnet")
    assert (ensemble["platform"], ensemble["max_batch_size"]) == ("ensemble", 64)
    assert ensemble["output"][1] == {"name": "age.group", "data_type": "TYPE_FP32", "dims": [3]}
    steps = ensemble["ensemble_scheduling"]["step"]
    assert [step["model_name"] for step in steps] == ["trunk", "branch_bald", "branch_age.group"]
    assert steps[2]["input_map"] == [{"key": "features", "value": "trunk/block2"}]
    branch = read_config(home / "triton" / "branch_bald")
    assert (branch["platform"], branch["dynamic_batching"]) == ("onnxruntime_onnx", {})
    assert branch["parameters"] == {"key": "threshold", "value": {"string_value": "0.3"}}
    assert (home / "triton" / "branch_age.group" / "labels.txt").read_text().split() == ["young", "old", "oldest"]
    for model in (home / "triton").iterdir():
        assert (model / "1").is_dir()


def test_a_config_that_does_not_fit_its_model_is_refused(home: Path, tmp_path: Path) -> None:
    write_repository(home / "bundle", tmp_path / "triton")
    config = tmp_path / "triton" / "branch_bald" / "config.pbtxt"
    text = config.read_text()
    config.write_text(text.replace("dims: [2]", "dims: [3]"))
    with pytest.raises(BundleError, match="says its output is"):
        play(tmp_path / "triton", images(home))
    config.write_text(text.replace('"branch_bald"', '"bald"'))
    with pytest.raises(BundleError, match="is not that of its folder"):
        play(tmp_path / "triton", images(home))
    with pytest.raises(UserError, match="exists and holds no"):
        write_repository(home / "bundle", home / "saved")
    with pytest.raises(BundleError, match="is one branch"):
        write_repository(home / "bundle" / "bald", tmp_path / "out")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name", "nothing follows it"),
        ('name: "a" }', "behind the end"),
        ("a {", "is not closed"),
        ("a: [1, 2", "not in list"),
        ("a: $", "is no value"),
        ("3: 4", "is no field's name"),
        ("a 4", "neither a colon"),
        ('a: "open', "is no value|Unterminated"),
    ],
)
def test_text_that_is_no_message_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        loads(text)


def test_text_format_goes_round() -> None:
    message = {
        "a": 'quoted "word" ü',
        "b": [{"c": 1}, {"c": -2.5}],
        "d": [3, 4],
        "e": Word("TYPE_FP32"),
        "f": True,
        "g": {},
    }
    assert loads(dumps(message)) == message
    assert isinstance(loads(dumps(message))["e"], Word)


def test_source_runs_without_this_toolkit(home: Path, tmp_path: Path) -> None:
    write_source(small_trunk(0), home / "bundle", tmp_path / "source")
    expected = Runtime(home / "bundle").scores_of_images(images(home))
    script = f"""
import sys, numpy, torch
for name in ("branches", "trunk", "deployment", "timm", "torchvision", "onnx"):
    sys.modules[name] = None
sys.path.insert(0, {str(tmp_path / "source")!r})
import graftnet
net = graftnet.load()
images = torch.from_numpy(numpy.load({str(home / "bundle" / "golden.npz")!r})["images"])
with torch.no_grad():
    assert list(net(images, ["age.group"])) == ["age.group"]
    numpy.savez({str(tmp_path / "scores.npz")!r}, **{{name: found.numpy() for name, found in net(images).items()}})
"""
    subprocess.run([sys.executable, "-I", "-B", "-c", script], check=True)
    with np.load(tmp_path / "scores.npz") as found:
        for name, scores in expected.items():
            np.testing.assert_allclose(found[name], scores, rtol=1e-4)


def test_source_of_another_trunk_is_refused(home: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="is of trunk"):
        write_source(small_trunk(1), home / "bundle", tmp_path / "source")


def test_an_exported_program_holds_no_pickle_and_takes_any_batch(home: Path, tmp_path: Path) -> None:
    net = GraftedNet(small_trunk(0))
    for name in ("bald", "age.group"):
        net.graft_saved(home / "saved" / name)
    given = torch.from_numpy(images(home))
    write_pt2(net, given, tmp_path / "graftnet.pt2")
    assert [path.name for path in tmp_path.iterdir()] == ["graftnet.pt2"]
    module = torch.export.load(tmp_path / "graftnet.pt2").module()
    expected = Runtime(home / "bundle").scores_of_images(images(home))
    for rows in (given, given[:1], torch.cat([given] * 3)):
        found = module(rows)
        assert list(found) == ["bald", "age.group"]
        for name, scores in expected.items():
            np.testing.assert_allclose(found[name][:1].detach().numpy(), scores[:1], rtol=1e-4)


def test_an_exported_program_with_example_inputs_is_found_to_hold_a_pickle(tmp_path: Path) -> None:
    program = torch.export.export(torch.nn.Linear(2, 2), (torch.zeros(1, 2),))
    torch.export.save(program, tmp_path / "linear.pt2")
    with pytest.raises(RuntimeError, match="is a pickle"):
        require_no_pickle(tmp_path / "linear.pt2")
    with zipfile.ZipFile(tmp_path / "other.pt2", "w") as archive:
        archive.writestr("m/data/weights/model_weights_config.json", '{"config": {"w": {"use_pickle": true}}}')
    with pytest.raises(RuntimeError, match="holds w as a pickle"):
        require_no_pickle(tmp_path / "other.pt2")


def test_the_trunk_is_in_the_joined_graph_once(home: Path) -> None:
    joined, trunk = (onnx.load(str(home / "bundle" / name)) for name in ("graftnet.onnx", "trunk.onnx"))
    count = sum(node.output[0].startswith("trunk/") for node in joined.graph.node)
    assert count == len(trunk.graph.node)
    assert [entry.domain for entry in joined.opset_import] == [""]
