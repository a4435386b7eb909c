"""Settings of the feature cache: views of an image, and the numbers they are stored as. Needs no torch.

A view is ``plain``, or parts joined by ``+``: ``flip`` (mirrored), ``crop1`` .. ``crop9`` (seeded crops), ``light1`` ..
``light9`` (seeded changes of brightness and contrast). A storage is ``float16``, ``float32``, ``int8`` or ``pca:K``.
"""

import re
from typing import NamedTuple

from trunk.errors import TrunkError

PLAIN = "plain"
VIEW_PART = re.compile(r"flip|(?:crop|light)[1-9]")
VIEW_RULE = "must be made of flip, crop1 to crop9 and light1 to light9, joined by '+' and each once"
STORAGE_RULE = "must be float16, float32, int8 or pca:K with K components, such as pca:64"


class Storage(NamedTuple):
    """How features lie on disk; `components` of a PCA, 0 for all channels as they are."""

    kind: str
    components: int = 0

    @property
    def name(self) -> str:
        """As graftnet.toml writes it."""
        return f"{self.kind}:{self.components}" if self.components else self.kind


def is_view(name: str) -> bool:
    """Whether `name` is a view beside the plain one.

    >>> [is_view(name) for name in ("flip", "flip+crop2", "flip+flip", "plain", "crop")]
    [True, True, False, False, False]
    """
    parts = name.split("+")
    return all(VIEW_PART.fullmatch(part) for part in parts) and len(set(parts)) == len(parts)


def parse_storage(name: str) -> Storage:
    """Read a storage's name.

    Raises:
        TrunkError: there is none of this name.

    >>> parse_storage("pca:64")
    Storage(kind='pca', components=64)
    """
    if name in ("float16", "float32", "int8"):
        return Storage(name)
    matched = re.fullmatch(r"pca:([1-9][0-9]*)", name)
    if not matched:
        raise TrunkError(f"features.storage {STORAGE_RULE}, is {name!r}.")
    return Storage("pca", int(matched[1]))
