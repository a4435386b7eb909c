"""The one exception for a user's mistake about search spaces and architectures."""


class SpaceError(ValueError):
    """A search space or an architecture is not legal; the message says what, where, and what to do."""
