"""Plan and run one attribute's search: features, job, result, branch, in a folder named after what defines it."""

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from branches.compression import tail_on
from branches.tails import TailBuilder, tail_branch
from foundation.files import read_json_if_whole
from foundation.history import Progress
from foundation.locks import only_one
from foundation.provenance import identity_of, this_command
from foundation.records import is_plain_name
from graftnet.errors import ConfigError
from graftnet.project.config import Config, project_of
from graftnet.project.folder import Project, by_age
from graftnet.project.settings import job_settings, settings_on
from graftnet.searches.features import Announce, AttributeData, attribute_data, estimate_cache, fill_cache
from graftnet.searches.plan import SearchPlan, about_features
from graftnet.searches.standing import others_of
from graftnet.searches.warm_start import about_start, prepare_start, resumed, warmed
from graftnet.trunks.advice import Choice, chosen_depth, pinned
from graftnet.trunks.versions import open_trunk
from nas.job.origin import Origin, origin_of, settings_record
from nas.job.predictions import ImageFile
from nas.job.results import split_counts
from nas.job.run import run_job
from nas.settings import JobData
from nas.strategies.auto import resolved
from subdatasets.image_files import content_hash
from subdatasets.reading.rows import few_sentence
from subdatasets.splits import SPLITS
from trunk.errors import TrunkError
from trunk.features.estimate import Estimate
from trunk.features.npz import read_features_file
from trunk.features.source import FeatureSource
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
    subdatasets = [project.read(name) for name in attributes]
    return fill_cache(project, open_trunk(project, device), subdatasets, announce=announce, progress=progress)


def estimate_features(project: Project, attributes: Sequence[str], *, device: torch.device) -> Estimate:
    """What :func:`cache_features` would take."""
    return estimate_cache(project, open_trunk(project, device), [project.read(name) for name in attributes])


