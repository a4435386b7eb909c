"""The one exception for a user's mistake about search spaces and architectures."""

from foundation.errors import UserError


class SpaceError(UserError, ValueError):
    """A search space or an architecture is not legal; the message says what, where, and what to do."""
