"""Which training trunk.method names, and what it adds to what defines a trunk's version."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

from graftnet.config import Config
from trunk.indeed_training import IndeedPretraining
from trunk.multi_label import MultiLabelPretraining
from trunk.pretrain_settings import IndeedSettings
from trunk.training import Pretraining

SOURCES = {"dynamic": "dynamic graph", "multi_label": "multi-label training", "indeed": "INDeeD"}


def indeed_settings(config: Config) -> IndeedSettings:
    """What [trunk] says of INDeeD, as its training takes it."""
    table = config.trunk
    return IndeedSettings(table.indeed_map, table.indeed_weight, table.indeed_blocks)


def method_identity(config: Config) -> dict[str, Any]:
    """What the method adds to a version's identity: the dynamic graph nothing."""
    method = config.trunk.method
    indeed = {"indeed": asdict(indeed_settings(config))} if method == "indeed" else {}
    return {} if method == "dynamic" else {"method": method, **indeed}


def training_of(identity: Mapping[str, Any]) -> Callable[..., Pretraining]:
    """The training of a version with this identity."""
    if identity.get("method") == "indeed":
        return partial(IndeedPretraining, indeed=IndeedSettings(**identity["indeed"]))
    return MultiLabelPretraining if identity.get("method") == "multi_label" else Pretraining


def source_of(identity: Mapping[str, Any]) -> str:
    """How trunk.json names the method of a version."""
    return SOURCES[identity.get("method", "dynamic")]
