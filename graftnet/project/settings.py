"""Turn the tables of graftnet.toml into the values that the rooms' functions take."""

from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from graftnet.errors import ConfigError
from graftnet.project.config import Config, Table

if TYPE_CHECKING:
    import torch

    from branches.settings import FitSettings
    from graftnet.project.folder import Project
    from label_graph.settings import GraphSettings
    from nas.settings import JobSettings, SearchSettings
    from search_spaces import Space
    from trunk.pretraining.settings import PretrainSettings
    from trunk.trunk import Trunk


# The keys of [search] that describe a branch of each space; `depths` counts the one named here.
SPACE_KEYS = {
    "macro": ("nodes", "widths", "operations", "activations", "poolings"),
    "micro": ("nodes", "cells", "reductions", "widths", "operations", "activations", "poolings"),
}
DEPTHS_COUNT = {"macro": "nodes", "micro": "cells"}


def seed_or(seed: int | None, project: "Project") -> int:
    """The seed of the call, or the project's."""
    return project.config.project.seed if seed is None else seed


def depth_of(config: Config) -> int:
    """How many blocks the trunk holds: `trunk.freeze_depth`, or where it is 0 what the backbone's table says.

    Raises:
        TrunkError: there is no such backbone.
    """
    if config.trunk.freeze_depth:
        return config.trunk.freeze_depth
    from trunk.backbones.find import find_backbone

    return find_backbone(config.trunk.backbone).freeze_depth


def values_for(kind: Any, table: Table) -> dict[str, Any]:
    """The entries of ``table`` that the dataclass ``kind`` has fields for."""
    names = {field.name for field in fields(kind)}
    return {key: value for key, value in table.model_dump().items() if key in names}


def pretrain_settings(config: Config) -> "PretrainSettings":
    """[trunk] as the trunk's pre-training takes it."""
    from trunk.pretraining.settings import PretrainSettings

    return PretrainSettings(**values_for(PretrainSettings, config.trunk))


def graph_settings(config: Config, *, seed: int) -> "GraphSettings":
    """[label_graph] as the training of a label graph takes it."""
    from label_graph.settings import GraphSettings

    return GraphSettings(**values_for(GraphSettings, config.label_graph), seed=seed)


def space_of_config(config: Config, sources: Sequence[int] = ()) -> "Space":
    """The search space that [search] describes; `sources`: channels of the earlier depths that branches read too.

    Raises:
        SpaceError: a setting that the space refuses.
    """
    from search_spaces import space_from_json

    table = config.search
    settings = {key: getattr(table, key) for key in SPACE_KEYS[table.space]}
    if not table.operations:
        del settings["operations"]  # the space's own
    settings["depths"] = table.depths or tuple(range(1, getattr(table, DEPTHS_COUNT[table.space]) + 1))
    return space_from_json(table.space, {**settings, **({"sources": tuple(sources)} if sources else {})})


def search_settings(config: Config) -> "SearchSettings":
    """[search] as the search takes it.

    Raises:
        ConfigError: there is no epoch left for the controller.
    """
    from nas.settings import SearchSettings

    if config.search.warmup_epochs >= config.search.epochs:
        raise ConfigError(
            f"search.warmup_epochs must be less than search.epochs ({config.search.epochs}), so that the controller "
            f"learns at all, is {config.search.warmup_epochs}."
        )
    if config.search.warm_start and config.search.warm_warmup_epochs >= config.search.warm_epochs:
        raise ConfigError(
            f"search.warm_warmup_epochs must be less than search.warm_epochs ({config.search.warm_epochs}), so that "
            f"the controller learns at all, is {config.search.warm_warmup_epochs}."
        )
    return SearchSettings(**values_for(SearchSettings, config.search))


def fit_settings(config: Config) -> "FitSettings":
    """[retrain] as the training of one branch takes it; it keeps the epoch that is best by the search's reward."""
    from branches.settings import FitSettings

    return FitSettings(**values_for(FitSettings, config.retrain), metric=config.search.reward)


