"""A search on features that are not stored as the trunk's own numbers: what it needs, and what it notes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from branches.restoring import Restored
from foundation.files import read_json
from graftnet.errors import ConfigError
from nas.settings import TailBuilder
from trunk.codecs import Pca
from trunk.features import LabelledFeatures


def codec_key(train: LabelledFeatures) -> dict[str, Any]:
    """What was fitted to store the features, for config.json and result.json; nothing where nothing was."""
    key = getattr(getattr(train.features, "codec", None), "key", None)
    return {"codec": key} if key else {}


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


def tail_on(train: LabelledFeatures, build: TailBuilder) -> TailBuilder:
    """The builder of a tail that reads what is stored: components are brought back to the trunk's channels first."""
    codec = getattr(train.features, "codec", None)
    if not isinstance(codec, Pca):
        return build
    return lambda generator: Restored(build(generator), codec.components, codec.mean)
