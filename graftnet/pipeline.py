"""One attribute's search: features, job, result, branch, in a folder named after what defines it."""

import json
import os
import platform
import shlex
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from branches.records import BranchRecord, save_branch
from graftnet.config import Config
from graftnet.featuring import featured, fill_cache, read_features_file
from graftnet.locks import only_one
from graftnet.project import Project
from graftnet.settings import job_settings
from graftnet.trunks import identity_of, open_trunk
from nas.job import run_job
from nas.settings import JobData, JobSettings
from subdatasets.contents import content_hash
from subdatasets.subdataset import read_subdataset
from trunk.checkpoints import write_json
from trunk.feature_cache import Progress

PACKAGES = (
    "graftnet",
    "torch",
    "torchvision",
    "timm",
    "numpy",
    "scikit-learn",
    "nni",
    "pytorch-lightning",
    "onnxruntime",
)


def cache_features(
    project: Project, attributes: Sequence[str], *, device: torch.device, progress: Progress | None = None
) -> dict[str, Any]:
    """Compute what is missing of the features of these attributes' images."""
    seed = project.config.project.seed
    subdatasets = [read_subdataset(project.source(name), seed=seed) for name in attributes]
    return fill_cache(project, open_trunk(project, device), subdatasets, progress=progress)


def search_attribute(
    project: Project,
    attribute: str,
    *,
    seed: int,
    device: torch.device,
    progress: Progress | None = None,
    force: bool = False,
) -> Path:
    """Search one attribute's branch, or continue, or return the current result.

    A search's folder is named after what defines it (data, trunk, settings, seed): another call with the same finds it.

    Returns:
        The folder with ``result.json``, ``architecture.json``, ``history.jsonl``, ``config.json`` and ``branch/``.
    """
    started = time.perf_counter()
    subdataset = read_subdataset(project.source(attribute), seed=project.config.project.seed)
    trunk = open_trunk(project, device)
    depth = trunk.check_depth(project.config.trunk.freeze_depth)
    data = featured(project, trunk, subdataset, progress=progress)
    seconds = time.perf_counter() - started
    settings = job_settings(project.config, with_tail=depth < len(trunk.chain), device=device)
    identity = {
        "attribute": attribute,
        "values": list(subdataset.attribute.values),
        "data": data.digest,
        "order": data.order,
        "feature_precision": data.precision,
        "fingerprint": trunk.fingerprint,
        "freeze_depth": depth,
        "seed": seed,
        "device": device.type,
        **described(settings),
    }
    job = JobData(
        attribute,
        subdataset.attribute.values,
        data.splits["train"],
        data.splits["val"],
        data.splits["test"] if len(data.splits["test"]) else None,
        (lambda generator: trunk.tail(depth, len(subdataset.attribute.values), generator=generator))
        if depth < len(trunk.chain)
        else None,
    )
    origin = {
        "data": {"digest": data.digest, "counts": subdataset.counts()},
        "trunk": {
            "backbone": trunk.backbone,
            "size": trunk.preprocessing.size,
            "blocks": len(trunk.chain),
            "name": project.current_trunk.name,
        },
    }
    folder = project.searches(attribute) / identity_of(identity)
    with only_one(folder):
        return finish(
            job, settings, folder, identity, origin, seconds=seconds, device=device, progress=progress, force=force
        )


def search_features(
    path: Path,
    folder: Path,
    config: Config,
    *,
    seed: int,
    device: torch.device,
    progress: Progress | None = None,
    force: bool = False,
) -> Path:
    """Search on arrays of the user's own (see :func:`graftnet.featuring.read_features_file`); there is no tail."""
    started = time.perf_counter()
    values, splits = read_features_file(path)
    settings = job_settings(config, with_tail=False, device=device)
    digest = identity_of({"file": content_hash(path)})
    identity = {
        "attribute": path.stem,
        "values": list(values),
        "data": digest,
        "fingerprint": None,
        "freeze_depth": None,
        "seed": seed,
        "device": device.type,
        **described(settings),
    }
    counts = {
        split: {value: int((part.labels == index).sum()) for index, value in enumerate(values)}
        for split, part in splits.items()
    }
    job = JobData(path.stem, values, splits["train"], splits["val"], splits.get("test"))
    seconds = time.perf_counter() - started
    origin = {"data": {"digest": digest, "counts": counts}, "trunk": None}
    place = folder / identity_of(identity)
    with only_one(place):
        return finish(
            job, settings, place, identity, origin, seconds=seconds, device=device, progress=progress, force=force
        )


