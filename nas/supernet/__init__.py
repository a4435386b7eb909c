"""The supernet: shared child weights; any architecture is a path through them."""

from nas.supernet.supernet import Supernet

__all__ = ["Supernet"]
