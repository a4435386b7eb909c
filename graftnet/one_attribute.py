"""[attributes.NAME]: the configuration as one attribute has it, where it differs from what the tables say for all.

An attribute's own tables go before those for all; what a call sets (`graftnet.overrides`) goes before both.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from graftnet.config import AttributeTable, Config, Table

if TYPE_CHECKING:
    from graftnet.project import Project


def config_of(config: Config, attribute: str) -> Config:
    """The configuration with what an attribute's own tables set; what they leave out stays."""
    own = config.attributes.get(attribute)
    if own is None:
        return config
    update: dict[str, Any] = {}
    for name in AttributeTable.model_fields:
        part: Table = getattr(own, name)
        given = {key: getattr(part, key) for key in part.model_fields_set}
        update[name] = getattr(config, name).model_copy(update=given)
    others = {name: table for name, table in config.attributes.items() if name != attribute}
    return config.model_copy(update={**update, "attributes": others})


def depth_of(config: Config) -> int:
    """How many blocks the trunk holds: `trunk.freeze_depth`, or where it is 0 what the backbone's table says.

    Raises:
        TrunkError: there is no such backbone.
    """
    if config.trunk.freeze_depth:
        return config.trunk.freeze_depth
    from trunk.find_backbone import find_backbone

    return find_backbone(config.trunk.backbone).freeze_depth


def project_of(project: "Project", attribute: str) -> "Project":
    """The project as one attribute has it."""
    return replace(project, config=config_of(project.config, attribute))


def without(config: Config, keys: Iterable[tuple[str, str]]) -> Config:
    """The configuration whose attributes leave these (table, key) to the tables for all: a call sets them."""
    keys = set(keys)
    attributes: dict[str, AttributeTable] = {}
    for name, own in config.attributes.items():
        parts: dict[str, Any] = {}
        for table in own.model_fields_set:
            part: Table = getattr(own, table)
            kept = {key: getattr(part, key) for key in part.model_fields_set if (table, key) not in keys}
            parts[table] = type(part).model_construct(_fields_set=set(kept), **kept)
        attributes[name] = AttributeTable.model_construct(_fields_set=set(parts), **parts)
    return config.model_copy(update={"attributes": attributes})
