"""The front door of GraftNet: command line, configuration, project folders.

The rooms (foundation, subdatasets, trunk, search_spaces, branches, nas, reports, deployment) are the library; import
those.
"""

from graftnet.version import __version__

__all__ = ["__version__"]