def finish(
    job: JobData,
    settings: JobSettings,
    folder: Path,
    identity: dict[str, Any],
    origin: dict[str, Any],
    *,
    seconds: float,
    device: torch.device,
    progress: Progress | None,
    force: bool,
) -> Path:
    """Run the job in its folder and write what it found; ``result.json`` comes last and makes the search finished.

    The caller holds the folder (:func:`graftnet.locks.only_one`).
    """
    if (folder / "result.json").exists():
        if not force:
            return folder
        # An unfinished search is continued, forced or not: a killed `--force` does not begin again.
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    command = shlex.join(["graftnet", *sys.argv[1:]])
    setting = {
        "space": settings.space.name,
        "space_settings": jsonable(settings.space.settings),
        "decisions": [[d.name, list(d.choices), d.kind] for d in settings.space.decisions],
        "reward": settings.search.reward,
        "strategy": settings.strategy,
        "feature_shape": list(job.train.features.shape),
    }
    about = {"command": command, "versions": versions(), "machine": machine(device)}
    write_json(folder / "config.json", {**identity, **setting, **origin, **about})
    result, branch = run_job(job, settings, folder=folder, seed=identity["seed"], device=device, progress=progress)
    result["seconds"] = {"features": seconds, **result["seconds"]}
    result["seconds"]["total"] = sum(result["seconds"].values())
    write_json(folder / "architecture.json", result["architecture"])
    record = BranchRecord(
        attribute=job.attribute,
        values=job.values,
        feature_shape=job.train.features.shape,
        freeze_depth=identity["freeze_depth"] or 0,
        fingerprint=identity["fingerprint"] or "",
        threshold=result["val"]["threshold"],
        architecture=branch.architecture,
        metrics={"val": result["val"], "test": result["test"]},
    )
    save_branch(folder / "branch", branch, record)
    shown = {key: identity[key] for key in ("attribute", "values", "fingerprint", "freeze_depth", "seed")}
    created = time.strftime("%Y-%m-%dT%H:%M:%S")
    write_json(
        folder / "result.json",
        {**shown, **setting, **result, **origin, **about, "created": created, "status": "complete"},
    )
    return folder


def described(settings: JobSettings) -> dict[str, Any]:
    """A job's settings as plain values: what names its folder, and what ``config.json`` shows."""
    values = {key: value for key, value in asdict_shallow(settings).items() if key != "space"}
    space = {"name": settings.space.name, "settings": jsonable(settings.space.settings)}
    return {"settings": {**values, "space": space}}


def asdict_shallow(settings: JobSettings) -> dict[str, Any]:
    """The fields of the settings, with nested settings as dictionaries."""
    return {
        key: asdict(value) if hasattr(value, "__dataclass_fields__") and key != "space" else value
        for key, value in vars(settings).items()
    }


def jsonable(values: Any) -> dict[str, Any]:
    """Tuples to lists, so that what is compared is what is read back."""
    result: dict[str, Any] = json.loads(json.dumps(dict(values)))
    return result


def versions() -> dict[str, str]:
    """The installed versions that a figure may depend on."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def machine(device: torch.device) -> str:
    """Processor, cores and device, as a figure's footnote."""
    cpuinfo = Path("/proc/cpuinfo")
    model = platform.processor() or platform.machine()
    if cpuinfo.exists():
        names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    accelerator = f", {torch.cuda.get_device_name(device)}" if device.type == "cuda" else ""
    return f"{model}, {os.cpu_count()} cores, {torch.get_num_threads()} threads{accelerator}"
