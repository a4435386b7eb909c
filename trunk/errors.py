"""TrunkError, the one exception for a user's mistake in this room."""

from foundation.errors import UserError


class TrunkError(UserError, ValueError):
    """A trunk, its weights or its feature cache cannot be used as asked; the message says what, where, what to do."""