def tail_settings(config: Config, precision: str = "float32") -> "FitSettings":
    """[controls] as the fine-tuning of a tail takes it."""
    from branches.settings import FitSettings

    controls = config.controls
    return FitSettings(
        epochs=controls.tail_epochs,
        batch_size=config.retrain.batch_size,
        learning_rate=controls.tail_learning_rate,
        weight_decay=controls.tail_weight_decay,
        balance=config.retrain.balance,
        precision=precision,
        metric=config.search.reward,
        max_steps=config.retrain.max_steps,
    )


def control_tail(config: Config, device: "torch.device") -> "FitSettings":
    """The tail as a control: in the number format that is fastest on the device."""
    from trunk.precision import resolve_precision

    return tail_settings(config, resolve_precision("auto", device))


def job_settings(
    config: Config, *, with_tail: bool, device: "torch.device", sources: Sequence[int] = ()
) -> "JobSettings":
    """[search], [retrain] and [controls] as one attribute's job takes them; `sources` as `space_of_config` has them.

    Raises:
        SearchError: a strategy of NNI's is wanted where its extra is missing.
    """
    from nas.settings import ChoosingSettings, JobSettings
    from nas.strategies.nni_extra import require_nni

    controls = config.controls
    if any(strategy.startswith("nni-") for strategy in (config.search.strategy, *controls.strategies)):
        require_nni()
    return JobSettings(
        space=space_of_config(config, sources),
        search=search_settings(config),
        rivals=controls.strategies,
        retrain=fit_settings(config),
        repeats=config.retrain.repeats,
        threshold_by=config.retrain.threshold_by,
        random=controls.random,
        probe=controls.linear_probe,
        tail=control_tail(config, device) if controls.tail and with_tail else None,
        tail_share=controls.tail_share,
        learning_curve=controls.learning_curve,
        **values_for(ChoosingSettings, config.search),
    )


def settings_on(config: Config, trunk: "Trunk", device: "torch.device") -> "JobSettings":
    """The settings of a job on this trunk: a search's, or, where [branch] says so, those of a branch by hand.

    Raises:
        ConfigError, TrunkError, SpaceError: a setting that cannot be, or does not fit the trunk.
    """
    depth = trunk.check_depth(depth_of(config))
    if config.branch.kind == "tail":
        return hand_settings(config, trunk, depth, device)
    earlier = [channels for channels, _, _ in trunk.shapes[: depth - 1]] if config.search.sources == "all" else []
    return job_settings(config, with_tail=depth < len(trunk.chain), device=device, sources=earlier)


def hand_settings(config: Config, trunk: "Trunk", depth: int, device: "torch.device") -> "JobSettings":
    """The settings of a job of the tail that [branch] describes; what only a search reads takes its default.

    It is trained as the control of that name is, but in float32, so that what val chooses is what is deployed. The
    uncut tail is a control beside it, unless it is that itself.
    """
    from nas.settings import BY_HAND, JobSettings, SearchSettings
    from search_spaces import tail_space

    table, blocks = config.branch, len(trunk.chain)
    end = table.blocks or blocks
    if depth >= blocks:
        raise ConfigError(
            f"trunk.freeze_depth is all {blocks} blocks of {trunk.backbone}, which leaves no tail; lower it."
        )
    if not depth < end <= blocks:
        raise ConfigError(
            f"branch.blocks (--blocks) must lie above trunk.freeze_depth ({depth}) and be at most {blocks}, the blocks "
            f"of {trunk.backbone}, is {end}; `graftnet trunk blocks` lists them."
        )
    whole = end == blocks and table.pooling == "average"
    return JobSettings(
        space=tail_space(
            depth, backbone=trunk.backbone, blocks=(end,), poolings=(table.pooling,), widths=(table.width,)
        ),
        search=SearchSettings(reward=config.search.reward, latency_batch=config.search.latency_batch),
        strategy=BY_HAND,
        retrain=tail_settings(config),
        repeats=config.retrain.repeats,
        threshold_by=config.retrain.threshold_by,
        random=False,
        probe=config.controls.linear_probe,
        tail=control_tail(config, device) if config.controls.tail and not whole else None,
    )
