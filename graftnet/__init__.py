"""The front door of GraftNet: command line, configuration, project folders; ``from graftnet import Project``.

The rooms (foundation, subdatasets, trunk, search_spaces, branches, nas, reports, deployment) are the library; import
those.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graftnet.api import Project

__version__ = "0.1.0"  # the one place that holds it; setup.cfg reads it

__all__ = ["Project", "__version__"]


def __getattr__(name: str) -> Any:
    """Import :class:`graftnet.api.Project` when it is asked for, so that the command line starts without it."""
    if name == "Project":
        from graftnet.api import Project

        return Project
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
