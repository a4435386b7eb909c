"""A project with a grafted branch of each kind on one version of the trunk, and a second version beside it."""

from pathlib import Path

import torch

from branches.branch import Branch
from branches.grafting import GraftedNet
from branches.probe import LinearProbe
from branches.saved import BranchRecord, save_branch
from graftnet.project.folder import Project, open_project
from graftnet.trunks.served import grafted, served
from graftnet.trunks.versions import open_trunk, train_trunk
from search_spaces import macro_space
from subdatasets.image_files import read_image
from subdatasets.importing.arrays import import_labels
from subdatasets.subdataset import read_subdataset
from tests.graftnet.searches.test_run import CONFIG, make_pictures
from trunk.trunk import Trunk

CPU = torch.device("cpu")
KINDS = {"bright": "branch", "corner": "tail", "shape": "linear_probe"}
VALUES = {"bright": ("no", "yes"), "corner": ("blue", "red"), "shape": ("a", "b", "c")}
DEPTH = 4


def make_grafts(folder: Path) -> Project:
    """Three attributes with freshly drawn branches in the tree; both versions of the trunk trained for a few steps."""
    torch.set_num_threads(1)
    folder.mkdir(exist_ok=True)
    (folder / "graftnet.toml").write_text(CONFIG)
    images, labels = make_pictures(72, 0)
    labels["shape"] = ["abc"[number % 3] for number in range(72)]
    import_labels(images, labels, folder / "data", splits=["train"] * 36 + ["val"] * 18 + ["test"] * 18)
    project = open_project(folder)
    train_trunk(project, seed=0, device=CPU)
    trunk = open_trunk(project, CPU)
    shape, generator = trunk.feature_shape(DEPTH), torch.Generator().manual_seed(0)
    space = macro_space(1, widths=(4,))
    architecture = space.architecture([0] * len(space.decisions))
    modules = {
        "bright": Branch(architecture, shape, 2, generator=generator),
        "corner": trunk.tail(DEPTH, 2, generator=generator),
        "shape": LinearProbe(shape[0], 3),
    }
    for name, kind in KINDS.items():
        record = BranchRecord(
            attribute=name,
            values=VALUES[name],
            feature_shape=shape,
            freeze_depth=DEPTH,
            fingerprint=trunk.fingerprint,
            threshold=0.5 if len(VALUES[name]) == 2 else None,
            kind=kind,
            architecture=architecture if kind == "branch" else None,
            backbone="small_cnn" if kind == "tail" else None,
            metrics={"val": None, "test": None},
        )
        save_branch(project.tree / name, modules[name], record)
    train_trunk(project, seed=1, device=CPU)
    return project


def open_tree(project: Project) -> GraftedNet:
    """The trunk in use with every grafted branch, both as they are served at one moment."""
    now = served(project)
    net = GraftedNet(Trunk.load(project.trunks / now.version))
    for folder in grafted(project.runs / now.tree).values():
        net.graft_saved(folder)
    return net


def predictions(project: Project) -> dict[str, torch.Tensor]:
    """What the served tree says of a few test images."""
    net = open_tree(open_project(project.folder))
    examples = read_subdataset(project.source("bright")).split("test")[:6]
    images = torch.stack([net.trunk.preprocessing.apply(read_image(one.path)) for one in examples])  # type: ignore[attr-defined]
    with torch.inference_mode():
        found: dict[str, torch.Tensor] = net(images)
    return found


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    """Whether all attributes are the same to the bit."""
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def all_differ(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    """Whether no attribute is as it was: none of the old branches is left."""
    return first.keys() == second.keys() and not any(torch.equal(first[name], second[name]) for name in first)
