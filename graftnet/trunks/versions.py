"""The project's trunk: trained here or brought from elsewhere, kept as versions under runs/trunk."""

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from foundation.bounds import recorded
from foundation.history import Progress
from foundation.locks import only_one
from foundation.provenance import identity_of
from graftnet import __version__
from graftnet.project.config import CONFIG_NAME
from graftnet.project.folder import TREE, Project
from graftnet.project.settings import pretrain_settings
from graftnet.terminal.output import if_long
from graftnet.trunks.bring import bring, keep
from graftnet.trunks.inputs import chosen_input, require_input
from graftnet.trunks.served import Served, grafted, history, holding_tree, write
from graftnet.trunks.start import named, start_of
from subdatasets.subdataset import SubDataset, image_hashes
from trunk.errors import TrunkError
from trunk.precision import resolve_precision
from trunk.preprocessing import Preprocessing
from trunk.pretraining.loop import ALONE
from trunk.pretraining.methods import method_identity, method_of, training_of
from trunk.pretraining.ranks import Ranks
from trunk.pretraining.settings import PretrainSettings, settings_from
from trunk.trunk import Trunk


def train_trunk(
    project: Project, *, seed: int, device: torch.device, progress: Progress | None = None, ranks: Ranks = ALONE
) -> Path:
    """Pre-train the trunk on the project's attributes, or continue a training that was stopped.

    Several ranks train it together; they all see the project's folder, and the first one writes.

    A version is named after what defines it (data, settings, seed): the same call finds its own half-done work, and a
    finished version is not trained again.
    """
    if ranks.count > 1:  # what is brought is written once
        if ranks.first:
            start_of(project)
        ranks.wait()
    table, start = project.config.trunk, start_of(project)
    weights = start.load() if start else None
    preprocessing = chosen_input(project, weights.preprocessing if weights else None)
    names = list(table.attributes) or project.questions()
    subdatasets = [project.read(name) for name in names]
    hashes = image_hashes(
        subdatasets, progress=if_long(progress) if progress and ranks.first else None, memory=project.memory
    )
    settings = settings_from(pretrain_settings(project.config), weights=weights is not None)
    settings = replace(settings, precision=resolve_precision(settings.precision, device))
    identity = {
        "backbone": table.backbone,
        **input_identity(preprocessing),
        "settings": recorded(settings),
        "seed": seed,
        "data": {subdataset.attribute.name: subdataset.digest(hashes) for subdataset in subdatasets},
        **method_identity(project.config.trunk.method, vars(project.config.trunk)),
        **({"start": {"version": start.folder.name, "fingerprint": weights.fingerprint}} if start and weights else {}),
    }
    folder = project.trunks / identity_of(identity)
    with only_one(folder) if ranks.first else nullcontext():
        # The first rank looks for all: a file that it writes later must not surprise a slower one.
        finished = torch.tensor([int(ranks.first and (folder / "trunk.json").exists())], device=device)
        if not ranks.sum(finished).item():
            train_version(
                folder,
                subdatasets,
                preprocessing,
                settings,
                identity,
                hashes=hashes,
                seed=seed,
                device=device,
                progress=progress,
                ranks=ranks,
                start=weights,
            )
        if ranks.first:
            make_current(project, folder)
        ranks.wait()
    return folder


def input_identity(preprocessing: Preprocessing) -> dict[str, Any]:
    """What the input of a trunk that is trained from random weights adds to its version's identity."""
    record = preprocessing.to_json()
    usual = Preprocessing(preprocessing.size).to_json()
    return {"image_size": record["size"], **{key: value for key, value in record.items() if usual.get(key) != value}}


def train_version(
    folder: Path,
    subdatasets: list[SubDataset],
    preprocessing: Preprocessing,
    settings: PretrainSettings,
    identity: dict[str, Any],
    *,
    hashes: Mapping[Path, str],
    seed: int,
    device: torch.device,
    progress: Progress | None,
    ranks: Ranks,
    start: Trunk | None,
) -> None:
    """Train, or continue, one version in its folder."""
    training = training_of(identity)(
        subdatasets,
        identity["backbone"],
        preprocessing,
        settings,
        folder=folder / "training",
        seed=seed,
        device=device,
        ranks=ranks,
        hashes=hashes,
        start=start,
    )
    training.resume()
    trunk = training.run(progress=progress)
    if not ranks.first:
        return
    record = {
        **identity,
        "source": method_of(identity).source,
        "attributes": [subdataset.attribute.name for subdataset in subdatasets],
        "val_auroc": training.auroc,
        "seconds": round(training.seconds, 1),
        "version": __version__,
    }
    keep(trunk, folder, record)
    # The optimiser's state served the resuming alone; the history stays.
    training.checkpoint.unlink(missing_ok=True)


def use_trunk(project: Project, source: str) -> Path:
    """Take existing weights as the project's trunk; ``source`` as of :func:`~graftnet.trunks.bring.bring`."""
    return make_current(project, bring(project, source, for_use=True))


def make_current(project: Project, folder: Path) -> Path:
    """Use this version from now on, unless branches are grafted on another: they wait for `graftnet trunk switch`."""
    with holding_tree(project):
        now = project.current
        if not now or (now["version"] != folder.name and not grafted(project.tree)):
            write(project, Served(folder.name, now.get("tree", TREE)), history(project))
    return folder


def open_trunk(project: Project, device: torch.device) -> Trunk:
    """The trunk in use, on ``device``.

    ``trunk.weights`` in graftnet.toml names the source of a trunk that is taken on first use.
    """
    if project.config.trunk.weights and not project.current_trunk_file.exists():
        use_trunk(project, named(project, project.config.trunk.weights))
    trunk = Trunk.load(project.current_trunk)
    if trunk.backbone != project.config.trunk.backbone:
        raise TrunkError(
            f"The trunk in use is a {trunk.backbone}, but trunk.backbone in {project.folder / CONFIG_NAME} is "
            f"{project.config.trunk.backbone!r}; change the setting, or train or choose another trunk."
        )
    require_input(project, trunk.preprocessing)
    return trunk.to(device)