def plan_search(
    project: Project,
    trunk: Trunk,
    attribute: str,
    *,
    seed: int,
    device: torch.device,
    hashes: Mapping[Path, str] | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> SearchPlan:
    """Read the sub-dataset and hash its images; no image passes the trunk.

    Where a probe advises the depth, a search that is there, of another depth and the same otherwise, is planned again:
    it is current, and a probe made since makes nothing stale.

    Args:
        hashes: content hashes that are known already; only other images are looked for.
        force: it will be done anew, at the depth that is advised now.
        progress: hears the stage "images", of those that are new or were changed.

    Raises:
        DataError: the sub-dataset cannot be used. ConfigError, TrunkError: a setting cannot.
    """
    project = project_of(project, attribute)
    choice = chosen_depth(project, trunk.fingerprint, attribute)
    data = attribute_data(project, trunk, attribute, choice.depth, device=device, hashes=hashes, progress=progress)
    plan = plan_at(data, choice, seed=seed, device=device)
    if force or not choice.measured or plan.finished:
        return plan
    others = [
        plan_at(replace(data, depth=depth), choice, seed=seed, device=device)
        for depth in depths_before(project, trunk, attribute, choice.depth)
    ]
    there = [other for other in (plan, *others) if other.finished] or [
        other for other in (plan, *others) if other.folder.is_dir()
    ]
    return there[0] if there else plan


def depths_before(project: Project, trunk: Trunk, attribute: str, chosen: int) -> list[int]:
    """The other depths at which the attribute was searched on this trunk, finished ones first, the newest first."""
    finished = project.results(attribute)
    begun = by_age(project.searches(attribute).glob("*/config.json"))
    depths: list[int] = []
    for folder in [*reversed(finished), *(folder for folder in reversed(begun) if folder not in finished)]:
        config = read_json_if_whole(folder / "config.json")
        depth = config.get("freeze_depth")
        if config.get("fingerprint") == trunk.fingerprint and isinstance(depth, int) and depth in trunk.depths:
            depths.append(depth)
    return [depth for depth in dict.fromkeys(depths) if depth != chosen]


def plan_at(data: AttributeData, choice: Choice, *, seed: int, device: torch.device) -> SearchPlan:
    """The plan of a search of this data; ``choice``: the depth that an attribute not searched yet would read."""
    project, trunk = pinned(data.project, data.depth), data.trunk
    images = {split: len(data.subdataset.split(split)) for split in ("train", "val")}
    settings, auto = resolved(settings_on(project.config, trunk, device), images["train"], images["val"])
    identity = {
        **data.identity,
        "seed": seed,
        "device": device.type,
        **about_features(project.config.features),
        **settings_record(settings),
    }
    hashes, blocks = dict(data.hashes), len(trunk.chain)
    return resumed(
        SearchPlan(
            project,
            data.subdataset,
            hashes,
            settings,
            identity,
            this_command(),
            choice=choice,
            blocks=blocks,
            auto=auto,
        )
    )


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
    plan = plan_search(project, trunk, attribute, seed=seed, device=device, force=force)
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
    tell: Callable[[str], None] | None = None,
    observe: Callable[[Path, Progress | None], Progress] | None = None,
) -> Path:
    """Do a planned search, or what is left of it; a finished one is returned as it is unless ``force``.

    Args:
        trunk: the project's, where it is open already.
        patience: seconds to wait for another process that is at work in the search's folder.
        announce: hears what filling the cache takes, before it begins.
        tell: hears the stages of the job and what they will take.
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
    about = {
        "data": {
            "digest": plan.identity["data"],
            "counts": subdataset.counts(),
            **({"shared": plan.shared} if plan.shared else {}),
        },
        "trunk": {
            "backbone": trunk.backbone,
            "size": trunk.preprocessing.to_json()["size"],
            "blocks": len(trunk.chain),
            "shapes": [list(shape) for shape in trunk.shapes],
            "name": project.current_trunk.name,
        },
        "sequence": project.next_in_sequence(plan.attribute, plan.folder),
        **about_start(plan),
        **({"auto": plan.auto} if plan.auto else {}),
    }
    pictures = project.config.project.pictures
    origin = Origin(plan.identity, about, image_files(plan, trunk), pictures, plan.command, seconds)
    with only_one(plan.folder, patience=patience):
        if to_do(plan.folder, force=force):
            seed, start = plan.identity["seed"], prepare_start(plan)
            run_job(
                job,
                plan.settings,
                folder=plan.folder,
                seed=seed,
                device=device,
                start=start,
                origin=origin,
                progress=progress,
                others=() if force else others_of(project.searches(plan.attribute)),
                tell=tell,
            )
    return plan.folder


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
    precision = plan.identity["feature_precision"]
    data = AttributeData(plan.project, trunk, subdataset, plan.hashes, depth, precision)
    sources = bool(plan.settings.space.settings.get("sources"))
    splits = data.splits(sources=sources, announce=announce, progress=progress)
    return JobData(
        plan.attribute,
        values,
        splits["train"],
        splits["val"],
        splits["test"] if len(splits["test"]) else None,
        tail_on(splits["train"].features, lambda generator: trunk.tail(depth, len(values), generator=generator))
        if depth < len(trunk.chain)
        else None,
        chosen_builder(plan, trunk, splits["train"].features),
        trunk.backbone,
    )


def chosen_builder(plan: SearchPlan, trunk: Trunk, train: FeatureSource) -> TailBuilder | None:
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
    announce: Callable[[str], None] | None = None,
    progress: Progress | None = None,
    force: bool = False,
) -> Path:
    """Search on arrays of the user's own (see :func:`trunk.features.npz.read_features_file`); there is no tail.

    ``announce`` hears, before it begins, of splits with too few images of a value.
    """
    started = time.perf_counter()
    if not is_plain_name(path.stem):  # it names the attribute in records, which would not be read again
        raise ConfigError(f"{path.name!r} cannot name an attribute (hidden, or a device's name); rename the file.")
    values, splits = read_features_file(path)
    if config.branch.kind == "tail":
        raise ConfigError("Features from a file have no backbone, so no tail; search them with --branch searched.")
    asked = job_settings(config, with_tail=False, device=device)
    settings, auto = resolved(asked, len(splits["train"]), len(splits["val"]))
    job = JobData(path.stem, values, splits["train"], splits["val"], splits.get("test"))
    known = origin_of(job, settings, digest=identity_of({"file": content_hash(path)}), seed=seed, device=device)
    known = replace(known, about={**known.about, **({"auto": auto} if auto else {})})
    origin = replace(known, command=this_command(), seconds=time.perf_counter() - started)
    target = folder / identity_of(dict(known.identity))
    with only_one(target):
        if to_do(target, force=force):
            if announce and (few := few_sentence(job.attribute, split_counts(job))):
                announce(few)
            run_job(
                job,
                settings,
                folder=target,
                seed=seed,
                device=device,
                origin=origin,
                progress=progress,
                others=() if force else others_of(folder),
            )
    return target


def to_do(folder: Path, *, force: bool) -> bool:
    """Whether there is anything to do in a search's folder; with ``force`` a finished one is deleted first.

    An unfinished search is continued, forced or not: a killed `--force` does not begin again.
    """
    if not (folder / "result.json").exists():
        return True
    if force:
        shutil.rmtree(folder)
    return force


def image_files(plan: SearchPlan, trunk: Trunk) -> dict[str, list[ImageFile]]:
    """The images of each split in the order of its features, named as they lie in the project's folder."""
    home = plan.project.folder
    # A squashed picture's map lies on the whole of it; others are shown as the trunk saw them.
    fitted = None if trunk.preprocessing.fit == "squash" else trunk.preprocessing

    def named(path: Path) -> ImageFile:
        name = path.relative_to(home) if path.is_relative_to(home) else path
        return ImageFile(path, name.as_posix(), plan.hashes[path], trunk.preprocessing.white, fitted)

    return {split: [named(example.path) for example in plan.subdataset.split(split)] for split in SPLITS}
