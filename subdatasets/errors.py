"""The one exception this room raises for a user's mistake."""

from typing import TYPE_CHECKING

from foundation.errors import UserError

if TYPE_CHECKING:
    from subdatasets.reading.problems import Problem


class DataError(UserError, ValueError):
    """Images, labels or splits that cannot be used.

    The message is one sentence: what is wrong, where (file and line, or position), and what to do.
    `problems` are all that it counts, for whoever wants the whole list.
    """

    problems: "tuple[Problem, ...]" = ()
