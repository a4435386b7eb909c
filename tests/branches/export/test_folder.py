"""Exported branches against the toolkit's own: branch.py without this toolkit, the ONNX file in onnxruntime."""

import ast
import json
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from branches.branch import Branch
from branches.errors import BranchError
from branches.export import folder as export
from branches.export.folder import export_branch
from branches.export.source import branch_source
from branches.probe import LinearProbe
from branches.saved import BranchRecord, save_branch
from search_spaces import Architecture, Space, macro_space, micro_space
from search_spaces.operations import ACTIVATIONS, OPERATIONS
from trunk.backbones.chain import build_small_cnn
from trunk.preprocessing import Preprocessing
from trunk.trunk import Trunk

SPACES = {
    "macro": macro_space(4, widths=(4, 6), activations=ACTIVATIONS),
    "micro": micro_space(3, widths=(4, 6), depths=(1, 2, 3), operations=OPERATIONS, activations=ACTIVATIONS),
}
SHAPE = (100, 4, 3)  # more channels than the head takes at full scale
ROOMS = ("subdatasets", "trunk", "search_spaces", "branches", "nas", "reports", "deployment", "graftnet", "label_graph")

ALONE = """
import importlib.abc, sys, json
import numpy as np
class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ROOMS:
            raise ImportError(f"this process has no {name}")
sys.meta_path.insert(0, Refuse())
sys.dont_write_bytecode = True
import importlib.util, torch
torch.set_num_threads(1)
spec = importlib.util.spec_from_file_location("branch", sys.argv[1] + "/branch.py")
branch = importlib.util.module_from_spec(spec)
spec.loader.exec_module(branch)
golden = np.load(sys.argv[1] + "/golden.npz")
with torch.no_grad():
    scores = branch.load()(torch.from_numpy(golden["features"]))
    one = branch.load(sys.argv[1])(torch.from_numpy(golden["features"][:1]))
assert not any(name.split(".")[0] in ROOMS for name in sys.modules), "the toolkit was imported"
print(json.dumps({"scores": scores.tolist(), "one": one.tolist(), "values": branch.VALUES,
                  "threshold": branch.THRESHOLD}))
"""


def chosen(space: Space, seed: int, **choices: object) -> Architecture:
    drawn = space.random(np.random.default_rng(seed))
    wanted = {**dict(drawn.choices), **choices}
    return space.architecture([decision.choices.index(wanted[decision.name]) for decision in space.decisions])


