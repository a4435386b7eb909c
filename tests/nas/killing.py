"""A stop at a chosen record of a history, as a kill would be one."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from foundation.history import History


class KilledError(BaseException):
    """Not an Exception, so that nothing handles it."""


@contextmanager
def killed_after(records: int) -> Iterator[None]:
    """What runs inside is stopped right after writing its `records`-th record; failing to get there is an error."""
    real, written = History.append, 0

    def append(self: History, kind: str, **fields: Any) -> None:
        nonlocal written
        real(self, kind, **fields)
        written += 1
        if written == records:
            raise KilledError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(History, "append", append)
        with pytest.raises(KilledError):
            yield
