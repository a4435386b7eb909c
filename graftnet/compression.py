"""Refuse to continue a search on features that another codec stored."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from foundation.files import read_json
from graftnet.errors import ConfigError


def require_codec(config: Path, origin: Mapping[str, Any]) -> None:
    """Refuse to continue a search that began on features stored by another codec.

    Raises:
        ConfigError: the cache was deleted and fitted again since.
    """
    if not config.exists():
        return
    before = read_json(config).get("codec")
    if before != origin.get("codec"):
        raise ConfigError(
            f"The search {config.parent} began on features that codec {before} stored, but the cache was fitted again "
            f"since (codec {origin.get('codec')}); delete {config.parent} and call again to begin anew."
        )