def lived_in(module: nn.Module, seed: int = 0) -> nn.Module:
    """As after a training: no weight or running statistic at its start."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in module.state_dict().items():
            if value.is_floating_point():
                shift = 0.2 * torch.randn(value.shape, generator=generator)
                value.add_(shift.abs() if "running_var" in name else shift)
    return module.eval()


def saved(seed: int, space: str = "macro", **choices: object) -> tuple[Branch, BranchRecord]:
    architecture = chosen(SPACES[space], seed, **choices)
    branch = Branch(architecture, SHAPE, 2, generator=torch.Generator().manual_seed(seed))
    lived_in(branch, seed)
    values = ("no", 'with "quotes"\nand lines')
    record = BranchRecord(
        "bald", values, SHAPE, 8, "f" * 64, threshold=0.41, architecture=architecture, metrics={"val": {"auroc": 0.9}}
    )
    return branch, record


@pytest.fixture(scope="module", params=SPACES)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Branch, Path]:
    deep = {"depth": 3} if request.param == "micro" else {}
    branch, record = saved(3, request.param, **{"head.pooling": "bilinear", "head.shortcut": True}, **deep)
    folder = tmp_path_factory.mktemp("exports")
    save_branch(folder / "saved", branch, record)
    return branch, export_branch(folder / "saved", folder / "bald")


def equal(found: object, expected: Tensor) -> None:
    np.testing.assert_allclose(np.asarray(found), expected.detach().numpy(), rtol=1e-4, atol=1e-7)


def test_branch_py_works_where_the_toolkit_cannot_be_imported(exported: tuple[Branch, Path], tmp_path: Path) -> None:
    branch, folder = exported
    script = f"ROOMS = {ROOMS!r}\n{ALONE}"
    done = subprocess.run(
        [sys.executable, "-I", "-c", script, str(folder)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    features = torch.from_numpy(np.load(folder / "golden.npz")["features"])
    with torch.no_grad():
        equal(answer["scores"], branch(features).softmax(1))
        equal(answer["one"], branch(features[:1]).softmax(1))
    assert answer["values"] == ["no", 'with "quotes"\nand lines']
    assert answer["threshold"] == 0.41


def test_the_onnx_file_gives_the_same_scores_for_any_batch(exported: tuple[Branch, Path]) -> None:
    branch, folder = exported
    session = onnxruntime.InferenceSession(str(folder / "branch.onnx"), providers=["CPUExecutionProvider"])
    assert [value.name for value in session.get_inputs()] == ["features"]
    assert [value.name for value in session.get_outputs()] == ["scores"]
    generator = torch.Generator().manual_seed(5)
    for batch in (1, 2, 7):
        features = torch.randn(batch, *SHAPE, generator=generator)
        with torch.no_grad():
            equal(session.run(None, {"features": features.numpy()})[0], branch(features).softmax(1))


def test_the_contract_says_what_is_in_the_folder(exported: tuple[Branch, Path]) -> None:
    branch, folder = exported
    contract = json.loads((folder / "branch.json").read_text())
    names = {"branch.py", "branch.onnx", "weights.safetensors", "golden.npz"}
    assert {path.name for path in folder.iterdir()} == {*names, "branch.json"}
    assert contract["files"] == {name: sha256((folder / name).read_bytes()).hexdigest() for name in names}
    assert Architecture.from_json(contract["architecture"]) == branch.architecture
    assert contract["input"] == {"name": "features", "shape": ["batch", *SHAPE], "dtype": "float32"}
    assert contract["parameters"] == sum(weight.numel() for weight in branch.parameters())
    assert (contract["fingerprint"], contract["freeze_depth"], contract["source"]) == ("f" * 64, 8, "branch.py")
    golden = np.load(folder / "golden.npz", allow_pickle=False)
    assert golden["features"].shape == (8, *SHAPE)
    with torch.no_grad():
        assert np.array_equal(golden["scores"], branch(torch.from_numpy(golden["features"])).softmax(1).numpy())


def test_nothing_of_this_machine_is_written(exported: tuple[Branch, Path]) -> None:
    _, folder = exported
    for path in folder.iterdir():
        data = path.read_bytes()
        assert str(Path.cwd()).encode() not in data
        assert str(folder).encode() not in data
        assert b"site-packages" not in data


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("seed", range(24))
def test_the_source_of_any_architecture_computes_the_same(seed: int, space: str) -> None:
    branch, record = saved(seed, space)
    text, weights = branch_source(branch, record)
    module = compile(ast.parse(text), "branch.py", "exec")
    names: dict[str, object] = {"__file__": "branch.py", "__name__": "branch"}
    exec(module, names)
    standalone: nn.Module = names["Branch"]()  # type: ignore[operator]
    standalone.load_state_dict(weights)
    features = torch.randn(3, *SHAPE, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        equal(standalone.eval()(features), branch(features).softmax(1))
    assert max(len(line) for line in text.splitlines()) <= 120
    assert "import branches" not in text


@pytest.mark.parametrize("kind", ["tail", "linear_probe"])
def test_a_control_is_exported_too_a_probe_without_source(kind: str, tmp_path: Path) -> None:
    if kind == "tail":
        trunk = Trunk("small_cnn", build_small_cnn(), Preprocessing(16))
        shape, depth = trunk.feature_shape(5), 5
        module: nn.Module = trunk.tail(5, 3, generator=torch.Generator().manual_seed(0))
    else:
        shape, depth = (12, 2, 2), 4
        module = LinearProbe(12, 3)
    record = BranchRecord("age", ("a", "b", "c"), shape, depth, "e" * 64, kind=kind, backbone="small_cnn")
    lived_in(module)
    save_branch(tmp_path / "saved", module, record)
    folder = export_branch(tmp_path / "saved", tmp_path / "out")
    contract = json.loads((folder / "branch.json").read_text())
    source = ["branch.py"] if kind == "tail" else []
    assert contract["source"] == (source[0] if source else None)
    assert contract["architecture"] == {kind: True}
    assert sorted(contract["files"]) == ["branch.onnx", *source, "golden.npz", "weights.safetensors"]
    features = torch.randn(2, *shape, generator=torch.Generator().manual_seed(1))
    session = onnxruntime.InferenceSession(str(folder / "branch.onnx"), providers=["CPUExecutionProvider"])
    with torch.no_grad():
        equal(session.run(None, {"features": features.numpy()})[0], module(features).softmax(1))


def test_a_wrong_export_is_not_put_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    branch, record = saved(0)

    def without_shift(module: Branch, about: BranchRecord) -> tuple[str, dict[str, Tensor]]:
        text, weights = branch_source(module, about)
        return text, {**weights, "linear.bias": weights["linear.bias"] + torch.tensor([0.0, 1.0])}

    monkeypatch.setattr(export, "branch_source", without_shift)
    monkeypatch.setattr(export, "write_onnx", lambda *_, **__: _[2].write_bytes(b""))
    monkeypatch.setattr(export, "run_onnx", lambda path, features: [branch(features).softmax(1).detach()])
    with pytest.raises(RuntimeError, match=r"branch\.py differs"):
        export_branch((branch, record), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_golden_features_of_another_shape_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BranchError, match="golden features"):
        export_branch(saved(0), tmp_path / "out", golden=torch.zeros(8, 3, 3, 3))


def test_the_source_of_a_wide_cell_keeps_its_lines_short() -> None:
    space = micro_space(14, widths=(4,))
    architecture = space.architecture([0] * len(space.decisions))  # every node reads input 0 alone: all are loose
    branch = lived_in(Branch(architecture, SHAPE, 2))
    record = BranchRecord("bald", ("no", "yes"), SHAPE, 8, "f" * 64, threshold=0.5, architecture=architecture)
    assert isinstance(branch, Branch)
    text, _ = branch_source(branch, record)
    assert max(len(line) for line in text.splitlines()) <= 120
    assert "merge(torch.cat(ends, dim=1))" in text
