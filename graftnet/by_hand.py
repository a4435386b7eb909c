"""[branch]: the backbone's own blocks as an attribute's branch, chosen by hand instead of searched."""

from typing import TYPE_CHECKING

from graftnet.config import Config
from graftnet.errors import ConfigError
from graftnet.one_attribute import depth_of
from graftnet.settings import control_tail, job_settings, tail_settings

if TYPE_CHECKING:
    import torch

    from nas.settings import JobSettings
    from trunk.trunk import Trunk


def settings_on(config: Config, trunk: "Trunk", device: "torch.device") -> "JobSettings":
    """The settings of a job on this trunk: a search's, or, where [branch] says so, those of a branch by hand.

    Raises:
        ConfigError, TrunkError, SpaceError: a setting that cannot be, or does not fit the trunk.
    """
    depth = trunk.check_depth(depth_of(config))
    if config.branch.kind == "tail":
        return hand_settings(config, trunk, depth, device)
    return job_settings(config, with_tail=depth < len(trunk.chain), device=device)


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
