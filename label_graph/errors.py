"""The exception of a user's mistake about a label graph."""

from foundation.errors import UserError


class LabelGraphError(UserError, ValueError):
    """Labels, a graph or a setting of it cannot be used as asked; the message says what, where, what to do."""
