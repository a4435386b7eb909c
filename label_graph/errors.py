"""The one exception that a user's mistake raises in this room."""

from foundation.errors import UserError


class LabelGraphError(UserError, ValueError):
    """Labels, a graph or a setting of it cannot be used as asked; the message says what, where, what to do."""
