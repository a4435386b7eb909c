"""The one exception this room raises for a user's mistake."""

from foundation.errors import UserError


class DataError(UserError, ValueError):
    """Images, labels or splits that cannot be used.

    The message is one sentence: what is wrong, where (file and line, or position), and what to do.
    """
