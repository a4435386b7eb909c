"""The one exception that a user's mistake raises in this room."""

from foundation.errors import UserError


class TrunkError(UserError, ValueError):
    """A trunk, its weights or its feature cache cannot be used as asked; the message says what, where, what to do."""
