"""SearchError, the one exception for a user's mistake in a search."""

from foundation.errors import UserError


class SearchError(UserError, ValueError):
    """A search was asked for something it cannot do; the message says what, where, and what to do."""
