"""The extra `nni`: require it where it is needed, and keep it from writing to the user's terminal."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from nas.errors import SearchError

LOGGERS = ("nni", "pytorch_lightning", "lightning_fabric")


def require_nni() -> None:
    """Raises SearchError, naming the extra, where pytorch-lightning is missing: `nni.nas` does not import without."""
    if find_spec("pytorch_lightning") is None:
        raise SearchError("NNI's strategies need pytorch-lightning; install it with: pip install 'graftnet[nni]'.")


@contextmanager
def quiet_nni() -> Iterator[None]:
    """Keep the remarks and warnings of NNI and Lightning from the terminal meanwhile; what they raise is raised."""
    levels = {name: logging.getLogger(name).level for name in LOGGERS}
    try:
        for name in LOGGERS:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
