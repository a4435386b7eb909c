"""One attribute's search: features, job, result, branch, in a folder named after what defines it."""

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from branches.folding import on_trunk
from branches.records import BranchRecord, save_branch
from branches.tails import tail_branch
from foundation.files import jsonable, write_json
from foundation.locks import only_one
from foundation.progress import Progress
from foundation.provenance import identity_of, machine, this_command, timestamp, versions
from graftnet.compression import codec_key, require_codec, tail_on
from graftnet.config import Config
from graftnet.errors import ConfigError
from graftnet.features_file import read_features_file
from graftnet.featuring import Announce, estimate_cache, featured, fill_cache
from graftnet.image_records import image_files, record_images
from graftnet.plans import SearchPlan, described, plan_search
from graftnet.project import Project
from graftnet.scored_images import ImageFile
from graftnet.settings import job_settings
from graftnet.trunks import open_trunk
from graftnet.warming import about_start, prepare_start, warmed
from nas.calibrating import calibrated_winner
from nas.job import run_job
from nas.kept_scores import read_scores
from nas.settings import BY_HAND, JobData, JobSettings, TailBuilder
from nas.warm_start import Start
from search_spaces import Architecture
from subdatasets.contents import content_hash
from subdatasets.subdataset import read_subdataset
from trunk.cache_estimate import Estimate
from trunk.errors import TrunkError
from trunk.features import LabelledFeatures
from trunk.trunk import Trunk


def cache_features(
    project: Project,
    attributes: Sequence[str],
    *,
    device: torch.device,
    announce: Announce | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Compute what is missing of the features of these attributes' images."""
    seed = project.config.project.seed
    subdatasets = [read_subdataset(project.source(name), seed=seed) for name in attributes]
    return fill_cache(project, open_trunk(project, device), subdatasets, announce=announce, progress=progress)


def estimate_features(project: Project, attributes: Sequence[str], *, device: torch.device) -> Estimate:
    """What :func:`cache_features` would take."""
    seed = project.config.project.seed
    subdatasets = [read_subdataset(project.source(name), seed=seed) for name in attributes]
    return estimate_cache(project, open_trunk(project, device), subdatasets)


def search_attribute(
    project: Project,
    attribute: str,
    *,
    seed: int,
    device: torch.device,
    progress: Progress | None = None,
    force: bool = False,
) -> Path:
    """Search one attribute's branch, or continue, or return the current result: :func:`carry_out` what is planned."""
    trunk = open_trunk(project, device)
    plan = plan_search(project, trunk, attribute, seed=seed, device=device)
    return carry_out(plan, trunk, device=device, progress=progress, force=force)


def carry_out(
    plan: SearchPlan,
    trunk: Trunk | None = None,
    *,
    device: torch.device,
    progress: Progress | None = None,
    force: bool = False,
    patience: float = 0.0,
    announce: Announce | None = None,
    observe: Callable[[Path, Progress | None], Progress] | None = None,
) -> Path:
    """Do a planned search, or what is left of it; a finished one is returned as it is unless ``force``.

    Args:
        trunk: the project's, where it is open already.
        patience: seconds to wait for another process that is at work in the search's folder.
        announce: hears what filling the cache takes, before it begins.
        observe: told the search's folder before it begins, wraps ``progress``.

    Returns:
        The folder with ``result.json``, ``architecture.json``, ``history.jsonl``, ``config.json`` and ``branch/``.
    """
    if plan.finished and not force:
        plan.make_newest()
        return plan.folder
    started = time.perf_counter()
    if plan.finished or not plan.folder.is_dir():
        plan = warmed(plan)
    if observe:
        progress = observe(plan.folder, progress)
    project, subdataset = plan.project, plan.subdataset
    trunk = trunk or open_trunk(project, device)
    job = job_data(plan, trunk, announce=announce, progress=progress)
    seconds = time.perf_counter() - started
    origin = {
        "data": {"digest": plan.identity["data"], "counts": subdataset.counts()},
        "trunk": {
            "backbone": trunk.backbone,
            "size": trunk.preprocessing.size,
            "blocks": len(trunk.chain),
            "shapes": [list(shape) for shape in trunk.shapes],
            "name": project.current_trunk.name,
        },
        **codec_key(job.train),
        **about_start(plan),
    }
    with only_one(plan.folder, patience=patience):
        return finish(
            job,
            plan.settings,
            plan.folder,
            plan.identity,
            origin,
            begin=partial(prepare_start, plan),
            files=image_files(plan),
            pictures=project.config.project.pictures,
            command=plan.command,
            seconds=seconds,
            device=device,
            progress=progress,
            force=force,
        )


def job_data(
    plan: SearchPlan, trunk: Trunk, *, announce: Announce | None = None, progress: Progress | None = None
) -> JobData:
    """The features and the tail of a planned search; what is missing of the features is computed.

    Raises:
        TrunkError: the search was planned on another trunk.
    """
    subdataset, depth = plan.subdataset, plan.depth
    values = subdataset.attribute.values
    if trunk.fingerprint != plan.identity["fingerprint"]:
        raise TrunkError(
            f"The search of {plan.attribute} was planned on trunk {plan.identity['fingerprint'][:12]}, but the trunk "
            f"in use is now {trunk.fingerprint[:12]}; call again to plan anew."
        )
    splits = featured(
        plan.project,
        trunk,
        subdataset,
        hashes=plan.hashes,
        precision=plan.identity["feature_precision"],
        announce=announce,
        progress=progress,
    )
    return JobData(
        plan.attribute,
        values,
        splits["train"],
        splits["val"],
        splits["test"] if len(splits["test"]) else None,
        tail_on(splits["train"], lambda generator: trunk.tail(depth, len(values), generator=generator))
        if depth < len(trunk.chain)
        else None,
        chosen_builder(plan, trunk, splits["train"]),
    )


def chosen_builder(plan: SearchPlan, trunk: Trunk, train: LabelledFeatures) -> TailBuilder | None:
    """What builds the branch that was chosen by hand; None where it is searched."""
    if not plan.by_hand:
        return None
    space, values = plan.settings.space, len(plan.subdataset.attribute.values)
    architecture = space.architecture([0] * len(space.decisions))
    return tail_on(train, lambda generator: tail_branch(trunk, architecture, values, generator=generator))


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
    """Search on arrays of the user's own (see :func:`graftnet.features_file.read_features_file`); there is no tail."""
    started = time.perf_counter()
    values, splits = read_features_file(path)
    if config.branch.kind == "tail":
        raise ConfigError("Features from a file have no backbone, so no tail; search them with --branch searched.")
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
            job,
            settings,
            place,
            identity,
            origin,
            command=this_command(),
            seconds=seconds,
            device=device,
            progress=progress,
            force=force,
        )


