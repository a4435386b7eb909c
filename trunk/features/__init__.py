"""Features of images: sources, the cache on disk, views and codecs."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trunk.features.source import ArrayFeatures, FeatureSource, LabelledFeatures

__all__ = ["ArrayFeatures", "FeatureSource", "LabelledFeatures"]


def __getattr__(name: str) -> Any:
    """Import what is named when it is asked for: the settings beside it need no torch."""
    if name in __all__:
        import trunk.features.source

        return getattr(trunk.features.source, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
