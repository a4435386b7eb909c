"""The study of one attribute's depth and recipe, planned from a project's settings."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from branches.compression import tail_on
from branches.tails import TailBuilder, tail_branch
from foundation.bounds import recorded
from foundation.files import jsonable
from foundation.history import Progress
from graftnet.errors import ConfigError
from graftnet.project.folder import Project
from graftnet.project.settings import SPACE_KEYS, depth_of, fit_settings, search_settings, tail_settings
from graftnet.searches.features import attribute_data
from graftnet.searches.plan import about_features
from graftnet.studies.plan import StudyPlan, TuneRequest, defining_options
from nas.tuning.depth import Depth, DepthObjective
from nas.tuning.depth_knobs import DEPTH_KNOBS, SEARCHED, SECONDS, DepthSettings, depth_knobs
from nas.tuning.knobs import Setting
from search_spaces.tail import tail_space
from subdatasets.reading.rows import few_sentence
from trunk.features.source import LabelledFeatures
from trunk.trunk import Trunk

if TYPE_CHECKING:
    from graftnet.searches.features import Announce

OPTIONS = ("second", "draws", "draw_epochs", "epochs", "with_tail")


def plan_depth(request: TuneRequest, project: Project, *, seed: int, device: torch.device) -> StudyPlan:
    """Read the attribute's sub-dataset and the project's settings.

    Raises:
        ConfigError, DataError, TrunkError, SearchError: something cannot be used.
    """
    from graftnet.trunks.versions import open_trunk

    attribute = str(request.attribute)
    project.source(attribute)
    trunk = open_trunk(project, device)
    depths = chosen_depths(trunk, request.depths, request.with_tail)
    settings = depth_settings(project, request)
    data = attribute_data(project, trunk, attribute, depths[-1], device=device)
    subdataset, of_data = data.subdataset, data.identity
    del of_data["freeze_depth"]  # that is what is tuned
    knobs = depth_knobs(depths, settings)
    identity = {
        **of_data,
        "depths": depths,
        "seed": seed,
        "device": device.type,
        **about_features(project.config.features),
        **defining_options(request, OPTIONS),
        "settings": jsonable(
            {**recorded(settings), "spaces": {name: dict(of) for name, of in settings.spaces.items()}}
        ),
        "knobs": [knob.to_json() for knob in knobs],
    }

    def make(announce: "Announce | None", progress: Progress | None) -> DepthObjective:
        # Tuning looks at train and val alone; test is left to the search that follows.
        seen = tuple(example for example in subdataset.examples if example.split != "test")
        part = replace(data, subdataset=replace(subdataset, examples=seen))
        splits = part.splits_at(depths, announce=announce, progress=progress)
        cuts = {depth: at_depth(project, trunk, depth, splits[depth]) for depth in depths}
        return DepthObjective(cuts, settings, seed, device)

    about = {
        "values": list(subdataset.attribute.values),
        "fingerprint": trunk.fingerprint,
        "backbone": trunk.backbone,
        "depths": depths,
        "depth_before": depth_of(project.config),
        "counts": subdataset.counts(),
        **defining_options(request, OPTIONS),
    }
    second = SECONDS[request.second]
    few = few_sentence(attribute, subdataset.counts())
    return StudyPlan(request, project, seed, identity, about, project.config.search.reward, second, make, few)


def chosen_depths(trunk: Trunk, asked: Sequence[int], with_tail: bool) -> list[int]:
    """The depths to try, ascending: those that were asked for, else all; a tail needs a block behind it.

    Raises:
        TrunkError, ConfigError: the backbone cannot be cut there, or leaves no tail.
    """
    depths = sorted({trunk.check_depth(depth) for depth in asked or trunk.depths})
    last = len(trunk.chain)
    if with_tail and last in depths:
        if asked:
            raise ConfigError(
                f"--depths names {last}, all blocks of {trunk.backbone}, which leaves no tail; leave that depth, or "
                "--with-tail, out."
            )
        depths.remove(last)
    return depths


def depth_settings(project: Project, request: TuneRequest) -> DepthSettings:
    """What all trials share, from graftnet.toml; what is tuned starts from there too."""
    config = project.config
    search = config.search
    limits = search_settings(config).limits
    widths = search.widths
    first: Setting = {
        **{name: getattr(getattr(config, knob.key[0]), knob.key[1]) for name, knob in DEPTH_KNOBS.items()},
        "freeze_depth": depth_of(config),
        "space": "tail" if config.branch.kind == "tail" and request.with_tail else search.space,
        "width": widths[len(widths) // 2],
        "pooling": search.poolings[0],
    }
    return DepthSettings(
        retrain=fit_settings(config),
        tail=tail_settings(config),
        spaces={name: space_settings(project, name) for name in SEARCHED},
        widths=widths,
        poolings=search.poolings,
        first=first,
        limits=limits,
        second=request.second,
        draws=request.draws,
        draw_epochs=request.draw_epochs,
        epochs=request.epochs,
        with_tail=request.with_tail,
        latency_batch=search.latency_batch,
    )


def space_settings(project: Project, name: str) -> Mapping[str, Any]:
    """A space's settings of [search] beside those that are tuned; operations only where the space has them all."""
    table = project.config.search
    tuned = ("nodes", "widths", "poolings")
    settings: dict[str, Any] = {key: getattr(table, key) for key in SPACE_KEYS[name] if key not in tuned}
    if not table.operations or name != table.space:
        del settings["operations"]  # the space's own: the other space's may be unknown to it
    if name == "micro":
        settings["depths"] = (table.depths if table.space == "micro" else ()) or tuple(range(1, table.cells + 1))
    return settings


def at_depth(project: Project, trunk: Trunk, depth: int, splits: Mapping[str, LabelledFeatures]) -> Depth:
    """The features at a depth, and the tail behind it."""
    train, values = splits["train"], splits["train"].values
    blocks = len(trunk.chain)

    def tail(pooling: str) -> TailBuilder:
        space = tail_space(
            depth,
            backbone=trunk.backbone,
            blocks=(blocks,),
            poolings=(pooling,),
            widths=(project.config.branch.width,),
        )
        architecture = space.architecture([0] * len(space.decisions))
        return tail_on(train.features, lambda generator: tail_branch(trunk, architecture, values, generator=generator))

    return Depth(train, splits["val"], tail if depth < blocks else None)