def finish(
    job: JobData,
    settings: JobSettings,
    folder: Path,
    identity: dict[str, Any],
    origin: dict[str, Any],
    *,
    begin: Callable[[], Start | None] | None = None,
    files: Mapping[str, Sequence[ImageFile]] | None = None,
    pictures: bool = True,
    command: str,
    seconds: float,
    device: torch.device,
    progress: Progress | None,
    force: bool,
) -> Path:
    """Run the job in its folder and write what it found; ``result.json`` comes last and makes the search finished.

    The caller holds the folder (:func:`foundation.locks.only_one`). ``begin`` gives what a warm search starts from,
    ``files`` the images of each split, where the features are of images, and ``pictures`` whether any may be kept.
    """
    if (folder / "result.json").exists():
        if not force:
            return folder
        # An unfinished search is continued, forced or not: a killed `--force` does not begin again.
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    require_codec(folder / "config.json", origin)
    setting = {
        "space": settings.space.name,
        "space_settings": jsonable(settings.space.settings),
        "decisions": [[d.name, list(d.choices), d.kind] for d in settings.space.decisions],
        "reward": settings.search.reward,
        "strategy": settings.strategy,
        "feature_shape": list(job.train.trunk_shape),
    }
    about = {"command": command, "versions": versions(), "machine": machine(device)}
    write_json(folder / "config.json", {**identity, **setting, **origin, **about})
    start = begin() if begin else None
    result, branch = run_job(
        job, settings, folder=folder, seed=identity["seed"], device=device, start=start, progress=progress
    )
    result["seconds"] = {"features": seconds, **result["seconds"]}
    result["seconds"]["total"] = sum(result["seconds"].values())
    calibration, result["calibration"] = calibrated_winner(job, read_scores(folder))
    write_json(folder / "architecture.json", result["architecture"])
    deployed = on_trunk(branch, job.train.features)
    record = BranchRecord(
        attribute=job.attribute,
        values=job.values,
        feature_shape=job.train.trunk_shape,
        freeze_depth=identity["freeze_depth"] or 0,
        fingerprint=identity["fingerprint"] or "",
        threshold=result["val"]["threshold"],
        kind="tail" if settings.strategy == BY_HAND else "branch",
        architecture=Architecture.from_json(result["architecture"]),
        backbone=origin["trunk"]["backbone"] if settings.strategy == BY_HAND else None,
        metrics={"val": result["val"], "test": result["test"]},
        calibration=calibration,
    )
    save_branch(folder / "branch", deployed, record)
    threshold = result["val"]["threshold"]
    record_images(job, folder, branch, files, threshold=threshold, device=device, pictures=pictures)
    keys = ("attribute", "values", "fingerprint", "freeze_depth", "views", "storage", "seed")
    shown = {key: identity[key] for key in keys if key in identity}
    created = timestamp()
    write_json(
        folder / "result.json",
        {**shown, **setting, **result, **origin, **about, "created": created, "status": "complete"},
    )
    return folder
